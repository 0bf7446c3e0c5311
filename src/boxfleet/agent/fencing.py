"""This host's right to run instances that could be made elsewhere: promised to the server, kept by a watchdog.

While the server says that a takeover may happen (`labels.TAKEOVER`), each renewal of the Lease carries a promise: after
so many seconds without another one the instances here are ended. The promise holds from before it is sent until the
server has a Lease without it. Whoever comes back late starts nothing before the server has said what is still wanted.
"""

import asyncio
import json
import pathlib
import sys
from collections.abc import Awaitable, Callable

import structlog

from boxfleet.agent import fencer
from boxfleet.api import labels
from boxfleet.api import pod as pods
from boxfleet.kit import cgroup, daemon, durable
from boxfleet.planning import takeover

log = structlog.get_logger()


class Fence:
    """One agent's. `folder` is emptied by a reboot, `memory` is not; without a folder nothing is ever promised."""

    def __init__(
        self,
        *,
        folder: str,
        memory: pathlib.Path,
        cgroup_parent: str,
        kept: Callable[[], list[str]],
        resync: Callable[[], Awaitable[None]],
        opened: Callable[[], None],
        now: Callable[[], float] = fencer.now,
    ) -> None:
        """`kept` names containers that stay; `resync` learns which Pods are still wanted; `opened` tells of the end."""
        self._order = pathlib.Path(folder, "fence.json") if folder else None
        self._pid = pathlib.Path(folder, "fence.pid")
        self._log = memory.with_name("fence.log")
        self._memory = memory
        self._places = cgroup.places(cgroup_parent)
        self._kept = kept
        self._resync = resync
        self._opened = opened
        self._now = now
        self._noted: list[str] = []
        self._mode = ""
        self._promised = self._order is not None and memory.exists()
        self._deadline = self._remembered() if self._promised else 0.0
        self._open = self._holds()

    @property
    def promised(self) -> bool:
        """Whether the server may rely on it that nothing runs here without a renewal."""
        return self._promised

    @property
    def is_asked(self) -> bool:
        """Whether the server would have a promise that it has not."""
        return self._order is not None and not self._promised and self._mode == labels.ARMED

    def may_run(self, subject: pods.Pod) -> bool:
        """Whether an instance may be started, or go on."""
        return not self._promised or (self._open and self._holds()) or bool(takeover.stays(subject))

    async def promise(self) -> str:
        """What the next renewal says; empty for no promise. It holds when this returns."""
        if self._order is None or self._mode not in (labels.ARMED, labels.DECIDED):
            return ""
        if not self._promised:
            self._set(self._now() + takeover.FENCE_AFTER)
        try:
            if daemon.find(self._pid) is None:
                command = [sys.executable, "-I", "-S", fencer.__file__, str(self._order), *self._places]
                await daemon.start(command, pid_file=self._pid, log_file=self._log)
            if not self._promised:
                await asyncio.to_thread(durable.write, self._memory, b"")
                self._promised = self._open = True
        except (daemon.DaemonError, OSError) as error:
            log.warning("nobody watches over this host's right to run instances: none is promised", cause=str(error))
            return ""
        return f"{takeover.FENCE_AFTER:g}"

    async def renewed(self, began: float, *, promised: bool, mode: str) -> None:
        """A renewal that was sent at `began` is with the server, whose answer has that mode."""
        self._mode = mode
        if not promised:
            if self._promised:
                await self._withdraw()
            return
        if not (self._open and self._holds()):
            self._open = False
            if mode == labels.DECIDED:
                # Its instances are being made elsewhere; when that is done, the server says so.
                return
            await self._resync()
            if self._now() >= began + takeover.FENCE_AFTER:
                return
            log.info("this host may run its instances again")
        elif mode == labels.DECIDED:
            self._open = False
            self._set(self._now())
            return
        self._set(began + takeover.FENCE_AFTER)
        if not self._open:
            self._open = True
            self._opened()

    def refused(self) -> None:
        """No server is there that could take over: none listens. What may run now may go on."""
        if self._promised and self._open and self._holds():
            self._set(self._now() + takeover.FENCE_AFTER)

    def note(self) -> None:
        """Containers came or went: the watchdog shall know which of them stay."""
        if self._promised and self._kept() != self._noted:
            self._set(self._deadline)

    def check(self) -> None:
        """Note in the log when the right has run out."""
        if self._promised and self._open and not self._holds():
            self._open = False
            log.warning("no server has heard of this host in time: its instances are ended", after=takeover.FENCE_AFTER)

    async def _withdraw(self) -> None:
        await asyncio.to_thread(self._memory.unlink, missing_ok=True)
        if self._order is not None:
            self._order.unlink(missing_ok=True)
        self._promised = False
        self._opened()

    def _holds(self) -> bool:
        return self._now() < self._deadline

    def _set(self, deadline: float) -> None:
        self._deadline = deadline
        if self._order is not None:
            self._noted = self._kept()
            order = {"deadline": deadline, "term": takeover.TERM_FOR, "kept": self._noted}
            fresh = self._order.with_suffix(".new")
            fresh.write_text(json.dumps(order))
            fresh.replace(self._order)

    def _remembered(self) -> float:
        """The deadline that an earlier agent set since the boot; past for none."""
        try:
            return float(json.loads(self._order.read_text())["deadline"]) if self._order is not None else 0.0
        except (OSError, ValueError, KeyError):
            return 0.0
