"""Makes room on a host under pressure: first what nobody needs, then one instance after the other."""

import asyncio
import contextlib
import os
import pathlib
from collections.abc import Awaitable, Callable, Collection

import structlog

from boxfleet.agent import parts, worker
from boxfleet.agent.node import vitals
from boxfleet.planning import marks, pod_runtime, resources, shedding
from boxfleet.ports import runtime

log = structlog.get_logger()

# Seconds beyond its grace for which an instance that has to go is waited for.
_PATIENCE = 30.0
# The resource by condition, most pressing first.
_RESOURCES = {"MemoryPressure": "memory", "DiskPressure": "ephemeral-storage"}


class Shedding:
    """One round after the other.

    `relieve` removes what nobody needs, and says whether there was any; `tell` has the Node's conditions told.
    """

    def __init__(
        self,
        given: parts.Parts,
        measuring: vitals.Vitals,
        *,
        workers: Callable[[], Collection[worker.PodWorker]],
        relieve: Callable[[], Awaitable[bool]],
        tell: Callable[[], None],
    ) -> None:
        self._parts = given
        self._vitals = measuring
        self._workers = workers
        self._relieve = relieve
        self._tell = tell
        self._pressed = ""

    async def run(self) -> None:
        """Look and act until cancelled."""
        await self._parts.observer.synced.wait()
        while True:
            await self._parts.clock.sleep(self._parts.settings.shed_every)
            try:
                await self._round()
            except (runtime.RuntimeFault, OSError) as error:
                log.info("cannot make room", cause=str(error))

    async def _round(self) -> None:
        # Of this moment: what is only held so that it does not flap is no reason to stop anything.
        bad = {kind for kind, found in self._vitals.findings().items() if found.bad}
        resource = next((name for kind, name in _RESOURCES.items() if kind in bad), None)
        before, self._pressed = self._pressed, resource or ""
        if resource is None:
            return
        if resource != before:
            # The Node says so first: else what has to go would come back at once. And a moment is no pressure.
            self._tell()
            return
        if resource == "ephemeral-storage" and await self._clear_away():
            return
        stats = await self._parts.engine.stats()
        if resource == "memory":
            whole, used = self._parts.machine.memory, self._sums(stats, lambda one: one.memory_working_set)
        else:
            whole, used = self._parts.machine.disk, self._sums(stats, lambda one: one.writable_bytes)
            for uid, amount in (await asyncio.to_thread(self._folders)).items():
                used[uid] = used.get(uid, 0) + amount
        able = {one.uid: one for one in self._workers() if not one.ends}
        candidates = [
            shedding.Candidate(
                uid=uid,
                requested=resources.requests_of(able[uid].pod.spec).get(resource, 0),
                used=amount,
                priority=able[uid].pod.spec.priority or 0,
            )
            for uid, amount in used.items()
            if uid in able
        ]
        chosen = shedding.victim(candidates, whole=whole)
        if chosen is None:
            return
        going = able[chosen.uid]
        log.warning("stopping an instance to make room", pod=str(going.pod.key), resource=resource, used=chosen.used)
        going.evict(shedding.message(chosen, resource))
        # The next one goes only when it is seen what this one brought.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(going.pod.spec.terminationGracePeriodSeconds + _PATIENCE):
                await going.stopped.wait()

    async def _clear_away(self) -> bool:
        """Remove images that nothing needs, and what is left of instances that have ended; whether there was any."""
        ended = [one for one in self._workers() if one.shrink()]
        try:
            return await self._relieve() or bool(ended)
        except runtime.RuntimeFault as error:
            log.info("cannot remove images that nothing needs", cause=str(error))
            return bool(ended)

    def _sums(self, stats: list[runtime.Stats], amount: Callable[[runtime.Stats], int]) -> dict[str, int]:
        """Bytes by the Pod's uid."""
        known = self._parts.observer.containers
        sums: dict[str, int] = {}
        for one in stats:
            uid = known[one.id].labels.get(marks.POD_UID, "") if one.id in known else ""
            sums[uid] = sums.get(uid, 0) + amount(one)
        return sums

    def _folders(self) -> dict[str, int]:
        """Bytes of logs and of volumes that go with the instance, by uid; claims stay, so they do not count."""
        logs = pathlib.Path(self._parts.settings.logs)
        return {
            one.uid: _size(logs / pod_runtime.log_folder(one.pod))
            + _size(self._parts.volumes.folder(one.uid).root / "volumes")
            for one in list(self._workers())
        }


def _size(top: pathlib.Path) -> int:
    """Bytes on the disk that a folder is on: what is mounted below it is elsewhere, or somebody else's."""
    total = 0
    try:
        device = top.stat().st_dev
    except OSError:
        return 0
    for at, folders, names in os.walk(top):
        folders[:] = [each for each in folders if _device(pathlib.Path(at, each)) == device]
        for name in names:
            with contextlib.suppress(OSError):
                total += pathlib.Path(at, name).lstat().st_blocks * 512
    return total


def _device(path: pathlib.Path) -> int:
    try:
        return path.lstat().st_dev
    except OSError:
        return -1
