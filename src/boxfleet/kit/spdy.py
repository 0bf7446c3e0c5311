"""SPDY/3.1 framing without I/O: bytes in, events out, and the bytes to send.

The subset that Kubernetes' remote command and port-forward streams use, for either end of a connection
(SPDY Protocol, Draft 3.1). Peers of that family neither send nor obey WINDOW_UPDATE, so no window is kept here:
whoever reads the connection slowly holds the sender back through TCP.
"""

import dataclasses
import struct
import zlib
from collections.abc import Mapping
from typing import Final

_VERSION: Final = 3
_SYN_STREAM: Final = 1
_SYN_REPLY: Final = 2
_RST_STREAM: Final = 3
_SETTINGS: Final = 4
_PING: Final = 6
_GOAWAY: Final = 7
_HEADERS: Final = 8
_WINDOW_UPDATE: Final = 9

_FIN: Final = 0x01
_STREAM_MASK: Final = 0x7FFFFFFF
_MAX_DATA: Final = 0xFFFFFF

# A control frame is kept whole in memory, data never is; headers are what a small frame could inflate to.
MAX_CONTROL: Final = 64 * 1024
MAX_HEADERS: Final = 256 * 1024

# RST_STREAM status codes.
REFUSED_STREAM: Final = 3
CANCEL: Final = 5


_DICTIONARY_WORDS: Final = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age "
    "allow authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status"
)


def _dictionary() -> bytes:
    """The zlib dictionary of header blocks (section 2.6.10.1): length-prefixed words, then plain text."""
    words = _DICTIONARY_WORDS.split()
    words += ["200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin"]
    prefixed = b"".join(struct.pack("!I", len(word)) + word.encode() for word in words)
    text = (
        "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
        "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
        "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
        "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
        "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
        "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
    )
    return prefixed + text.encode()


DICTIONARY: Final = _dictionary()

Headers = dict[str, str]


class ProtocolError(Exception):
    """The peer does not speak SPDY/3.1 as it should: the connection is of no more use."""


@dataclasses.dataclass(frozen=True, slots=True)
class Opened:
    """The peer opened a stream; answer with `reply` or `reset`. Header names are lower case."""

    stream: int
    headers: Headers
    fin: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Replied:
    """The peer took a stream that this end opened."""

    stream: int
    headers: Headers
    fin: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Data:
    """A piece of a stream, as long as what arrived; `fin` comes with the peer's last one."""

    stream: int
    data: bytes
    fin: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Reset:
    """The peer broke a stream off, both ways."""

    stream: int
    status: int


@dataclasses.dataclass(frozen=True, slots=True)
class Ponged:
    """The answer to one of this end's pings."""

    ping: int


@dataclasses.dataclass(frozen=True, slots=True)
class GoneAway:
    """The peer takes no more streams."""

    last_stream: int
    status: int


Event = Opened | Replied | Data | Reset | Ponged | GoneAway


class Connection:
    """One end of a SPDY connection.

    Methods that speak put bytes in the outbox; send what `outbox()` gives after each call, also after
    `receive`, which answers the peer's pings.
    """

    def __init__(self, *, client: bool) -> None:
        self._next_stream = 1 if client else 2
        self._next_ping = 1 if client else 2
        self._compress = zlib.compressobj(zdict=DICTIONARY)
        self._decompress = zlib.decompressobj(zdict=DICTIONARY)
        self._inbox = bytearray()
        self._outbox = bytearray()
        # The data frame that is arriving: its stream, bytes still to come, and whether it ends the stream.
        self._arriving: tuple[int, int, bool] | None = None
        self._last_peer_stream = 0

    def outbox(self) -> bytes:
        """Take the bytes that are to be sent."""
        taken = bytes(self._outbox)
        self._outbox.clear()
        return taken

    def open(self, headers: Mapping[str, str], *, fin: bool = False) -> int:
        """Open a stream; its number."""
        stream = self._next_stream
        self._next_stream += 2
        body = struct.pack("!IIH", stream, 0, 0) + self._pack_headers(headers)
        self._control(_SYN_STREAM, body, flags=_FIN if fin else 0)
        return stream

    def reply(self, stream: int, headers: Mapping[str, str] | None = None, *, fin: bool = False) -> None:
        """Take a stream that the peer opened."""
        body = struct.pack("!I", stream) + self._pack_headers(headers or {})
        self._control(_SYN_REPLY, body, flags=_FIN if fin else 0)

    def send(self, stream: int, data: bytes, *, fin: bool = False) -> None:
        """Send data on a stream; `fin` ends this end's half of it."""
        view = memoryview(data)
        while len(view) > _MAX_DATA:
            self._data(stream, view[:_MAX_DATA], flags=0)
            view = view[_MAX_DATA:]
        self._data(stream, view, flags=_FIN if fin else 0)

    def reset(self, stream: int, status: int) -> None:
        """Break a stream off, both ways."""
        self._control(_RST_STREAM, struct.pack("!II", stream, status))

    def ping(self) -> int:
        """Ask the peer for a sign of life; the number its `Ponged` will carry."""
        number = self._next_ping
        self._next_ping += 2
        self._control(_PING, struct.pack("!I", number))
        return number

    def go_away(self, status: int = 0) -> None:
        """Say that no more streams are taken."""
        self._control(_GOAWAY, struct.pack("!II", self._last_peer_stream, status))

    def receive(self, data: bytes) -> list[Event]:
        """Take in bytes from the peer, cut anywhere; raises ProtocolError."""
        self._inbox += data
        events: list[Event] = []
        position = 0
        while True:
            used = self._step(position, events)
            if used < 0:
                break
            position += used
        del self._inbox[:position]
        return events

    def _step(self, start: int, events: list[Event]) -> int:
        """Read one frame, or a part of a data frame; the bytes used, -1 when more must come first."""
        have = len(self._inbox) - start
        if self._arriving is not None:
            return self._continue(start, have, events)
        if have < 8:
            return -1
        word = int.from_bytes(self._inbox[start : start + 4])
        flags, length = self._inbox[start + 4], int.from_bytes(self._inbox[start + 5 : start + 8])
        if not word >> 31:
            stream = word & _STREAM_MASK
            if stream == 0:
                raise ProtocolError("data on stream 0")
            self._arriving = (stream, length, bool(flags & _FIN))
            return 8
        version, kind = (word >> 16) & 0x7FFF, word & 0xFFFF
        if version != _VERSION:
            raise ProtocolError(f"frame of SPDY version {version}, expected {_VERSION}")
        if length > MAX_CONTROL:
            raise ProtocolError(f"control frame of {length} bytes, more than {MAX_CONTROL}")
        if have < 8 + length:
            return -1
        self._handle(kind, flags, bytes(self._inbox[start + 8 : start + 8 + length]), events)
        return 8 + length

    def _continue(self, start: int, have: int, events: list[Event]) -> int:
        assert self._arriving is not None
        stream, missing, fin = self._arriving
        if missing and not have:
            return -1
        size = min(missing, have)
        last = size == missing
        self._arriving = None if last else (stream, missing - size, fin)
        piece = bytes(memoryview(self._inbox)[start : start + size])
        if piece or (fin and last):
            events.append(Data(stream, piece, fin and last))
        return size

    def _handle(self, kind: int, flags: int, body: bytes, events: list[Event]) -> None:
        fin = bool(flags & _FIN)
        if kind == _SYN_STREAM:
            stream = self._number(body, 10)
            if stream % 2 == self._next_stream % 2 or stream <= self._last_peer_stream:
                raise ProtocolError(f"the peer may not open stream {stream} now")
            self._last_peer_stream = stream
            events.append(Opened(stream, self._unpack_headers(body[10:]), fin))
        elif kind == _SYN_REPLY:
            stream = self._number(body, 4)
            events.append(Replied(stream, self._unpack_headers(body[4:]), fin))
        elif kind == _HEADERS:
            # Their meaning is of no interest, but every block moves the shared decompressor on.
            stream = self._number(body, 4)
            self._unpack_headers(body[4:])
            if fin:
                events.append(Data(stream, b"", fin=True))
        elif kind == _RST_STREAM:
            stream = self._number(body, 8)
            events.append(Reset(stream, self._word(body, 4)))
        elif kind == _PING:
            number = self._word(body, 0)
            if number % 2 == self._next_ping % 2:
                events.append(Ponged(number))
            else:
                self._control(_PING, body[:4])
        elif kind == _GOAWAY:
            events.append(GoneAway(self._word(body, 0) & _STREAM_MASK, self._word(body, 4) if len(body) >= 8 else 0))
        elif kind not in (_SETTINGS, _WINDOW_UPDATE):
            raise ProtocolError(f"unknown control frame type {kind}")

    def _number(self, body: bytes, least: int) -> int:
        if len(body) < least:
            raise ProtocolError(f"control frame of {len(body)} bytes, expected at least {least}")
        stream = self._word(body, 0) & _STREAM_MASK
        if stream == 0:
            raise ProtocolError("control frame for stream 0")
        return stream

    def _word(self, body: bytes, offset: int) -> int:
        if len(body) < offset + 4:
            raise ProtocolError(f"control frame of {len(body)} bytes, expected at least {offset + 4}")
        return int.from_bytes(body[offset : offset + 4])

    def _control(self, kind: int, body: bytes, *, flags: int = 0) -> None:
        self._outbox += struct.pack("!HHI", 0x8000 | _VERSION, kind, flags << 24 | len(body)) + body

    def _data(self, stream: int, data: memoryview, *, flags: int) -> None:
        self._outbox += struct.pack("!II", stream, flags << 24 | len(data))
        self._outbox += data

    def _pack_headers(self, headers: Mapping[str, str]) -> bytes:
        block = bytearray(struct.pack("!I", len(headers)))
        for name, value in headers.items():
            for text in (name.lower().encode(), value.encode()):
                block += struct.pack("!I", len(text)) + text
        # Checked before compression, which remembers what it has seen.
        if len(block) > MAX_CONTROL // 2:
            raise ValueError(f"cannot send {len(block)} bytes of headers: at most {MAX_CONTROL // 2} fit")
        return self._compress.compress(bytes(block)) + self._compress.flush(zlib.Z_SYNC_FLUSH)

    def _unpack_headers(self, packed: bytes) -> Headers:
        try:
            block = self._decompress.decompress(packed, MAX_HEADERS)
        except zlib.error as error:
            raise ProtocolError(f"header block does not decompress: {error}") from error
        if self._decompress.unconsumed_tail:
            raise ProtocolError(f"header block larger than {MAX_HEADERS} bytes")
        count = self._word(block, 0) if block else 0
        position = 4
        headers: Headers = {}
        for _ in range(count):
            name, position = self._text(block, position)
            value, position = self._text(block, position)
            # One name with several values has them joined by NUL.
            headers[name.lower()] = value.replace("\0", ", ")
        return headers

    def _text(self, block: bytes, position: int) -> tuple[str, int]:
        length = self._word(block, position)
        end = position + 4 + length
        if end > len(block):
            raise ProtocolError("header block ends within a header")
        return block[position + 4 : end].decode("utf-8", "replace"), end
