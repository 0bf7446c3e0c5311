"""Lines on their way to disk: together, and before their requests are answered.

What comes up in one turn of the event loop is written at once by one call, which takes a microsecond or two; after it,
no death of the process loses a line. Flushing the disk itself happens in a thread, for all lines that wait, once a
second or, when answers are to wait for it, at once.

A piece of the disk is held in reserve: when the disk is full it is given back, so that what is under way can still be
recorded while new requests are refused.
"""

import asyncio
import concurrent.futures
import contextlib
import errno
import os
import pathlib
from typing import Final

import structlog

from boxfleet.apiserver.audit import files
from boxfleet.apiserver.audit import sessions as sessions_
from boxfleet.kit import clock as clocks

log = structlog.get_logger()

_RESERVE: Final = 1024 * 1024
_FLUSH_SECONDS: Final = 1.0
# While lines cannot be written, as many wait in memory for the next try.
_WAITING_LINES: Final = 10_000


class Journal:
    """One server's audit log. For one event loop, from `start` to `stop`."""

    def __init__(
        self,
        folder: pathlib.Path,
        *,
        server: str,
        clock: clocks.Clock,
        keeping: files.Keeping = files.Keeping(),  # noqa: B008  # it has no state
        flush_first: bool = False,
        sessions: sessions_.Sessions | None = None,
    ) -> None:
        """Recordings in `sessions` are kept for as long as files are.

        With `flush_first` answers wait until the disk has their lines, and survive a power cut with them."""
        self._folder = folder
        self._server = server
        self._clock = clock
        self._keeping = keeping
        self._flush_first = flush_first
        self._sessions = sessions
        self._handle = -1
        self._size = 0
        self._opened = 0.0
        self._lines: list[bytes] = []
        self._waiters: list[asyncio.Future[None]] = []
        self._unflushed: list[asyncio.Future[None]] = []
        self._scheduled = False
        self._written = False
        self._flushing = False
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "boxfleet-audit")
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop
        # What keeps lines from being written; empty when nothing does.
        self.trouble = ""
        # Lines that were written, and those that never could be.
        self.lines = 0
        self.lost = 0

    def start(self) -> None:
        """Open the file and take the reserve. What cannot be done yet is tried again every second."""
        self._loop = asyncio.get_running_loop()
        try:
            self._open()
            self._tidy()
            self._take_reserve()
        except OSError as error:
            self._complain(error)
        self._timer = self._loop.call_later(_FLUSH_SECONDS, self._tick)

    async def stop(self) -> None:
        """Write and flush what waits, and close."""
        if self._timer is not None:
            self._timer.cancel()
        self._write()
        if self._handle >= 0:
            with contextlib.suppress(OSError):
                await self._loop.run_in_executor(self._thread, os.fdatasync, self._handle)
            os.close(self._handle)
            self._handle = -1
        self._thread.shutdown()
        self._resolve(self._unflushed)
        self._reserve.unlink(missing_ok=True)

    def append(self, line: bytes) -> None:
        """Have a line written soon."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._write)
        self._lines.append(line)

    def written(self) -> "asyncio.Future[None]":
        """Done when what was appended is safe; raises OSError when it could not be written."""
        future = self._loop.create_future()
        self._waiters.append(future)
        return future

    def _write(self) -> None:
        """One call for all lines that wait."""
        self._scheduled = False
        if not self._lines:
            return
        lines, waiters, self._waiters = self._lines, self._waiters, []
        try:
            self._put(b"".join(lines))
        except OSError as error:
            self._failed(error, waiters)
            return
        self.lines += len(lines)
        self._lines = []
        self._written = True
        if self._flush_first:
            self._unflushed += waiters
            self._flush()
        else:
            self._resolve(waiters)

    def _put(self, data: bytes) -> None:
        try:
            self._write_whole(data)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not self._give_reserve():
                raise
            self._complain(error)
            self._write_whole(data)

    def _write_whole(self, data: bytes) -> None:
        if self._handle < 0:
            raise OSError(errno.EBADF, self.trouble)
        try:
            done = os.write(self._handle, data)
            while done < len(data):
                done += os.write(self._handle, data[done:])
        except OSError:
            # Half a line must not stay: the same lines come again.
            os.ftruncate(self._handle, self._size)
            raise
        self._size += done

    def _failed(self, error: OSError, waiters: "list[asyncio.Future[None]]") -> None:
        self._complain(error)
        too_many = len(self._lines) - _WAITING_LINES
        if too_many > 0:
            del self._lines[:too_many]
            self.lost += too_many
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(OSError(error.errno, error.strerror))
                # A client that left waits for it no more.
                waiter.exception()

    def _complain(self, error: OSError) -> None:
        if not self.trouble:
            log.error("the audit log cannot be written", folder=str(self._folder), cause=error.strerror)
        self.trouble = error.strerror or str(error)

    def _tick(self) -> None:
        """Once a second: flush, turn over, and try again what failed."""
        self._timer = self._loop.call_later(_FLUSH_SECONDS, self._tick)
        if self.trouble:
            self._recover()
        else:
            self._write()
        self._flush()
        now = self._clock.monotonic()
        if self._size and (self._size >= self._keeping.file_bytes or now - self._opened >= self._keeping.file_seconds):
            self._turn_over()

    def _recover(self) -> None:
        """Well again once the reserve is back and all lines are written."""
        try:
            if self._handle < 0:
                self._open()
            self._take_reserve()
            self._write_whole(b"".join(self._lines))
        except OSError:
            return
        self.lines += len(self._lines)
        self._lines = []
        self.trouble = ""
        log.info("the audit log can be written again", folder=str(self._folder))

    def _flush(self) -> None:
        """Have the thread flush, unless it is at it; whoever comes meanwhile is in the next turn."""
        if self._flushing or not self._written:
            return
        self._flushing, self._written = True, False
        waiters, self._unflushed = self._unflushed, []
        flushed = self._loop.run_in_executor(self._thread, os.fdatasync, self._handle)
        flushed.add_done_callback(lambda done: self._flushed(done, waiters))

    def _flushed(self, done: "asyncio.Future[None]", waiters: "list[asyncio.Future[None]]") -> None:
        self._flushing = False
        error = done.exception()
        if isinstance(error, OSError):
            self._failed(error, waiters)
            return
        self._resolve(waiters)
        if self._unflushed:
            self._flush()

    def _resolve(self, waiters: "list[asyncio.Future[None]]") -> None:
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _open(self) -> None:
        files.make_folder(self._folder)
        self._handle = files.open_file(self._folder, self._server)
        self._size = os.fstat(self._handle).st_size
        # The age counts from here: one that an earlier process began is turned over a little later.
        self._opened = self._clock.monotonic()

    def _turn_over(self) -> None:
        """Begin another file; the thread flushes the old one behind what it still has to do."""
        old = self._handle
        try:
            files.set_aside(self._folder, self._server, now=self._clock.now())
            self._open()
        except OSError as error:
            self._complain(error)
            return
        self._loop.run_in_executor(self._thread, _end, old)
        self._tidy()

    def _tidy(self) -> None:
        removed = files.clear(self._folder, self._server, self._keeping, now=self._clock.now())
        if self._sessions is not None:
            removed += self._sessions.clear(older_than=self._keeping.seconds)
        for path in removed:
            log.info("an audit file is too old to keep, or all are too large", file=str(path))

    @property
    def _reserve(self) -> pathlib.Path:
        return self._folder / f".{self._server}.reserve"

    def _take_reserve(self) -> None:
        """Hold a piece of the disk; raises OSError."""
        handle = os.open(self._reserve, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(handle, 0, _RESERVE)
        except OSError:
            self._reserve.unlink(missing_ok=True)
            raise
        finally:
            os.close(handle)

    def _give_reserve(self) -> bool:
        """Make room; whether there was any to make."""
        try:
            self._reserve.unlink()
        except OSError:
            return False
        return True


def _end(handle: int) -> None:
    try:
        os.fdatasync(handle)
    finally:
        os.close(handle)
