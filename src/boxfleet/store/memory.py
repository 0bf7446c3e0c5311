"""What is true now, what happened lately, and who waits to hear more; the same above every database."""

import asyncio
import heapq
from collections.abc import Iterable

import msgspec

from boxfleet.store import alarms, backend, errors, rows
from boxfleet.store import settings as settings_


class Loaded(msgspec.Struct):
    """A database's content at one revision: present rows, recent changes (oldest first), complete after `floor`."""

    live: list[rows.Row]
    changes: list[rows.Change]
    floor: int
    head: int


class Memory:
    """The rows as ready-made bytes, the recent changes, and the watchers. For one event loop."""

    def __init__(self, settings: settings_.Settings) -> None:
        self._settings = settings
        self._table = rows.Table([])
        self._history = rows.History(changes=settings.history_changes, size=settings.history_bytes, floor=0)
        self._watchers = rows.Watchers()
        # One for all who watch.
        self._leave = self._watchers.discard
        self._alarms = alarms.Alarms()
        # (revision, sequence, future): who waits for a revision.
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._sequence = 0
        # The newest revision that is here.
        self.revision = 0

    @property
    def oldest(self) -> int:
        """The earliest revision from which a watch can resume."""
        return self._history.floor

    @property
    def watchers(self) -> int:
        """How many watch now."""
        return len(self._watchers)

    def fill(self, loaded: Loaded) -> None:
        """Hold another content than before. Who watches lists anew, unless nothing was held."""
        self.end_watches()
        self._table = rows.Table(loaded.live)
        self._history = rows.History(
            changes=self._settings.history_changes, size=self._settings.history_bytes, floor=loaded.floor
        )
        for change in loaded.changes:
            self._history.add(change)
        self._arrived(loaded.head)

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

    def watch(self, prefix: str, *, after: int, topic: rows.Topic | None = None) -> rows.Subscription:
        """Changes after a revision; one that is still to come is waited for. Raises Compacted."""
        backlog = self._history.after(after)
        subscription = rows.Subscription(
            prefix=prefix,
            after=after,
            backlog=self._settings.watch_backlog,
            backlog_bytes=self._settings.watch_backlog_bytes,
            leave=self._leave,
            alarms=self._alarms,
            topic=topic,
        )
        for change in backlog:
            if topic is None or topic.value in topic.values(change):
                # What is in memory anyway costs nothing more.
                subscription.offer(change, bounded=False)
        self._watchers.add(subscription)
        return subscription

    def end_watches(self) -> None:
        """Close every subscription."""
        self._watchers.close_all()

    def apply(self, log_rows: Iterable[backend.LogRow]) -> None:
        """Take committed rows, plain and in order of revisions; what is here already is passed over."""
        table = self._table
        for revision, key, value, previous, deleted in log_rows:
            if revision <= self.revision:
                continue
            current = table.get(key)
            change = rows.Change(
                revision, key, value, current.value if current is not None else None, previous, deleted
            )
            if deleted:
                table.remove(key)
            else:
                table.put(rows.Row(key, revision, value))
            self._history.add(change)
            self._arrived(revision)
            self._watchers.tell(change)

    async def reach(self, revision: int, *, timeout: float) -> bool:
        """Wait until a revision is here; whether it came in time (seconds)."""
        if self.revision >= revision:
            return True
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sequence += 1
        entry = (revision, self._sequence, future)
        heapq.heappush(self._waiting, entry)
        try:
            async with asyncio.timeout(timeout):
                await future
        except TimeoutError:
            return False
        finally:
            if entry in self._waiting:
                # A revision that never comes must not be remembered for good.
                self._waiting.remove(entry)
                heapq.heapify(self._waiting)
        return True

    def _arrived(self, revision: int) -> None:
        self.revision = revision
        while self._waiting and self._waiting[0][0] <= revision:
            future = heapq.heappop(self._waiting)[2]
            if not future.done():
                future.set_result(None)


def read(
    live: Iterable[tuple[str, int, bytes]],
    history: Iterable[tuple[int, str, bytes, bytes | None, int, bool]],
    *,
    limit: int,
    head: int,
    compacted: int,
) -> Loaded:
    """What a database gave: plain values; of history the newest changes, newest first, at most one over the limit.

    A value that both hold is held once.
    """
    present = [rows.Row(key, revision, value) for key, revision, value in live]
    by_revision = {row.revision: row for row in present}
    changes = []
    for revision, key, value, before, previous, deleted in history:
        row = by_revision.get(revision)
        changes.append(
            rows.Change(revision, key, row.value if row is not None else value, before, previous, bool(deleted))
        )
    changes.reverse()
    floor = changes.pop(0).revision if len(changes) > limit else compacted
    return Loaded(present, changes, floor, head)


def check(*, key: str, expected: int, actual: int) -> None:
    """Raise Conflict when a key is not at the revision at which a writer saw it."""
    if actual != expected:
        raise errors.Conflict(key=key, expected=expected, actual=actual)
