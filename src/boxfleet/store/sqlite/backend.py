"""One server's log: revisions are given when a write is asked for, and the writer thread makes them durable."""

import asyncio
import collections
import pathlib
from collections.abc import Awaitable

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
        self._loop = asyncio.get_running_loop()
        # By key, what is on its way to the disk, and who waits until that has landed.
        self._in_flight: dict[str, writer.Write] = {}
        self._landing: dict[str, list[asyncio.Future[None]]] = {}
        # Of rows that change along with others: the revision and value that they will have.
        self._ahead: dict[str, tuple[int, bytes]] = {}
        # Keys of such rows for which somebody waits who wants to replace or delete them.
        self._waited_for: collections.Counter[str] = collections.Counter()
        self._next = 1
        # Writes that the thread has not been given yet, and whether it will be.
        self._gathered: list[writer.Write] = []
        self._submitting = False
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

    def write(self, wish: backend.Wish) -> Awaitable[rows.Row]:
        """Queue the write; what is returned is done when it is on disk. Raises what waiting for it may raise."""
        # Mostly nothing stands in the way, and then this is no coroutine of its own.
        return self._write_later(wish) if self._obstacle(wish) else self._write(wish)

    async def _write_later(self, wish: backend.Wish) -> rows.Row:
        while key := self._obstacle(wish):
            await self._wait(key, first=key == wish.key and key in self._ahead)
        return await self._write(wish)

    def _write(self, wish: backend.Wish) -> "asyncio.Future[rows.Row]":
        key, expected, done = wish.key, wish.expected, wish.done
        current = self._memory.get(key)
        memory.check(key=key, expected=expected, actual=current.revision if current is not None else 0)
        revision = self._next
        written = [(revision, key, wish.value(revision), expected, wish.deleted)]
        for each in wish.along:
            # Nobody waits for the one before: each goes on from what the last one made.
            before = self._ahead.get(each.key) or self._there(each.key)
            number = revision + len(written)
            if before is not None and (changed := each.change(before[1], number)) is not None:
                written.append((number, each.key, changed, before[0], False))
        self._next = revision + len(written)
        write = writer.Write(written, done)
        self._in_flight[key] = write
        if wish.along:
            for number, other, changed, _, _ in written[1:]:
                self._in_flight[other] = write
                self._ahead[other] = number, changed
        self._gathered.append(write)
        if not self._submitting:
            self._submitting = True
            self._loop.call_soon(self._submit)
        # A caller that goes away does not take the write with it: nobody looks at the future for anything else.
        return done

    async def current(self) -> None:
        """Nobody else writes: memory is never behind."""

    async def compact(self, *, to: int) -> None:
        """Between two batches."""
        await self._writer.call(lambda base: base.compact(to=to))

    async def stop(self) -> None:
        """Write what is queued and close the file."""
        self._submit()
        await self._writer.stop()

    def _submit(self) -> None:
        """Give the thread what this turn of the event loop brought: it is woken once for all of it."""
        self._submitting = False
        if self._gathered:
            writes, self._gathered = self._gathered, []
            self._writer.submit(writes)

    def _read(self, base: database.Database) -> memory.Loaded:
        if base.standing() == "arriving":
            # The settings lead here already, so the copy is whole: a move was cut off just before its end.
            base.set_standing("live")
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

    def _obstacle(self, wish: backend.Wish) -> str:
        """A key with a write under way whose success decides what this one may do; empty when there is none."""
        if wish.key in self._in_flight:
            return wish.key
        for each in wish.along:
            if each.key in self._waited_for or (each.key in self._in_flight and each.key not in self._ahead):
                return each.key
        return ""

    async def _wait(self, key: str, *, first: bool) -> None:
        """Wait for the write of a key. `first`: rows that change along with others wait meanwhile.

        They need not wait for each other, so that without this somebody who replaces such a row might never have
        his turn.
        """
        if first:
            self._waited_for[key] += 1
        try:
            if key in self._in_flight:
                landed: asyncio.Future[None] = self._loop.create_future()
                self._landing.setdefault(key, []).append(landed)
                await landed
            else:
                await asyncio.sleep(0)
        finally:
            if first:
                self._waited_for[key] -= 1
                if not self._waited_for[key]:
                    del self._waited_for[key]

    def _there(self, key: str) -> tuple[int, bytes] | None:
        row = self._memory.get(key)
        return (row.revision, row.value) if row is not None else None

    def _on_committed(self, writes: list[writer.Write]) -> None:
        self._memory.apply([row for write in writes for row in write.appended])
        for write in writes:
            self._landed(write)
            if not write.done.done():
                revision, key, value, _, _ = write.appended[0]
                write.done.set_result(rows.Row(key, revision, value))

    def _on_failed(self, writes: list[writer.Write], error: errors.StoreError) -> None:
        for write in writes:
            self._landed(write)
            if not write.done.done():
                write.done.set_exception(error)
                # The waiter may be gone; then nobody else would look at it.
                write.done.exception()

    def _landed(self, write: writer.Write) -> None:
        in_flight, ahead, landing = self._in_flight, self._ahead, self._landing
        for revision, key, _, _, _ in write.appended:
            if in_flight.get(key) is write:
                del in_flight[key]
            if ahead and (there := ahead.get(key)) is not None and there[0] == revision:
                del ahead[key]
            if landing:
                for waiter in landing.pop(key, ()):
                    if not waiter.done():
                        waiter.set_result(None)
