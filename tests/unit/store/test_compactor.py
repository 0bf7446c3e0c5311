import asyncio
import datetime

import pytest

from boxfleet.store import compactor, errors, settings

pytestmark = pytest.mark.anyio


class _Log:
    def __init__(self) -> None:
        self.revision = 0
        self.compacted: list[int] = []
        self.fails = False

    async def compact(self, *, to: int) -> None:
        if self.fails:
            raise errors.Full("no room")
        self.compacted.append(to)


class _Clock:
    """Each sleep is a step of the test."""

    def __init__(self, log: _Log, revisions: list[int]) -> None:
        self._log = log
        self._revisions = iter(revisions)
        self._now = 0.0

    def now(self) -> datetime.datetime:
        raise NotImplementedError

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self._now += seconds
        try:
            self._log.revision = next(self._revisions)
        except StopIteration:
            raise asyncio.CancelledError from None


async def test_history_is_dropped_when_it_is_old_enough() -> None:
    log = _Log()
    clock = _Clock(log, [10, 20, 30, 40])
    with pytest.raises(asyncio.CancelledError):
        await compactor.run(log, clock=clock, settings=settings.Settings(keep_seconds=120, compact_every=60))
    assert log.compacted == [0, 10, 20]


async def test_a_failure_waits_for_the_next_round() -> None:
    log = _Log()
    log.fails = True
    with pytest.raises(asyncio.CancelledError):
        await compactor.run(
            log, clock=_Clock(log, [1, 2, 3]), settings=settings.Settings(keep_seconds=0, compact_every=60)
        )
    assert log.compacted == []
