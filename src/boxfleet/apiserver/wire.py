"""The head of an HTTP/1.1 answer as bytes (RFC 9112)."""

import http
import re
from collections.abc import Iterable, Sequence

_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in http.HTTPStatus}
_BREAK = re.compile(rb"[\n\r\0]").search


class _Dates:
    """The newest default headers of the HTTP server, which changes them once a second."""

    source: Sequence[tuple[bytes, bytes]] = ()
    line = b""


def date_line(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The headers that every answer has, as lines."""
    if headers is not _Dates.source:
        _Dates.source = headers
        _Dates.line = b"".join(b"%s: %s\r\n" % header for header in headers)
    return _Dates.line


def lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Headers as lines; raises ValueError when one would end before its time."""
    made = []
    for name, value in headers:
        if _BREAK(value) is not None:
            raise ValueError(f"a line break in the header {name.decode('latin-1')}")
        made.append(b"%s: %s\r\n" % (name, value))
    return b"".join(made)


def headers(lines: bytes) -> list[tuple[bytes, bytes]]:
    """The way back from `lines`."""
    pairs = [line.partition(b": ") for line in lines.split(b"\r\n")[:-1]]
    return [(name, value) for name, _, value in pairs]


def head(status: int, lines: bytes, *, date: bytes, keep_alive: bool) -> bytes:
    """Status line and header lines with the empty line."""
    first = _LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
    return b"%s%s%s%s" % (first, date, lines, b"\r\n" if keep_alive else b"connection: close\r\n\r\n")
