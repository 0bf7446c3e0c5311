"""exec and attach over SPDY/3.1, for kubectl before 1.30: a stream for each channel, told apart by `streamtype`.

Seen from here on it is what a WebSocket of `v5.channel.k8s.io` is: messages with their channel in front.
"""

import asyncio
from collections import deque
from typing import Final

from boxfleet.api import tunnel
from boxfleet.apiserver.streams import websocket
from boxfleet.kit import spdy

PROTOCOL: Final = "SPDY/3.1+v4.channel.k8s.io"
# The client opens its streams at once, each after the answer to the one before.
_STREAMS_SECONDS: Final = 30.0
# A terminal's size is a line of some thirty bytes.
_MAX_LINE: Final = 1024
_CHANNELS: Final = {
    "error": tunnel.Channel.ERROR,
    "stdin": tunnel.Channel.STDIN,
    "stdout": tunnel.Channel.STDOUT,
    "stderr": tunnel.Channel.STDERR,
    "resize": tunnel.Channel.RESIZE,
}
_STDIN_CLOSED: Final = bytes([tunnel.Channel.CLOSE, tunnel.Channel.STDIN])


class SpdyChannels:
    """One exec or attach, over a connection that was accepted."""

    def __init__(self, socket: websocket.WebSocket) -> None:
        self._socket = socket
        self._spdy = spdy.Connection(client=False)
        # Frames must leave in the order they were made: their headers share one compression.
        self._sending = asyncio.Lock()
        self._streams: dict[tunnel.Channel, int] = {}
        self._channels: dict[int, tunnel.Channel] = {}
        self._arrived: deque[bytes] = deque()
        self._size = bytearray()

    async def begin(self, *, stdin: bool, stdout: bool, stderr: bool, tty: bool) -> None:
        """Wait until the client has opened the streams that it asked for. Raises Gone when it does not."""
        asked = {
            tunnel.Channel.ERROR: True,
            tunnel.Channel.STDIN: stdin,
            tunnel.Channel.STDOUT: stdout,
            tunnel.Channel.STDERR: stderr and not tty,
            tunnel.Channel.RESIZE: tty,
        }
        try:
            async with asyncio.timeout(_STREAMS_SECONDS):
                while any(wanted and channel not in self._streams for channel, wanted in asked.items()):
                    await self._read()
        except TimeoutError:
            raise websocket.Gone from None

    async def receive(self) -> bytes:
        """The next message. Raises Gone."""
        while not self._arrived:
            await self._read()
        return self._arrived.popleft()

    async def send(self, data: bytes) -> None:
        """Send a message; the Status, on ERROR, ends all streams. Raises Gone."""
        channel, rest = tunnel.Channel(data[0]), data[1:]
        if channel is tunnel.Channel.ERROR:
            for each in (tunnel.Channel.STDOUT, tunnel.Channel.STDERR):
                if each in self._streams:
                    self._spdy.send(self._streams[each], b"", fin=True)
            self._spdy.send(self._streams[channel], rest, fin=True)
        elif rest and channel in self._streams:
            self._spdy.send(self._streams[channel], rest)
        elif not rest:
            # It asks whether somebody is still there, which only an answer of the other side's kernel shows.
            self._spdy.ping()
        await self._flush()

    async def close(self) -> None:
        """End the connection; harmless when it has ended."""
        await self._socket.close()

    async def _read(self) -> None:
        try:
            events = self._spdy.receive(await self._socket.receive())
        except spdy.ProtocolError:
            raise websocket.Gone from None
        for event in events:
            self._handle(event)
        await self._flush()

    def _handle(self, event: spdy.Event) -> None:
        if isinstance(event, spdy.Opened):
            channel = _CHANNELS.get(event.headers.get("streamtype", "").lower())
            if channel is None or channel in self._streams:
                self._spdy.reset(event.stream, spdy.REFUSED_STREAM)
                return
            self._streams[channel] = event.stream
            self._channels[event.stream] = channel
            self._spdy.reply(event.stream)
            if event.fin:
                self._ended(event.stream)
        elif isinstance(event, spdy.Data):
            self._data(event)
        elif isinstance(event, spdy.Reset):
            self._ended(event.stream)

    def _data(self, event: spdy.Data) -> None:
        channel = self._channels.get(event.stream)
        if channel is tunnel.Channel.STDIN and event.data:
            self._arrived.append(bytes([channel]) + event.data)
        elif channel is tunnel.Channel.RESIZE:
            self._resize(event.data)
        if event.fin:
            self._ended(event.stream)

    def _resize(self, data: bytes) -> None:
        self._size += data
        *lines, rest = bytes(self._size).split(b"\n")
        self._size = bytearray(rest[:_MAX_LINE])
        # Of several sizes the last one holds.
        for line in lines[-1:]:
            self._arrived.append(bytes([tunnel.Channel.RESIZE]) + line[:_MAX_LINE])

    def _ended(self, stream: int) -> None:
        if self._channels.get(stream) is tunnel.Channel.STDIN:
            del self._channels[stream]
            self._arrived.append(_STDIN_CLOSED)

    async def _flush(self) -> None:
        async with self._sending:
            if frames := self._spdy.outbox():
                await self._socket.send(frames)
