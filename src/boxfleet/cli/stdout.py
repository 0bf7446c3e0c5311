"""Standard output of a command: where it is closed or full, that is told from every other fault of files."""

import contextlib
import errno
import io
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_FILE = 1


class _UnwritableError(OSError):
    """The answer cannot be written."""


class _Out(io.FileIO):
    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise _UnwritableError(error.errno, error.strerror) from None


def guarded(command: Callable[[], int]) -> int:
    """Run a command; its exit code, or 1 and one line for people when its answer cannot be written.

    Whoever reads it may have had enough (a broken pipe): that is no fault. What cannot be encoded is replaced.
    """
    if sys.stdout is None:
        # Before anything is done that nobody would hear of.
        return _unsaid(os.strerror(errno.EBADF))
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_Out(_FILE, "wb", closefd=False)),
        encoding=sys.stdout.encoding,
        errors="replace",
        line_buffering=sys.stdout.isatty(),
    )
    try:
        code = command()
        sys.stdout.flush()
    except _UnwritableError as error:
        # What is held back could not be written at the end either, and would be told of once more.
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, _FILE)
        os.close(nowhere)
        return 0 if error.errno == errno.EPIPE else _unsaid(str(error.strerror))
    return code


def _unsaid(cause: str) -> int:
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            sys.stderr.write(f"boxfleet: cannot write the answer: {cause}\n")
    return 1
