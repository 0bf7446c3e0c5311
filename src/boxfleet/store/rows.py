"""What the store holds in memory: rows, changes and who waits for them."""

import asyncio
import bisect
import collections
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from boxfleet.store import alarms as alarms_
from boxfleet.store import errors


class Row(msgspec.Struct, frozen=True, gc=False):
    """The present state of one key."""

    key: str
    revision: int
    value: bytes


class Change(msgspec.Struct):
    """One write: the state after it, or the last state when it deleted the key."""

    revision: int
    key: str
    value: bytes
    # The state that it replaced; None when it created the key.
    before: bytes | None
    before_revision: int
    deleted: bool
    # What readers derive from a change (an encoding, labels) is made once and kept here for all of them.
    memo: dict[Any, Any] = msgspec.field(default_factory=dict)

    def size(self) -> int:
        """Bytes that it keeps alive, roughly."""
        return len(self.value) + len(self.before or b"")


class Table:
    """All present rows, with their keys in order."""

    def __init__(self, rows: list[Row]) -> None:
        self._rows = {row.key: row for row in rows}
        # The row of a key. Every request looks some up: this is no function of ours that only calls another.
        self.get: Callable[[str], Row | None] = self._rows.get
        self._keys = sorted(self._rows)
        # How many keys begin with each family, such as ``/apps/deployments/``.
        self._families = collections.Counter(map(_family, self._keys))

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, row: Row) -> None:
        """Set the row of its key."""
        if row.key not in self._rows:
            bisect.insort(self._keys, row.key)
            self._families[_family(row.key)] += 1
        self._rows[row.key] = row

    def remove(self, key: str) -> None:
        """Take a key out."""
        if self._rows.pop(key, None) is not None:
            del self._keys[bisect.bisect_left(self._keys, key)]
            self._families[_family(key)] -= 1

    def range(self, prefix: str) -> list[Row]:
        """All rows whose key starts so, in order."""
        begin, end = self._place(prefix)
        return list(map(self._rows.__getitem__, self._keys[begin:end])) if begin < end else []

    def count(self, prefix: str) -> int:
        """How many rows have a key that starts so."""
        begin, end = self._place(prefix)
        return end - begin

    def _place(self, prefix: str) -> tuple[int, int]:
        if (family := _family_of(prefix)) and not self._families.get(family):
            # Each write looks for quotas, where mostly there are none.
            return 0, 0
        keys = self._keys
        begin = bisect.bisect_left(keys, prefix)
        # No key holds the highest code point, so it ends the prefix's range.
        return begin, bisect.bisect_left(keys, prefix + "\U0010ffff", begin)


def _family(key: str) -> str:
    """What a key begins with, up to its third slash; empty when it has fewer."""
    second = key.find("/", 1)
    third = key.find("/", second + 1)
    return key[: third + 1] if 0 < second < third else ""


# Of prefixes, which are always the same few; keys are not.
_family_of = functools.lru_cache(maxsize=1024)(_family)


class History:
    """The recent changes, bounded by number and bytes; all changes after `floor` are here."""

    def __init__(self, *, changes: int, size: int, floor: int) -> None:
        self._limit = changes
        self._size_limit = size
        self._size = 0
        self._changes: collections.deque[Change] = collections.deque()
        self.floor = floor

    def __len__(self) -> int:
        return len(self._changes)

    def add(self, change: Change) -> None:
        """Remember a change and forget the oldest beyond the bounds."""
        changes, size = self._changes, self._size + change.size()
        changes.append(change)
        while len(changes) > self._limit or (size > self._size_limit and len(changes) > 1):
            oldest = changes.popleft()
            size -= oldest.size()
            self.floor = oldest.revision
        self._size = size

    def after(self, revision: int) -> list[Change]:
        """Changes after a revision, oldest first; raises Compacted when some are forgotten."""
        newer = list(self.back_to(revision))
        newer.reverse()
        return newer

    def back_to(self, revision: int) -> Iterator[Change]:
        """Changes after a revision, newest first; raises Compacted when some are forgotten."""
        if revision < self.floor:
            raise errors.Compacted(revision=revision, oldest=self.floor)
        for change in reversed(self._changes):
            if change.revision <= revision:
                return
            yield change


class Topic(NamedTuple):
    """Of all changes below a prefix, only those for which `values` yields the value.

    Watchers with the same `values` are found by their value, so that a change costs nothing for all the others.
    """

    values: Callable[[Change], Iterable[str]]
    value: str


class Subscription:
    """Changes of keys with a prefix, after a revision, in order. Use it as a context manager."""

    __slots__ = (
        "_after",
        "_alarm",
        "_alarms",
        "_backlog",
        "_bytes",
        "_bytes_limit",
        "_leave",
        "_waiting",
        "_wake",
        "closed",
        "overflowed",
        "prefix",
        "topic",
    )

    def __init__(
        self,
        *,
        prefix: str,
        after: int,
        backlog: int,
        backlog_bytes: int,
        leave: "Callable[[Subscription], None]",
        alarms: alarms_.Alarms,
        topic: Topic | None = None,
    ) -> None:
        self.prefix = prefix
        self.topic = topic
        self._after = after
        self._backlog = backlog
        self._bytes_limit = backlog_bytes
        self._bytes = 0
        self._leave = leave
        self._alarms = alarms
        # Most of many watchers are idle: what only busy ones need is made when it is needed.
        self._waiting: list[Change] | None = None
        self._wake: asyncio.Future[None] | None = None
        self._alarm: asyncio.TimerHandle | int = 0
        self.closed = False
        # Set when the reader was too slow and lost its place.
        self.overflowed = False

    def __enter__(self) -> "Subscription":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def offer(self, change: Change, *, bounded: bool = True) -> None:
        """Queue a change if it concerns this reader; a reader too far behind is closed."""
        if self.closed or change.revision <= self._after or not change.key.startswith(self.prefix):
            return
        self._bytes += change.size()
        if bounded and self._waiting and (len(self._waiting) >= self._backlog or self._bytes > self._bytes_limit):
            self.overflowed = True
            self._waiting = None
            self.close()
            return
        if self._waiting is None:
            self._waiting = []
        self._waiting.append(change)
        self._rouse()

    async def take(self, *, timeout: float) -> list[Change]:
        """All that waits, as soon as there is something; nothing after `timeout` seconds or when closed.

        A long wait may take a second longer, and one of more than five minutes eight.
        """
        if (wake := self.ready(timeout=timeout)) is not None:
            try:
                await wake
            finally:
                # One that was cancelled may end only when the next one waits already.
                if self._wake is wake:
                    self.settled()
        return self.take_waiting()

    def ready(self, *, timeout: float) -> "asyncio.Future[None] | None":
        """Done as `take` is, for one who waits without a coroutine more; None when there is nothing to wait for.

        Whoever has waited for it says so by `settled`, also after a cancellation.
        """
        if self._waiting or self.closed:
            return None
        self.settled()
        wake = self._wake = asyncio.get_running_loop().create_future()
        self._alarm = self._alarms.set(wake, timeout)
        return wake

    def settled(self) -> None:
        """Nobody waits any more."""
        wake, self._wake = self._wake, None
        if wake is not None:
            self._alarms.unset(wake, self._alarm)

    @property
    def waiting(self) -> int:
        """How many changes lie here."""
        return len(self._waiting or ())

    def take_waiting(self) -> list[Change]:
        """All that waits now."""
        taken, self._waiting = self._waiting, None
        self._bytes = 0
        return taken or []

    def close(self) -> None:
        """End it; `take` returns at once from now on."""
        if not self.closed:
            self.closed = True
            self._leave(self)
            self._rouse()
            # Whoever was cancelled does not say so.
            self.settled()

    def _rouse(self) -> None:
        if self._wake is not None:
            alarms_.settle(self._wake)


_Look = Callable[[Change], Iterable[str]] | None
# By what is looked at (nothing: at everything), then by its value. Mostly there is one of a value, and a set would take
# more than it.
_Looks = dict[_Look, dict[str, Subscription | set[Subscription]]]


class Watchers:
    """Subscriptions by their prefix, so that a change costs only those whom it may concern."""

    def __init__(self) -> None:
        self._by_prefix: dict[str, _Looks] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, subscription: Subscription) -> None:
        """Tell it of changes from now on."""
        look, value = subscription.topic or (None, "")
        looks = self._by_prefix.setdefault(subscription.prefix, {})
        values = looks.setdefault(look, {})
        there = values.setdefault(value, subscription)
        if isinstance(there, set):
            there.add(subscription)
        elif there is not subscription:
            values[value] = {there, subscription}
        self._count += 1

    def discard(self, subscription: Subscription) -> None:
        """No longer."""
        look, value = subscription.topic or (None, "")
        looks = self._by_prefix.get(subscription.prefix, {})
        values = looks.get(look, {})
        there = values.get(value)
        if isinstance(there, set):
            if subscription not in there:
                return
            there.discard(subscription)
        elif there is not subscription:
            return
        self._count -= 1
        if there is subscription or not there:
            del values[value]
            if not values:
                del looks[look]
                if not looks:
                    del self._by_prefix[subscription.prefix]

    def tell(self, change: Change) -> None:
        """Offer a change to the watchers of its key and of everything above it."""
        key, by_prefix = change.key, self._by_prefix
        for prefix in _above(key[: key.rfind("/") + 1]):
            if prefix in by_prefix:
                self._offer(by_prefix[prefix], change)
        if key in by_prefix and not key.endswith("/"):
            self._offer(by_prefix[key], change)

    def close_all(self) -> None:
        """End every subscription."""
        found = [there for looks in self._by_prefix.values() for values in looks.values() for there in values.values()]
        for subscription in [one for there in found for one in _each(there)]:
            subscription.close()

    def _offer(self, looks: _Looks, change: Change) -> None:
        # One that is too slow leaves while it is told.
        for look, values in list(looks.items()):
            for value in ("",) if look is None else set(look(change)):
                for subscription in _each(values.get(value)):
                    subscription.offer(change)


# Of a namespace's objects of one kind, which are many.
@functools.lru_cache(maxsize=1024)
def _above(folder: str) -> tuple[str, ...]:
    """All prefixes of a key up to a slash of its own, given the longest one."""
    return tuple(folder[: at + 1] for at, letter in enumerate(folder) if letter == "/")


def _each(there: Subscription | set[Subscription] | None) -> Iterable[Subscription]:
    """The watchers of one value as they are now."""
    return tuple(there) if isinstance(there, set) else () if there is None else (there,)
