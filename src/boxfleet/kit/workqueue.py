"""A queue of keys for reconcile loops: each key once, never two workers on one key."""

import asyncio
import collections
import heapq
import itertools
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, TypeVar

from boxfleet.kit import backoff

K = TypeVar("K", bound=Hashable)


class WorkQueue(Generic[K]):
    """Keys that want work.

    A key added while it waits is still there once; a key added while it is worked on comes again
    afterwards. `retry` brings a key back after a delay that grows with its failures.

    Keys come in the order in which they were added, or by their `rank`, the lowest first: what can be compared, looked
    at when the key is added.
    """

    def __init__(
        self,
        *,
        backoff: backoff.Backoff = backoff.Backoff(initial=0.05, limit=30.0),  # noqa: B008
        rank: Callable[[K], Any] | None = None,
    ) -> None:
        self._backoff = backoff
        self._rank = rank
        self._waiting: collections.OrderedDict[K, None] = collections.OrderedDict()
        # The same keys where they have ranks; those of one rank in the order in which they were added.
        self._ranked: list[tuple[Any, int, K]] = []
        self._numbers = itertools.count()
        self._working: set[K] = set()
        self._again: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        # Who waits for a key, the longest first.
        self._idle: collections.deque[asyncio.Future[None]] = collections.deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, key: K) -> None:
        """Ask for work on a key, as soon as possible."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        if key in self._working:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting[key] = None
            if self._rank is not None:
                heapq.heappush(self._ranked, (self._rank(key), next(self._numbers), key))
            self._rouse()

    def add_after(self, key: K, seconds: float) -> None:
        """Ask for work on a key after a delay; the earlier of two wishes counts."""
        if seconds <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        pending = self._timers.get(key)
        if pending is not None:
            if pending.when() <= loop.time() + seconds:
                return
            pending.cancel()
        self._timers[key] = loop.call_later(seconds, self._due, key)

    def retry(self, key: K) -> None:
        """Bring a key back after a failure, later each time."""
        self._failures[key] = self._failures.get(key, 0) + 1
        self.add_after(key, self._backoff.delay(failures=self._failures[key]))

    def forget(self, key: K) -> None:
        """Clear a key's failures: it did well."""
        self._failures.pop(key, None)

    async def take(self) -> K:
        """Wait for a key and mark it as worked on; call `done` afterwards."""
        while not self._waiting:
            idle: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(idle)
            try:
                await idle
            except asyncio.CancelledError:
                if idle.done() and not idle.cancelled():
                    # It was told of a key that it will not take.
                    self._rouse()
                raise
        if self._ranked:
            key = heapq.heappop(self._ranked)[2]
            del self._waiting[key]
        else:
            key, _ = self._waiting.popitem(last=False)
        self._working.add(key)
        return key

    def done(self, key: K) -> None:
        """Say that the work on a key has ended, well or not."""
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    async def run(
        self,
        reconcile: Callable[[K], Awaitable[float | None]],
        *,
        failed: Callable[[K, Exception], None],
        workers: int = 4,
    ) -> None:
        """Work until cancelled.

        `reconcile` may return seconds after which it wants the key again. An exception is told to
        `failed` and the key comes back with growing delay.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._work(reconcile, failed))
        finally:
            for timer in self._timers.values():
                timer.cancel()
            self._timers.clear()

    async def _work(
        self, reconcile: Callable[[K], Awaitable[float | None]], failed: Callable[[K, Exception], None]
    ) -> None:
        me = asyncio.current_task()
        while me is not None:
            key = await self.take()
            try:
                again = await reconcile(key)
                if me.cancelling():
                    raise asyncio.CancelledError
            except Exception as error:
                if me.cancelling():
                    # What fails at that moment hides the cancellation: a TaskGroup raises its errors alone.
                    raise asyncio.CancelledError from error
                failed(key, error)
                self.retry(key)
            else:
                self.forget(key)
                if again is not None:
                    self.add_after(key, again)
            finally:
                self.done(key)

    def _rouse(self) -> None:
        """Tell one who waits: a key is work for one."""
        while self._idle:
            idle = self._idle.popleft()
            if not idle.done():
                idle.set_result(None)
                return

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)
