"""The store: durable writes, reads and watches from memory."""

import asyncio
import pathlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from boxfleet.store import backend as backends
from boxfleet.store import codec as codecs
from boxfleet.store import errors, memory, rows
from boxfleet.store import settings as settings_
from boxfleet.store import where as places


class Store:
    """The log of one server. Not for use from several threads.

    Reads see what is committed. A write is acknowledged when it is on disk and visible here; two writes of one key
    never overlap. Where other servers write too (`shared`), memory may be a moment behind them: `current` catches up.
    """

    def __init__(self, settings: settings_.Settings) -> None:
        self._settings = settings
        self._memory = memory.Memory(settings)
        self._closed = False
        self._backend: backends.Backend
        # Writes that have no answer yet.
        self.waiting = 0
        # Is told how many seconds each write took, whatever came of it.
        self.took: Callable[[float], object] = _unheard

    @classmethod
    async def open(
        cls,
        where: places.Where,
        settings: settings_.Settings = settings_.Settings(),  # noqa: B008  # it is frozen
        *,
        codec: codecs.Codec = codecs.Identity(),  # noqa: B008  # it has no state
    ) -> "Store":
        """Open or make the log in a file or a database, and load it; raises `errors.StoreError`."""
        store = cls(settings)
        if isinstance(where, pathlib.Path):
            from boxfleet.store.sqlite import backend as sqlite

            store._backend = sqlite.Sqlite(where, memory=store._memory, settings=settings, codec=codec)
        else:
            # One server on SQLite does not load PostgreSQL's driver.
            from boxfleet.store.postgres import backend as postgres

            store._backend = postgres.Postgres(where, memory=store._memory, settings=settings, codec=codec)
        await store._backend.start()
        return store

    @property
    def revision(self) -> int:
        """The newest revision that is here."""
        return self._memory.revision

    @property
    def shared(self) -> bool:
        """Whether other servers may write to the same log."""
        return self._backend.shared

    @property
    def trouble(self) -> str:
        """Why nothing can be written now; empty when all is well."""
        return self._backend.trouble

    @property
    def watchers(self) -> int:
        """How many watch now."""
        return self._memory.watchers

    @property
    def oldest(self) -> int:
        """The earliest revision from which a watch can resume."""
        return self._memory.oldest

    def get(self, key: str) -> rows.Row | None:
        """The present row of a key."""
        return self._memory.get(key)

    def range(self, prefix: str) -> list[rows.Row]:
        """The present rows whose key starts so, in order of keys."""
        return self._memory.range(prefix)

    def count(self, prefix: str) -> int:
        """How many rows have a key that starts so."""
        return self._memory.count(prefix)

    def snapshot(self, prefix: str, *, revision: int) -> list[rows.Row]:
        """The rows as they were at a past revision; raises Compacted when that is no longer known."""
        return self._memory.snapshot(prefix, revision=revision)

    async def current(self) -> None:
        """Return when memory holds every write that any server acknowledged before the call; raises Unavailable."""
        await self._backend.current()

    async def reach(self, revision: int, *, timeout: float) -> bool:
        """Wait for a revision that another server gave out; whether it came in time (seconds)."""
        return await self._memory.reach(revision, timeout=timeout)

    def write(
        self, key: str, value: Callable[[int], bytes], *, expected: int, along: Sequence[backends.Along] = ()
    ) -> Coroutine[Any, Any, rows.Row]:
        """Create (`expected` 0) or replace a row that is at a revision, and change others along with it.

        `value` makes the bytes, given the revision that the write gets; with several servers it may be called more
        than once. Raises Conflict, Full, Closed, Unavailable, and what a change along with it raises.
        """
        return self._write(key, value, expected=expected, deleted=False, along=along)

    def delete(
        self, key: str, value: Callable[[int], bytes], *, expected: int, along: Sequence[backends.Along] = ()
    ) -> Coroutine[Any, Any, rows.Row]:
        """Remove a row that is at a revision; `value` makes the last state, which watches are shown."""
        return self._write(key, value, expected=expected, deleted=True, along=along)

    def watch(self, prefix: str, *, after: int, topic: rows.Topic | None = None) -> rows.Subscription:
        """Changes after a revision, of keys below a prefix that ends with a slash, or of one key.

        With a topic only those that concern it; many watchers of one prefix should have one where they can.
        One that is still to come is waited for. Raises Compacted, Closed.
        """
        if self._closed:
            raise errors.Closed("the store is closed")
        return self._memory.watch(prefix, after=after, topic=topic)

    async def compact(self, *, to: int) -> None:
        """Drop history up to a revision from the disk; the newest `keep_revisions` stay."""
        target = min(to, self.revision - self._settings.keep_revisions)
        if target > 0:
            await self._backend.compact(to=target)

    async def close(self) -> None:
        """End all watches, finish the writes that were accepted, close the database."""
        if self._closed:
            return
        self._closed = True
        self.end_watches()
        await self._backend.stop()

    def end_watches(self) -> None:
        """Close every subscription, as a server does that shuts down."""
        self._memory.end_watches()

    async def _write(
        self,
        key: str,
        value: Callable[[int], bytes],
        *,
        expected: int,
        deleted: bool,
        along: Sequence[backends.Along],
    ) -> rows.Row:
        if self._closed:
            raise errors.Closed("cannot write: the store is closed")
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.waiting += 1
        try:
            wish = backends.Wish(key, value, expected, deleted, loop.create_future(), along)
            return await self._backend.write(wish)
        finally:
            self.waiting -= 1
            self.took(loop.time() - began)


def _unheard(seconds: float) -> None:
    """Nobody counts."""
