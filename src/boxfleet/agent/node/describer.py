"""Keeps the labels of this Node true to its host, and says what the host offers besides processors and memory."""

import asyncio
import contextlib
import pathlib
from collections.abc import Callable

import structlog

from boxfleet.agent import settings
from boxfleet.agent.node import stalls
from boxfleet.agent.node.found import disks, gather, scripts, speed
from boxfleet.api import labels, node
from boxfleet.client import client, errors
from boxfleet.kit import clock as clocks
from boxfleet.planning import host_labels

log = structlog.get_logger()

# Seconds between looks for changed scripts, and until what failed is tried again.
_LOOK = 30.0
_SOON = 2.0
# Percent of the last ten seconds in which something waited for the disk: above it, it is not measured.
_BUSY = 10.0


class Describer:
    """Looks at the host when it starts, when a script changes, and seldom besides. `changed` hears of news.

    `root` and `owner` (of scripts) are what tests set.
    """

    def __init__(
        self,
        api: client.Client,
        *,
        settings: settings.Settings,
        clock: clocks.Clock,
        changed: Callable[[], None],
        root: pathlib.Path = pathlib.Path("/"),
        owner: int = 0,
    ) -> None:
        self._api = api
        self._settings = settings
        self._clock = clock
        self._changed = changed
        self._root = root
        self._owner = owner
        self._scripts = pathlib.Path(settings.facts_scripts) if settings.facts_scripts else None
        self._file = pathlib.Path(settings.state) / "disk-speed.json"
        self._device = ""
        self._speed: speed.Speed | None = None
        self._found: dict[str, str] = {}
        self._resources: dict[str, str] = {}
        # What is wrong with scripts, by script and line.
        self.faults: list[str] = []

    def offers(self) -> dict[str, str | None]:
        """Further resources of the Node; None for those that it does not have (any more)."""
        none: dict[str, str | None] = dict.fromkeys(gather.RESOURCES)
        wished = {name: text if text != "0" else None for name, text in self._settings.resources.items()}
        return {**none, **self._resources, **wished}

    async def run(self) -> None:
        """Look and tell until cancelled."""
        self._device = await asyncio.to_thread(disks.device_of, pathlib.Path(self._settings.state))
        self._speed = await asyncio.to_thread(speed.remembered, self._file, device=self._device)
        async with asyncio.TaskGroup() as group:
            if self._speed is None and self._settings.measure_disk is not None:
                group.create_task(self._measure(self._settings.measure_disk))
            await self._describe_forever()

    async def look(self) -> None:
        """Look at the host and its scripts once, and tell it."""
        self._found = await asyncio.to_thread(gather.labels, self._root, device=self._device, measured=self._speed)
        resources = await asyncio.to_thread(gather.resources, self._root, measured=self._speed)
        said = scripts.Said()
        if self._scripts is not None:
            said = await scripts.run(self._scripts, owner=self._owner)
        if (resources, said.faults) != (self._resources, self.faults):
            for fault in sorted(set(said.faults) - set(self.faults)):
                log.warning("a script that says labels of this host is at fault", fault=fault)
            self._resources, self.faults = resources, said.faults
            self._changed()
        # Of a script that fails it is not known which labels it would have said.
        await self._tell(self._found | said.labels, keep=labels.HOST_SCRIPTS if said.faults else "")

    async def _tell(self, found: dict[str, str], *, keep: str) -> None:
        name = self._settings.node
        mine = await self._api.get(node.Node, name)
        before = host_labels.said_before(mine.metadata.annotations)
        changed = host_labels.change(mine.metadata.labels, found, before, keep=keep)
        if changed is not None:
            guard = {"resourceVersion": mine.metadata.resourceVersion}
            await self._api.patch(node.Node, name, {"metadata": changed | guard})

    async def _describe_forever(self) -> None:
        while True:
            seen = await self._fingerprint()
            try:
                await self.look()
            except errors.ApiError as error:
                # It is not registered yet, somebody else wrote it, or no server answers.
                log.debug("cannot tell the labels of this node", cause=str(error))
                await self._clock.sleep(self._settings.node_check if str(error) == node.GONE else _SOON)
                continue
            left = self._settings.facts_every
            while left > 0 and await self._fingerprint() == seen:
                await self._clock.sleep(min(_LOOK, left))
                left -= _LOOK

    async def _fingerprint(self) -> object:
        return await asyncio.to_thread(scripts.fingerprint, self._scripts) if self._scripts is not None else ()

    async def _measure(self, delay: float) -> None:
        """Measure the disk once, at a quiet moment."""
        await self._clock.sleep(delay)
        while stalls.read(self._root, "io").some10 > _BUSY:
            await self._clock.sleep(_LOOK)
        now = clocks.stamp(self._clock.now())
        folder = pathlib.Path(self._settings.state)
        try:
            self._speed = await asyncio.to_thread(speed.measure, folder, now=now)
            await asyncio.to_thread(speed.remember, self._file, self._speed)
        except OSError as error:
            log.warning("cannot measure how fast the disk is", folder=str(folder), cause=str(error))
            return
        log.info("measured the disk", write_mib=self._speed.write_mib, sync_iops=self._speed.sync_iops)
        with contextlib.suppress(errors.ApiError):
            await self.look()
