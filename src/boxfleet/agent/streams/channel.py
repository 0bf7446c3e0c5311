"""A data connection that the agent dialled, seen as channels."""

from collections.abc import AsyncIterator

import aiohttp

from boxfleet.api import tunnel
from boxfleet.ports import streams


class WebSocketChannels:
    """Channels over a WebSocket that the agent dialled."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def send(self, channel: tunnel.Channel, data: bytes) -> None:
        """Send data; returns when it is on its way (back-pressure). Raises Disconnected."""
        try:
            await self._socket.send_bytes(bytes([channel]) + data)
        except (ConnectionError, aiohttp.ClientError) as error:
            raise streams.Disconnected(str(error)) from error

    async def receive(self) -> AsyncIterator[tuple[int, bytes]]:
        """(channel, data) until the other side closes."""
        async for message in self._socket:
            if message.type is aiohttp.WSMsgType.BINARY and message.data:
                yield message.data[0], message.data[1:]
