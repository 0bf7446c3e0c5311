import asyncio
import datetime

import pytest

from boxfleet.kit import supervise

pytestmark = pytest.mark.anyio


class Clock:
    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> datetime.datetime:
        return datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


async def test_a_loop_that_fails_begins_again_later_each_time() -> None:
    clock, runs = Clock(), 0

    async def run() -> None:
        nonlocal runs
        runs += 1
        if runs < 4:
            raise RuntimeError("no luck")

    await supervise.keep_running("test", run, clock=clock)
    assert clock.slept == [0.1, 0.2, 0.4]
