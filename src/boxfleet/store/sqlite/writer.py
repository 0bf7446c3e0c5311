"""The one thread that writes, with group commit.

Writes queue up while a transaction is being made durable and go together into the next one, so that the cost of
a disk flush is shared by all who wait.
"""

import asyncio
import pathlib
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

import msgspec

from boxfleet.store import backend, codec, errors, rows
from boxfleet.store.sqlite import database

R = TypeVar("R")


class Write(msgspec.Struct, eq=False):
    """Plain rows to append together, and who waits for the first of them."""

    appended: list[backend.LogRow]
    done: "asyncio.Future[rows.Row]"


class _Call(msgspec.Struct, frozen=True):
    """Other work on the database."""

    work: Callable[[database.Database], None]


class Writer:
    """Owns the database. `committed` and `failed` are called on the event loop, in order of commits."""

    def __init__(
        self,
        path: pathlib.Path,
        *,
        batch: int,
        codec: codec.Codec,
        committed: Callable[[list[Write]], None],
        failed: Callable[[list[Write], errors.StoreError], None],
    ) -> None:
        self._path = path
        self._batch = batch
        self._codec = codec
        self._committed = committed
        self._failed = failed
        # Revisions of rows that changed along with a write that failed.
        self._lost: set[int] = set()
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[list[Write] | _Call | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="boxfleet-store", daemon=True)
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()

    async def start(self) -> None:
        """Open the database on the thread; raises what opening raises."""
        self._thread.start()
        await asyncio.shield(self._opened)

    def submit(self, writes: list[Write]) -> None:
        """Queue writes; the list is the thread's from now on."""
        if len(writes) <= self._batch:
            self._queue.put(writes)
            return
        for at in range(0, len(writes), self._batch):
            self._queue.put(writes[at : at + self._batch])

    async def call(self, work: Callable[[database.Database], R]) -> R:
        """Do other work on the database, between two batches."""
        future: asyncio.Future[R] = self._loop.create_future()

        def perform(base: database.Database) -> None:
            try:
                result = work(base)
            except errors.StoreError as error:
                self._tell(_reject, future, error)
            else:
                self._tell(_resolve, future, result)

        self._queue.put(_Call(perform))
        return await future

    async def stop(self) -> None:
        """Write what is queued, close the database, end the thread."""
        self._queue.put(None)
        await asyncio.shield(self._ended)
        self._thread.join()

    def _run(self) -> None:
        try:
            base = database.Database(self._path)
        except errors.StoreError as error:
            self._tell(_reject, self._opened, error)
            self._tell(_resolve, self._ended, None)
            return
        self._tell(_resolve, self._opened, None)
        try:
            self._work(base)
        finally:
            base.close()
            self._tell(_resolve, self._ended, None)

    def _work(self, base: database.Database) -> None:
        item = self._queue.get()
        while item is not None:
            if isinstance(item, _Call):
                item.work(base)
                item = self._queue.get()
                continue
            writes = item
            item = self._gather(writes)
            try:
                base.append(self._rows(writes))
            except errors.StoreError as error:
                self._lost.update(row[0] for write in writes for row in write.appended[1:])
                self._tell(self._failed, writes, error)
            else:
                self._tell(self._committed, writes)
            if item is _NOTHING:
                item = self._queue.get()

    def _rows(self, writes: list[Write]) -> list[backend.LogRow]:
        """The rows as they are stored; refuses what goes on from a row that never came to be."""
        found = [row for write in writes for row in write.appended]
        if self._lost and any(row[3] in self._lost for row in found):
            raise errors.StoreError("cannot write: what it goes on from could not be written; try again")
        encode = self._codec.encode
        return [(revision, key, encode(key, value), previous, gone) for revision, key, value, previous, gone in found]

    def _gather(self, writes: list[Write]) -> "list[Write] | _Call | None":
        """Add waiting writes to the batch; returns the first item that does not go into it."""
        while len(writes) < self._batch:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return _NOTHING
            if not isinstance(item, list) or len(writes) + len(item) > self._batch:
                return item
            writes += item
        return _NOTHING

    def _tell(self, function: Callable[..., None], *args: object) -> None:
        """Call back on the event loop; after its end nobody is left to hear."""
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            return


# Stands for "no further item is waiting": None already means the end.
_NOTHING = _Call(lambda base: None)


def _resolve(future: "asyncio.Future[R]", result: R) -> None:
    if not future.done():
        future.set_result(result)


def _reject(future: "asyncio.Future[R]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
