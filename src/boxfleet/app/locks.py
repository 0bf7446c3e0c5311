"""One process of a kind at a time: the newest wins.

A supervisor that was killed leaves its service running; the next supervisor then starts a second one. That one takes
over: it asks the old one to stop, and ends it when it does not.
"""

import contextlib
import fcntl
import os
import pathlib
import signal
import time

# Longer than a service's own graceful stop.
PATIENCE_SECONDS = 15.0


def take(path: pathlib.Path) -> int:
    """Hold the lock at the path until this process ends, after the one who holds it has ended; the descriptor."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    end = time.monotonic() + PATIENCE_SECONDS
    signal_now: signal.Signals | None = signal.SIGTERM
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            pid = _holder(handle)
            if pid and signal_now is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal_now)
            signal_now = signal.SIGKILL if time.monotonic() > end else None
            time.sleep(0.05)
    os.ftruncate(handle, 0)
    os.pwrite(handle, str(os.getpid()).encode(), 0)
    return handle


def holder(path: pathlib.Path) -> int:
    """The process that holds the lock; 0 when none does."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(handle)
    finally:
        os.close(handle)
    return 0


def _holder(handle: int) -> int:
    try:
        return int(os.pread(handle, 20, 0))
    except ValueError:
        return 0
