"""What works through the changes that a cache tells of: a queue of keys and a function that makes one key right."""

from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, TypeVar

import structlog

from boxfleet.client import errors
from boxfleet.kit import backoff, workqueue

log = structlog.get_logger()

K = TypeVar("K", bound=Hashable)


class Loop(Generic[K]):
    """Calls `reconcile` for every key that is added, never twice at once for one key.

    What fails is tried again later each time, after `slowest` seconds at most. `reconcile` may give seconds after
    which it wants the key again. Keys are worked on as they come, or by their `rank`, the lowest first.
    """

    def __init__(
        self,
        name: str,
        reconcile: Callable[[K], Awaitable[float | None]],
        *,
        workers: int = 4,
        slowest: float = 30.0,
        rank: Callable[[K], Any] | None = None,
    ) -> None:
        self.name = name
        self._reconcile = reconcile
        self._workers = workers
        self._queue: workqueue.WorkQueue[K] = workqueue.WorkQueue(
            backoff=backoff.Backoff(initial=0.02, limit=slowest), rank=rank
        )

    def __len__(self) -> int:
        return len(self._queue)

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
            log.debug("will try again", loop=self.name, key=str(key), cause=error.message)
        elif isinstance(error, errors.ApiError):
            log.warning("cannot reconcile", loop=self.name, key=str(key), cause=error.message)
        else:
            log.error("cannot reconcile", loop=self.name, key=str(key), exc_info=error)
