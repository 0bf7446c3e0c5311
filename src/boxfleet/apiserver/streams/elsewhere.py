"""Streams of instances in clusters of others: carried out in this process, by whoever speaks to that cluster."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final, Protocol

import structlog

from boxfleet.api import tunnel
from boxfleet.apiserver.streams import streams
from boxfleet.ports import streams as ports

_log = structlog.get_logger(__name__)

# Messages that may wait for their reader, each way.
_BACKLOG: Final = 16


class Elsewhere(Protocol):
    """Hosts that have no agent of ours."""

    def serves(self, node: str) -> bool:
        """Whether a Node stands for such a host."""

    async def carry_out(self, node: str, order: tunnel.Order, channels: ports.Channels) -> bytes:
        """Carry an order out as an agent would; the Status to finish with. Raises Refusal and Disconnected."""


class _Pipe:
    """Both ends of a stream within a process: `ports.Channels` for the work, `streams.Stream` for the user's side."""

    def __init__(self) -> None:
        self._inward: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue(_BACKLOG)
        self._outward: asyncio.Queue[tuple[int, bytes] | streams.Ended] = asyncio.Queue(_BACKLOG)
        self._over = asyncio.Event()

    async def receive(self) -> tuple[int, bytes]:
        found = await self._outward.get()
        if isinstance(found, streams.Ended):
            # Whoever asks again hears the same.
            self._over.set()
            self._outward.put_nowait(found)
            raise found
        return found

    async def send(self, channel: int, data: bytes) -> None:
        put = asyncio.ensure_future(self._inward.put((channel, data)))
        over = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait((put, over), return_when=asyncio.FIRST_COMPLETED)
        finally:
            put.cancel()
            over.cancel()

    async def forward(self, message: bytes) -> None:
        await self.send(message[0], message[1:])

    async def finish(self, status: bytes | None) -> None:
        await self._outward.put(streams.Ended(status))
        self._over.set()

    @property
    def channels(self) -> "_Channels":
        return _Channels(self._inward, self._outward)


class _Channels:
    def __init__(
        self,
        inward: asyncio.Queue[tuple[int, bytes]],
        outward: "asyncio.Queue[tuple[int, bytes] | streams.Ended]",
    ) -> None:
        self._inward = inward
        self._outward = outward

    async def send(self, channel: tunnel.Channel, data: bytes) -> None:
        await self._outward.put((int(channel), data))

    async def receive(self) -> AsyncIterator[tuple[int, bytes]]:
        while True:
            yield await self._inward.get()


@contextlib.asynccontextmanager
async def opened(by: Elsewhere, node: str, order: tunnel.Order) -> AsyncIterator[streams.Stream]:
    """A stream whose order is being carried out; leaving it ends the work."""
    pipe = _Pipe()
    work = asyncio.create_task(_carry_out(by, node, order, pipe), name=f"stream to {node}")
    try:
        yield pipe
    finally:
        work.cancel()
        await asyncio.wait([work])


async def _carry_out(by: Elsewhere, node: str, order: tunnel.Order, pipe: _Pipe) -> None:
    status: bytes | None = None
    try:
        status = await by.carry_out(node, order, pipe.channels)
    except ports.Refusal as refusal:
        status = tunnel.failure(code=refusal.code, reason=refusal.reason, message=refusal.message)
    except ports.Disconnected:
        status = None
    except Exception as error:
        # One stream's fault is its user's to hear.
        _log.exception("stream failed", node=node, order=type(order).__name__)
        status = tunnel.failure(code=500, reason="InternalError", message=f"the cluster's driver failed: {error!r}")
    await pipe.finish(status)
