"""Connections in both directions, of which one can be ended alone: over sockets as they are, and over TLS."""

import asyncio
import contextlib
import ssl
from typing import Final, Protocol

_CHUNK: Final = 64 * 1024


class Line(Protocol):
    """A stream each way. Everything that sends or receives raises OSError when the connection breaks."""

    async def read(self, n: int, /) -> bytes:
        """At most so many bytes; none at the end."""

    async def readexactly(self, n: int, /) -> bytes:
        """So many bytes; raises asyncio.IncompleteReadError at the end."""

    async def readuntil(self, separator: bytes, /) -> bytes:
        """All up to a separator, and that; raises asyncio.IncompleteReadError at the end."""

    async def write(self, data: bytes, /) -> None:
        """Send; returns when it is on its way."""

    async def end(self) -> None:
        """Send no more; what the other side says is still heard."""

    def abort(self) -> None:
        """Let go of the connection."""


class Plain:
    """A line over a socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self, n: int, /) -> bytes:
        """At most so many bytes; none at the end."""
        return await self._reader.read(n)

    async def readexactly(self, n: int, /) -> bytes:
        """So many bytes."""
        return await self._reader.readexactly(n)

    async def readuntil(self, separator: bytes, /) -> bytes:
        """All up to a separator, and that."""
        return await self._reader.readuntil(separator)

    async def write(self, data: bytes, /) -> None:
        """Send."""
        self._writer.write(data)
        await self._writer.drain()

    async def end(self) -> None:
        """Send no more."""
        self._writer.write_eof()

    def abort(self) -> None:
        """Let go of the connection."""
        self._writer.transport.abort()


class Tls:
    """A line over TLS. asyncio's own ends both directions or none; the protocol can end one (RFC 8446, 6.1)."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext, host: str
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._buffer = bytearray()

    async def shake_hands(self) -> None:
        """Begin; raises ssl.SSLError when either side does not trust the other."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                if not await self._receive():
                    raise ConnectionResetError("closed while the keys were exchanged") from None
            else:
                await self._flush()
                return

    async def read(self, n: int, /) -> bytes:
        """At most so many bytes; none at the end."""
        if not self._buffer:
            await self._fill()
        return self._take(n)

    async def readexactly(self, n: int, /) -> bytes:
        """So many bytes."""
        while len(self._buffer) < n:
            if not await self._fill():
                raise asyncio.IncompleteReadError(bytes(self._buffer), n)
        return self._take(n)

    async def readuntil(self, separator: bytes, /) -> bytes:
        """All up to a separator, and that."""
        while (at := self._buffer.find(separator)) < 0:
            if not await self._fill():
                raise asyncio.IncompleteReadError(bytes(self._buffer), None)
        return self._take(at + len(separator))

    async def write(self, data: bytes, /) -> None:
        """Send."""
        self._tls.write(data)
        await self._flush()

    async def end(self) -> None:
        """Send no more."""
        # What has arrived must be read first: the library looks for the other side's end, and takes nothing else.
        while self._decrypt():
            pass
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        await self._flush()

    def abort(self) -> None:
        """Let go of the connection."""
        self._writer.transport.abort()

    def _take(self, n: int) -> bytes:
        taken = bytes(self._buffer[:n])
        del self._buffer[:n]
        return taken

    def _decrypt(self) -> bool:
        """Whether something came out of what has arrived."""
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError, ssl.SSLEOFError):
            data = self._tls.read(_CHUNK)
            self._buffer += data
            return bool(data)
        return False

    async def _fill(self) -> bool:
        """Whether more came before the end."""
        while True:
            try:
                data = self._tls.read(_CHUNK)
            except ssl.SSLWantReadError:
                if not await self._receive():
                    return False
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return False
            else:
                self._buffer += data
                return bool(data)

    async def _receive(self) -> bool:
        data = await self._reader.read(_CHUNK)
        self._incoming.write(data)
        return bool(data)

    async def _flush(self) -> None:
        data = self._outgoing.read()
        if data:
            self._writer.write(data)
            await self._writer.drain()
