"""A pipe to whoever keeps the log, which never holds up the one that writes.

s6-log stops reading while its disk is full. A service that waited for it would stand still with it.
"""

import os


class LogPipe:
    """What structlog writes lines to. Lines that find no room are dropped, and counted in the next one that does."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._rest = b""
        self._dropped = 0
        os.set_blocking(handle, False)

    def write(self, text: str) -> None:
        """Pass on whole lines, or drop them."""
        self._push(b"")
        if self._rest:
            self._dropped += text.count("\n")
            return
        note = f'{{"event":"the log took no lines for a while","level":"warning","dropped":{self._dropped}}}\n'
        if self._dropped and self._push(note.encode()):
            self._dropped = 0
        if not self._push(text.encode()):
            self._dropped += text.count("\n")

    def flush(self) -> None:
        """Nothing is held back but what found no room."""

    def _push(self, data: bytes) -> bool:
        """Write what is left of an earlier line, then this; whether it was taken. The rest of one begun is kept."""
        waiting = self._rest + data
        try:
            written = os.write(self._handle, waiting) if waiting else 0
        except BlockingIOError:
            return False
        self._rest = waiting[written:]
        return True
