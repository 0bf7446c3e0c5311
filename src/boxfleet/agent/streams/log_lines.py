"""The lines of a container's log: from CRI's file format to what people read.

A line of the file is ``TIME STREAM TAGS CONTENT`` (CRI logging format); tag ``P`` says that the container's own
line goes on in the stream's next entry, ``F`` that it is complete.
"""

import datetime
import re
from typing import Final, NamedTuple

# What may wait for the end of another stream's line, and how long a line of the file may be (bytes).
_MAX_HELD: Final = 1024 * 1024

_COMPLETE: Final = re.compile(rb"^(\S+ )std(?:out|err) F ", re.MULTILINE)


class _Entry(NamedTuple):
    time: bytes
    stream: bytes
    full: bool
    content: bytes


def is_partial(line: bytes) -> bool:
    """Whether a line of the file is one that goes on."""
    parts = line.split(b" ", 3)
    return len(parts) >= 3 and parts[2].split(b":")[0].rstrip(b"\n") == b"P"


class Joiner:
    """Puts log entries together again, in order; lines of two streams never run into each other.

    `since` (seconds since the epoch) drops what is older; `timestamps` puts each line's time in front.
    """

    def __init__(self, *, timestamps: bool = False, since: float = 0.0) -> None:
        self._timestamps = timestamps
        self._since = since
        self._rest = b""
        # The stream whose line is not complete, and what came from the other one meanwhile.
        self._open = b""
        self._held: list[_Entry] = []
        self._held_size = 0
        self._out: list[bytes] = []

    def feed(self, block: bytes) -> bytes:
        """Take bytes of the file, cut anywhere; the text that they make."""
        whole, newline, self._rest = (self._rest + block).rpartition(b"\n")
        whole += newline
        if not self._open and not self._since:
            # Nearly all lines of nearly all logs are complete: all of them at once.
            text, count = _COMPLETE.subn(rb"\1" if self._timestamps else b"", whole)
            if count == whole.count(b"\n"):
                return text
        for line in whole.split(b"\n"):
            if line:
                self._line(line)
        if len(self._rest) > _MAX_HELD:
            self._line(self._rest)
            self._rest = b""
        return self._take()

    def finish(self) -> bytes:
        """The text of what still waits, at the end of the log."""
        if self._held:
            self._break()
        return self._take()

    def _line(self, line: bytes) -> None:
        parts = line.split(b" ", 3)
        if len(parts) < 3 or parts[1] not in (b"stdout", b"stderr"):
            # Not CRI's format, such as the first bytes of a file that was cut: shown as it is.
            parts = [b"", b"stdout", b"F", line]
        if self._since and parts[0]:
            if _seconds(parts[0]) < self._since:
                return
            # Entries are in order of time.
            self._since = 0.0
        content = parts[3] if len(parts) == 4 else b""
        self._entry(_Entry(parts[0], parts[1], parts[2].split(b":")[0] != b"P", content))

    def _entry(self, entry: _Entry) -> None:
        if self._open not in (b"", entry.stream):
            self._held.append(entry)
            self._held_size += len(entry.content)
            if self._held_size > _MAX_HELD:
                self._break()
            return
        if not self._open and self._timestamps and entry.time:
            self._out += (entry.time, b" ")
        self._out.append(entry.content)
        if entry.full:
            self._out.append(b"\n")
            self._open = b""
            self._replay()
        else:
            self._open = entry.stream

    def _break(self) -> None:
        """End a line that does not end by itself."""
        self._out.append(b"\n")
        self._open = b""
        self._replay()

    def _replay(self) -> None:
        held, self._held, self._held_size = self._held, [], 0
        for entry in held:
            self._entry(entry)

    def _take(self) -> bytes:
        text = b"".join(self._out)
        self._out.clear()
        return text


def _seconds(text: bytes) -> float:
    """RFC 3339 to seconds since the epoch; what cannot be read counts as now and is shown."""
    try:
        return datetime.datetime.fromisoformat(text.decode("ascii")).timestamp()
    except ValueError:
        return float("inf")
