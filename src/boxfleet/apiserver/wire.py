"""The head of an HTTP/1.1 answer as bytes (RFC 9112)."""

import http
from collections.abc import Iterable, Sequence

_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in http.HTTPStatus}


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


def head(status: int, headers: Iterable[tuple[bytes, bytes]], *, date: bytes, keep_alive: bool) -> bytes:
    """Status line and headers with the empty line; raises ValueError when a header would end before its time."""
    lines = [_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status, date]
    for name, value in headers:
        if b"\n" in value or b"\r" in value or b"\0" in value:
            raise ValueError(f"a line break in the header {name.decode('latin-1')}")
        lines.append(b"%s: %s\r\n" % (name, value))
    lines.append(b"\r\n" if keep_alive else b"connection: close\r\n\r\n")
    return b"".join(lines)
