"""The store: durable writes, reads and watches from memory."""

import asyncio
import pathlib
from collections.abc import Callable

from boxfleet.store import database, errors, rows, writer
from boxfleet.store import settings as settings_


class Store:
    """The log of one server. Not for use from several threads.

    Reads see what is committed. A write is acknowledged when it is on disk; two writes of one key never overlap.
    """

    def __init__(self, settings: settings_.Settings) -> None:
        self._settings = settings
        self._table = rows.Table([])
        self._history = rows.History(changes=settings.history_changes, size=settings.history_bytes, floor=0)
        self._subscriptions: set[rows.Subscription] = set()
        self._in_flight: dict[str, asyncio.Future[None]] = {}
        self._next = 1
        self._closed = False
        self._writer: writer.Writer
        # The newest committed revision.
        self.revision = 0

    @classmethod
    async def open(cls, path: pathlib.Path, settings: settings_.Settings = settings_.Settings()) -> "Store":  # noqa: B008
        """Open or make the database and load it; raises `errors.StoreError` when that cannot be."""
        store = cls(settings)
        store._writer = writer.Writer(
            path, batch=settings.batch, committed=store._on_committed, failed=store._on_failed
        )
        await store._writer.start()
        try:
            await store._load()
        except BaseException:
            await store._writer.stop()
            raise
        return store

    def get(self, key: str) -> rows.Row | None:
        """The present row of a key."""
        return self._table.get(key)

    def range(self, prefix: str) -> list[rows.Row]:
        """The present rows whose key starts so, in order of keys."""
        return self._table.range(prefix)

    def count(self, prefix: str) -> int:
        """How many rows have a key that starts so."""
        return self._table.count(prefix)

    def snapshot(self, prefix: str, *, revision: int) -> list[rows.Row]:
        """The rows as they were at a past revision; raises Compacted when that is no longer known."""
        past: dict[str, rows.Row | None] = {}
        for change in self._history.back_to(revision):
            if change.key.startswith(prefix):
                past[change.key] = (
                    None if change.before is None else rows.Row(change.key, change.before_revision, change.before)
                )
        if not past:
            return self._table.range(prefix)
        present: dict[str, rows.Row | None] = {row.key: row for row in self._table.range(prefix)}
        return [row for _, row in sorted((present | past).items()) if row is not None]

    async def write(self, key: str, value: Callable[[int], bytes], *, expected: int) -> rows.Row:
        """Create (`expected` 0) or replace a row that is at a revision.

        `value` makes the bytes, given the revision that the write gets. Raises Conflict, Full, Closed.
        """
        change = await self._append(key, value, expected=expected, deleted=False)
        return rows.Row(key, change.revision, change.value)

    async def delete(self, key: str, value: Callable[[int], bytes], *, expected: int) -> rows.Row:
        """Remove a row that is at a revision; `value` makes the last state, which watches are shown."""
        change = await self._append(key, value, expected=expected, deleted=True)
        return rows.Row(key, change.revision, change.value)

    def watch(self, prefix: str, *, after: int) -> rows.Subscription:
        """Changes after a revision; one that is still to come is waited for. Raises Compacted, Closed."""
        if self._closed:
            raise errors.Closed("the store is closed")
        backlog = self._history.after(after)
        subscription = rows.Subscription(
            prefix=prefix, after=after, backlog=self._settings.watch_backlog, leave=self._subscriptions.discard
        )
        for change in backlog:
            # What is in memory anyway costs nothing more.
            subscription.offer(change, bounded=False)
        self._subscriptions.add(subscription)
        return subscription

    @property
    def watchers(self) -> int:
        """How many watch now."""
        return len(self._subscriptions)

    @property
    def oldest(self) -> int:
        """The earliest revision from which a watch can resume."""
        return self._history.floor

    async def compact(self, *, to: int) -> None:
        """Drop history up to a revision from the disk; the newest `keep_revisions` stay."""
        target = min(to, self.revision - self._settings.keep_revisions)
        if target > 0:
            await self._writer.call(lambda base: base.compact(to=target))

    async def close(self) -> None:
        """End all watches, finish the writes that were accepted, close the file."""
        if self._closed:
            return
        self._closed = True
        self.end_watches()
        await self._writer.stop()

    def end_watches(self) -> None:
        """Close every subscription, as a server does that shuts down."""
        for subscription in list(self._subscriptions):
            subscription.close()

    async def _load(self) -> None:
        limit = self._settings.history_changes

        def read(base: database.Database) -> tuple[list[rows.Row], list[rows.Change], int, int]:
            live = [rows.Row(key, revision, value) for key, revision, value in base.live()]
            changes = [
                rows.Change(revision, key, value, before, previous, bool(deleted))
                for revision, key, value, before, previous, deleted in base.history(limit=limit + 1)
            ]
            changes.reverse()
            return live, changes, base.head(), base.compacted()

        live, changes, head, compacted = await self._writer.call(read)
        self._table = rows.Table(live)
        floor = changes.pop(0).revision if len(changes) > limit else compacted
        self._history = rows.History(
            changes=self._settings.history_changes, size=self._settings.history_bytes, floor=floor
        )
        for change in changes:
            self._history.add(change)
        self.revision = head
        self._next = head + 1

    async def _append(self, key: str, value: Callable[[int], bytes], *, expected: int, deleted: bool) -> rows.Change:
        while (pending := self._in_flight.get(key)) is not None:
            # Whether the other write succeeds decides what this one may do.
            await asyncio.wait([pending])
        if self._closed:
            raise errors.Closed("cannot write: the store is closed")
        current = self._table.get(key)
        actual = current.revision if current is not None else 0
        if actual != expected:
            raise errors.Conflict(key=key, expected=expected, actual=actual)
        revision = self._next
        encoded = value(revision)
        self._next += 1
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._in_flight[key] = done
        self._writer.submit(writer.Write((revision, key, encoded, expected, expected == 0, deleted), done))
        # A caller that goes away must not take the write with it.
        await asyncio.shield(done)
        return rows.Change(revision, key, encoded, None, expected, deleted)

    def _on_committed(self, writes: list[writer.Write]) -> None:
        for write in writes:
            revision, key, value, previous, _, deleted = write.row
            current = self._table.get(key)
            change = rows.Change(
                revision, key, value, current.value if current is not None else None, previous, deleted
            )
            if deleted:
                self._table.remove(key)
            else:
                self._table.put(rows.Row(key, revision, value))
            self.revision = revision
            self._history.add(change)
            for subscription in list(self._subscriptions):
                subscription.offer(change)
            self._settle(write)

    def _on_failed(self, writes: list[writer.Write], error: errors.StoreError) -> None:
        for write in writes:
            self._settle(write, error)

    def _settle(self, write: writer.Write, error: errors.StoreError | None = None) -> None:
        self._in_flight.pop(write.row[1], None)
        if error is None:
            write.done.set_result(None)
        else:
            write.done.set_exception(error)
            # The waiter may be gone; then nobody else would look at it.
            write.done.exception()
