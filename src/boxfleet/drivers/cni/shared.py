"""What the host was like before the first Boxfleet on it, kept for the last one to put back.

Several may run on one machine and leave it in any order. What they change together (forwarding, the tables of
iptables) is noted in one file for the network namespace. It lies in /run, since a restart of the machine undoes
those changes as well.
"""

import asyncio
import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
from collections.abc import AsyncIterator

from boxfleet.drivers.cni import commands, firewall

_RUN = pathlib.Path("/run")
_FORWARDING = "net/ipv4/ip_forward"


@dataclasses.dataclass(slots=True, kw_only=True)
class Record:
    """The host before the first one: its forwarding setting and packet rules' places; and the bridges since."""

    ip_forward: str
    places: list[str]
    bridges: list[str]


class SharedHost:
    """The record of a network namespace; `space` is its path, None the machine's own."""

    def __init__(self, run: commands.Commands, *, space: pathlib.Path | None) -> None:
        self._run = run
        self._space = space or pathlib.Path("/proc/self/ns/net")

    @contextlib.asynccontextmanager
    async def changing(self) -> AsyncIterator[int]:
        """Nobody else changes the host meanwhile; gives the handle for `join` and `leave`."""
        locking = asyncio.get_running_loop().run_in_executor(None, self._lock)
        try:
            handle = await asyncio.shield(locking)
        except asyncio.CancelledError:
            # The thread cannot be stopped: what it locks after that is let go of at once.
            locking.add_done_callback(_unlock)
            raise
        try:
            yield handle
        finally:
            os.close(handle)

    async def join(self, handle: int, *, bridge: str) -> None:
        """Note the bridge's Boxfleet, before it changes anything, then let the host forward packets."""
        record = _read(handle)
        # One whose bridge was deleted and that makes it again knows what was before it.
        if record is None or not (bridge in record.bridges or await self._alive(record.bridges)):
            forwarding = await self._run.sysctl(_FORWARDING)
            record = Record(ip_forward=forwarding, places=await firewall.places(self._run), bridges=[])
        if bridge not in record.bridges:
            record.bridges.append(bridge)
        _write(handle, record)
        await self._run.sysctl(_FORWARDING, "1")

    async def leave(self, handle: int, *, bridge: str) -> None:
        """Remove what is empty and was not there before; the last one puts forwarding back and drops the record."""
        record = _read(handle)
        if record is None:
            self._path().unlink()
            return
        record.bridges = await self._alive([one for one in record.bridges if one != bridge])
        await firewall.drop_empty(self._run, keep=record.places)
        if record.bridges:
            _write(handle, record)
        else:
            await self._run.sysctl(_FORWARDING, record.ip_forward)
            self._path().unlink()

    def bridges(self) -> list[str]:
        """The bridges that Boxfleets noted before they made them, and have not taken away."""
        try:
            text = self._path().read_text()
        except FileNotFoundError:
            return []
        return Record(**json.loads(text)).bridges if text else []

    async def _alive(self, bridges: list[str]) -> list[str]:
        """Those whose bridge is there: one that was removed by hand cannot leave any more."""
        return [bridge for bridge in bridges if await self._run.succeeds("ip", "link", "show", "dev", bridge)]

    def _path(self) -> pathlib.Path:
        return _RUN / f"boxfleet-host-{self._space.stat().st_ino}.json"

    def _lock(self) -> int:
        while True:
            path = self._path()
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(handle, fcntl.LOCK_EX)
            # The last one to leave removes the file, and this may have waited for just that one.
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_ino == os.fstat(handle).st_ino:
                    return handle
            os.close(handle)


def _unlock(locked: "asyncio.Future[int]") -> None:
    if locked.exception() is None:
        os.close(locked.result())


def _read(handle: int) -> Record | None:
    text = os.pread(handle, 1 << 20, 0)
    return Record(**json.loads(text)) if text else None


def _write(handle: int, record: Record) -> None:
    data = json.dumps(dataclasses.asdict(record)).encode()
    os.ftruncate(handle, 0)
    os.pwrite(handle, data, 0)
