"""A tunnel to every server: whichever a user asks, it reaches this node's instances."""

import asyncio
import pathlib
import ssl

from boxfleet.agent.streams import tunnel
from boxfleet.client import servers
from boxfleet.ports import runtime


class Tunnels:
    """Serves the streams of one node's instances to all servers that there are; the rest is as for one Tunnel."""

    def __init__(
        self,
        known: servers.Servers,
        *,
        node: str,
        token: str,
        tls: ssl.SSLContext | None,
        engine: runtime.Runtime,
        log_directory: pathlib.Path,
    ) -> None:
        self._servers = known
        self._node = node
        self._token = token
        self._tls = tls
        self._engine = engine
        self._log_directory = log_directory
        self._dialled: set[str] = set()

    async def run(self) -> None:
        """Stay connected to all and serve, until cancelled."""
        self._dialled.clear()
        async with asyncio.TaskGroup() as group:
            while True:
                for url in self._servers.urls:
                    if url not in self._dialled:
                        self._dialled.add(url)
                        group.create_task(self._keep(url), name=f"tunnel to {url}")
                await self._servers.changed()

    async def _keep(self, url: str) -> None:
        """One tunnel. A server that is not announced any more may live all the same: what is connected stays so."""
        one = tunnel.Tunnel(
            server=url,
            node=self._node,
            token=self._token,
            tls=self._tls,
            engine=self._engine,
            log_directory=self._log_directory,
        )
        try:
            # It may be announced again while the last connection ends.
            while url in self._servers.urls:
                await one.run(wanted=lambda: url in self._servers.urls)
        finally:
            self._dialled.discard(url)
