"""``boxfleet audit replay``: a recorded session on this terminal."""

import sys
import time
from typing import Final

from boxfleet.apiserver.audit import sessions
from boxfleet.app import paths, settings
from boxfleet.cli import faults

_REMARK: Final = "\r\n--- {} ---\r\n"


def run(known: settings.All, name: str, *, longest: float | None) -> int:
    """Play it; pauses are at most so many seconds, or as they were."""
    before = 0.0
    try:
        for at, code, text in sessions.read(paths.of(known).recordings, name):
            pause = at - before if longest is None else min(at - before, longest)
            before = at
            if pause > 0:
                time.sleep(pause)
            # What was sent without a terminal was not seen by anybody.
            if code == "o":
                sys.stdout.write(text)
            elif code == "m":
                sys.stdout.write(_REMARK.format(text))
            sys.stdout.flush()
    except sessions.ReadError as error:
        raise faults.CommandFailed(str(error)) from None
    return 0
