"""TLS between a socket and a protocol, by the standard library's `ssl` over memory.

uvloop's own way keeps a read buffer of 256 KiB for each connection: half of what an idle watcher costs. The engine is
the same, OpenSSL by way of `ssl.MemoryBIO`, and so is the CPU that it takes.
"""

import asyncio
import contextlib
import ssl
from typing import Any, cast

# The largest TLS record (RFC 8446, 5.1). More is sent piece by piece, since OpenSSL's buffers keep the largest size
# they ever had.
_PIECE = 16 * 1024
_HANDSHAKE_SECONDS = 30.0
_NOT_SECRET = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"


class Transport(asyncio.Transport):
    """What the protocol inside sees: plain bytes both ways."""

    __slots__ = ("_owner", "_raw")

    def __init__(self, owner: "Tls", raw: asyncio.Transport) -> None:
        super().__init__()
        self._owner = owner
        self._raw = raw

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send."""
        if data:
            self._owner.encrypt(data)

    def close(self) -> None:
        """Say goodbye after what was written."""
        self._owner.close()

    def abort(self) -> None:
        """End at once; nothing more is sent."""
        self._raw.abort()

    def is_closing(self) -> bool:
        """Whether the end has begun."""
        return self._raw.is_closing()

    def pause_reading(self) -> None:
        """Let the other side wait."""
        if self._raw.is_reading():
            self._raw.pause_reading()
        self._owner.paused = True

    def resume_reading(self) -> None:
        """Go on."""
        if not self._raw.is_reading() and not self._raw.is_closing():
            self._raw.resume_reading()
        self._owner.resume()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Give what arrives to another protocol from now on."""
        self._owner.inner = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who gets what arrives."""
        return self._owner.inner

    def get_write_buffer_size(self) -> int:
        """Encrypted bytes that the other side has not taken yet."""
        return self._raw.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """When the protocol is told to pause and to go on."""
        self._raw.set_write_buffer_limits(high, low)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Facts of the connection: those of `ssl_object`, else the socket's."""
        if name == "ssl_object":
            return self._owner.engine
        if name == "sslcontext":
            return self._owner.engine.context
        return self._raw.get_extra_info(name, default)


class Engines:
    """Makes the engines of one server, which all pass their bytes through the same memory.

    Memory of its own would cost each connection 3 KiB, since it keeps the size of the certificates that were shown at
    first. It is empty whenever anything else runs: what has arrived is decrypted whole, whether or not it is wanted
    yet, and what is to be sent is taken out at once. Connections of one event loop only.
    """

    __slots__ = ("_context", "incoming", "outgoing")

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()

    def make(self) -> ssl.SSLObject:
        """The server's engine of a new connection."""
        return self._context.wrap_bio(self.incoming, self.outgoing, server_side=True)


class Tls(asyncio.Protocol):
    """The server's side of one connection."""

    __slots__ = ("_ended", "_engines", "_raw", "_shaking", "_timer", "_unread", "engine", "inner", "paused")

    def __init__(self, engines: Engines, inner: asyncio.Protocol) -> None:
        self._engines = engines
        self.engine = engines.make()
        self.inner = inner
        # The protocol inside wants nothing more for now; what came before it said so waits, decrypted.
        self.paused = False
        self._unread: list[bytes] | None = None
        self._raw: asyncio.Transport
        self._shaking = True
        self._ended = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the client's hello, but not for ever."""
        # uvloop's transports are of no common class.
        self._raw = cast(asyncio.Transport, transport)
        self._timer = asyncio.get_running_loop().call_later(_HANDSHAKE_SECONDS, self._raw.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone."""
        self._stop_timer()
        if not self._shaking:
            self.inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Decrypt, and hand on."""
        incoming = self._engines.incoming
        try:
            incoming.write(data)
            plain = self._decrypt() if not self._shaking or self._shake() else None
        except ssl.SSLError as error:
            # What is left of it is not for the next connection.
            incoming.read()
            if getattr(error, "reason", "") == "HTTP_REQUEST":
                self._engines.outgoing.read()
                self._raw.write(_NOT_SECRET)
            else:
                # The alert that says why is in the buffer.
                self._flush()
            self._raw.close()
            return
        if self._engines.outgoing.pending:
            # The handshake's last words, or an answer to a key update.
            self._flush()
        if plain is None:
            return
        if self._shaking:
            self._shaking = False
            self._stop_timer()
            self.inner.connection_made(Transport(self, self._raw))
        if self._unread is not None:
            self._unread += plain
        elif plain:
            self._hand_on(plain)

    def eof_received(self) -> bool:
        """The other side ended without goodbye."""
        return False

    def pause_writing(self) -> None:
        """The other side reads slowly."""
        if not self._shaking:
            self.inner.pause_writing()

    def resume_writing(self) -> None:
        """The other side has caught up."""
        if not self._shaking:
            self.inner.resume_writing()

    def encrypt(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes; memory takes them whole."""
        if self._ended or self._raw.is_closing():
            return
        try:
            if len(data) <= _PIECE:
                self.engine.write(data)
                self._raw.write(self._engines.outgoing.read())
                return
            whole, pieces = memoryview(data), []
            for at in range(0, len(data), _PIECE):
                self.engine.write(whole[at : at + _PIECE])
                pieces.append(self._engines.outgoing.read())
            self._raw.write(b"".join(pieces))
        except ssl.SSLError:
            # What was written before cannot be gone on with.
            self._engines.outgoing.read()
            self._raw.abort()

    def close(self) -> None:
        """Say goodbye (close_notify, RFC 8446, 6.1), and end once everything is sent."""
        if not self._ended and not self._raw.is_closing():
            self._ended = True
            with contextlib.suppress(ssl.SSLError):
                self.engine.unwrap()
            self._flush()
        self._raw.close()

    def resume(self) -> None:
        """Hand on what arrived while the protocol inside was pausing."""
        if self.paused:
            self.paused = False
            if self._unread is not None:
                asyncio.get_running_loop().call_soon(self._go_on)

    def _shake(self) -> bool:
        """Go on with the handshake; whether it is complete."""
        try:
            self.engine.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def _decrypt(self) -> list[bytes]:
        """All that has arrived, in records; an empty one is the client's goodbye."""
        engine, incoming = self.engine, self._engines.incoming
        plain = []
        while incoming.pending or engine.pending():
            try:
                data = engine.read(_PIECE)
            except ssl.SSLWantReadError:
                break
            plain.append(data)
            if not data:
                # Nothing counts that comes after it.
                incoming.read()
                break
        return plain

    def _hand_on(self, plain: list[bytes]) -> None:
        for at, data in enumerate(plain):
            if self._raw.is_closing():
                return
            if self.paused:
                self._unread = plain[at:]
                return
            if not data:
                # TLS knows no half-closed connections here.
                self.close()
                return
            self.inner.data_received(data)

    def _go_on(self) -> None:
        plain, self._unread = self._unread, None
        if plain is not None:
            self._hand_on(plain)

    def _flush(self) -> None:
        outgoing = self._engines.outgoing
        if outgoing.pending:
            data = outgoing.read()
            if not self._raw.is_closing():
                self._raw.write(data)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
