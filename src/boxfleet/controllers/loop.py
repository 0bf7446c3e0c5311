"""The loop that every controller is: a queue of keys and a function that makes one key right."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable
from typing import Any, Generic, TypeVar, cast

import structlog

from boxfleet.client import errors
from boxfleet.kit import backoff, workqueue

log = structlog.get_logger()

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Loop(Generic[K]):
    """Calls `reconcile` for every key that is added, never twice at once for one key."""

    def __init__(self, name: str, reconcile: Callable[[K], Awaitable[float | None]], *, workers: int = 4) -> None:
        self.name = name
        self._reconcile = reconcile
        self._workers = workers
        self._queue: workqueue.WorkQueue[K] = workqueue.WorkQueue(backoff=backoff.Backoff(initial=0.02, limit=30.0))

    def add(self, key: K) -> None:
        """Ask for work on a key at once."""
        self._queue.add(key)

    def add_after(self, key: K, seconds: float) -> None:
        """Ask for work on a key after a while."""
        self._queue.add_after(key, seconds)

    async def run(self) -> None:
        """Work until cancelled."""
        await self._queue.run(self._reconcile, failed=self._failed, workers=self._workers)

    def _failed(self, key: K, error: Exception) -> None:
        if isinstance(error, errors.Conflict | errors.NotFound | errors.Unavailable):
            # The cache was behind, or the server is busy: the ordinary way of finding out.
            log.debug("will try again", controller=self.name, key=str(key), cause=error.message)
        elif isinstance(error, errors.ApiError):
            log.warning("cannot reconcile", controller=self.name, key=str(key), cause=error.message)
        else:
            log.error("cannot reconcile", controller=self.name, key=str(key), exc_info=error)


async def gather(many: Iterable[Coroutine[Any, Any, V]], *, limit: int) -> list[V]:
    """Results in order, with at most so many under way.

    Every one is tried; the first failure is raised after all have ended, so that one that fails does not
    leave others half done.
    """
    waiting = list(many)
    results: list[V | Exception | None] = [None] * len(waiting)
    order = iter(range(len(waiting)))

    async def work() -> None:
        for index in order:
            try:
                results[index] = await waiting[index]
            except Exception as error:
                results[index] = error

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(limit, len(waiting))):
                group.create_task(work())
    finally:
        # When this is cancelled, what has not begun never will.
        for each in waiting:
            each.close()
    for result in results:
        if isinstance(result, Exception):
            raise result
    return cast("list[V]", results)
