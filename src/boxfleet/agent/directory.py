"""The list of servers, kept true by their Leases and on disk: an agent that starts anew finds the others too."""

import asyncio
import pathlib

import msgspec
import structlog

from boxfleet.api import lease, servers
from boxfleet.client import cache, client
from boxfleet.client import servers as known_servers
from boxfleet.kit import durable

log = structlog.get_logger()


def remembered(file: pathlib.Path) -> list[str]:
    """The servers that were announced last; none when the file is not there or no list."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=list[str])
    except (FileNotFoundError, msgspec.MsgspecError):
        return []


class Directory:
    """Tells `known` of every change, and writes it to `file`."""

    def __init__(self, api: client.Client, known: known_servers.Servers, *, file: pathlib.Path) -> None:
        self._leases = cache.Cache(api, lease.Lease, namespace=servers.NAMESPACE, labels=servers.SELECTOR)
        self._known = known
        self._file = file
        self._look = asyncio.Event()
        self._leases.listen(lambda _old, _new: self._look.set())

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._leases.run())
            await self._leases.synced.wait()
            while True:
                self._look.clear()
                self._take()
                await self._look.wait()

    def _take(self) -> None:
        found = servers.addresses(self._leases)
        if list(found) == remembered(self._file):
            self._known.announce(found)
            return
        log.info("servers", announced=found)
        self._known.announce(found)
        durable.write(self._file, msgspec.json.encode(found), mode=0o600)
