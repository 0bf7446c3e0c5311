"""A data connection, seen as channels."""

from collections.abc import AsyncIterator
from typing import Protocol

import aiohttp

from boxfleet.api import tunnel


class Refusal(Exception):
    """An order that cannot be carried out, as the Status that the user will see."""

    def __init__(self, message: str, *, code: int = 500, reason: str = "InternalError") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason


class Disconnected(Exception):
    """The other side has gone: nobody is left to serve or to tell."""


class Channels(Protocol):
    """What an order's work reads and writes."""

    async def send(self, channel: tunnel.Channel, data: bytes) -> None:
        """Send data; returns when it is on its way (back-pressure). Raises Disconnected."""

    def receive(self) -> AsyncIterator[tuple[int, bytes]]:
        """(channel, data) until the other side closes."""


class WebSocketChannels:
    """Channels over a WebSocket that the agent dialled."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def send(self, channel: tunnel.Channel, data: bytes) -> None:
        """Send data; returns when it is on its way (back-pressure). Raises Disconnected."""
        try:
            await self._socket.send_bytes(bytes([channel]) + data)
        except (ConnectionError, aiohttp.ClientError) as error:
            raise Disconnected(str(error)) from error

    async def receive(self) -> AsyncIterator[tuple[int, bytes]]:
        """(channel, data) until the other side closes."""
        async for message in self._socket:
            if message.type is aiohttp.WSMsgType.BINARY and message.data:
                yield message.data[0], message.data[1:]
