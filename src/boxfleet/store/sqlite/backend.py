"""One server's log: revisions are given when a write is asked for, and the writer thread makes them durable."""

import asyncio
import pathlib

from boxfleet.store import backend, codec, errors, memory, rows
from boxfleet.store import settings as settings_
from boxfleet.store.sqlite import database, writer


class Sqlite:
    """A `backend.Backend` on one file."""

    shared = False
    trouble = ""

    def __init__(
        self, path: pathlib.Path, *, memory: memory.Memory, settings: settings_.Settings, codec: codec.Codec
    ) -> None:
        self._memory = memory
        self._settings = settings
        self._codec = codec
        self._in_flight: dict[str, asyncio.Future[rows.Row]] = {}
        self._next = 1
        self._writer = writer.Writer(
            path, batch=settings.batch, codec=codec, committed=self._on_committed, failed=self._on_failed
        )

    async def start(self) -> None:
        """Open and load the file."""
        await self._writer.start()
        try:
            loaded = await self._writer.call(self._read)
        except BaseException:
            await self._writer.stop()
            raise
        self._memory.fill(loaded)
        self._next = loaded.head + 1

    async def write(self, wish: backend.Wish) -> rows.Row:
        """Queue the write and wait until it is on disk."""
        while (pending := self._in_flight.get(wish.key)) is not None:
            # Whether the other write succeeds decides what this one may do.
            await asyncio.wait([pending])
        current = self._memory.get(wish.key)
        memory.check(key=wish.key, expected=wish.expected, actual=current.revision if current is not None else 0)
        revision = self._next
        value = wish.value(revision)
        self._next += 1
        self._in_flight[wish.key] = wish.done
        self._writer.submit(writer.Write((revision, wish.key, value, wish.expected, wish.deleted), wish.done))
        # A caller that goes away must not take the write with it.
        return await asyncio.shield(wish.done)

    async def current(self) -> None:
        """Nobody else writes: memory is never behind."""

    async def compact(self, *, to: int) -> None:
        """Between two batches."""
        await self._writer.call(lambda base: base.compact(to=to))

    async def stop(self) -> None:
        """Write what is queued and close the file."""
        await self._writer.stop()

    def _read(self, base: database.Database) -> memory.Loaded:
        decode = self._codec.decode
        limit = self._settings.history_changes
        return memory.read(
            ((key, revision, decode(key, value)) for key, revision, value in base.live()),
            (
                (revision, key, decode(key, value), None if before is None else decode(key, before), previous, deleted)
                for revision, key, value, before, previous, deleted in base.history(limit=limit + 1)
            ),
            limit=limit,
            head=base.head(),
            compacted=base.compacted(),
        )

    def _on_committed(self, writes: list[writer.Write]) -> None:
        self._memory.apply(write.row for write in writes)
        for write in writes:
            revision, key, value, _, _ = write.row
            self._in_flight.pop(key, None)
            if not write.done.done():
                write.done.set_result(rows.Row(key, revision, value))

    def _on_failed(self, writes: list[writer.Write], error: errors.StoreError) -> None:
        for write in writes:
            self._in_flight.pop(write.row[1], None)
            if not write.done.done():
                write.done.set_exception(error)
                # The waiter may be gone; then nobody else would look at it.
                write.done.exception()
