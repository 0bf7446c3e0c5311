"""Timers that many share."""

import asyncio
from collections.abc import Callable

import pytest

from boxfleet.store import alarms

pytestmark = pytest.mark.anyio


async def test_those_of_the_same_second_share_a_timer_and_those_unset_are_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    now = loop.time()
    timers: list[tuple[float, Callable[..., None], int]] = []
    monkeypatch.setattr(loop, "call_at", lambda *timer: timers.append(timer))
    monkeypatch.setattr(loop, "time", lambda: now)
    ours = alarms.Alarms()
    wakes: list[asyncio.Future[None]] = [loop.create_future() for _ in range(3)]
    set_ = [ours.set(wake, 60.0) for wake in wakes]
    monkeypatch.undo()
    [(when, ring, second)] = timers
    # Never early, and less than a second late.
    assert 60.0 <= when - now < 61.0
    ours.unset(wakes[1], set_[1])
    ring(second)
    assert [wake.done() for wake in wakes] == [True, False, True]
    # One that has rung may be unset as well.
    ours.unset(wakes[0], set_[0])


async def test_those_that_wait_very_long_share_with_more(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    now = loop.time()
    timers: list[float] = []
    monkeypatch.setattr(loop, "call_at", lambda *timer: timers.append(timer[0]))
    monkeypatch.setattr(loop, "time", lambda: now)
    ours = alarms.Alarms()
    for number in range(64):
        ours.set(loop.create_future(), 1800.0 + number)
    monkeypatch.undo()
    assert len(timers) <= 9
    assert timers[0] - now >= 1800.0
    assert timers[-1] - now < 1863.0 + 9.0


async def test_a_short_wait_has_a_timer_of_its_own() -> None:
    ours = alarms.Alarms()
    wake = asyncio.get_running_loop().create_future()
    ours.set(wake, 0.0)
    await wake
    other = asyncio.get_running_loop().create_future()
    alarm = ours.set(other, 1.0)
    assert isinstance(alarm, asyncio.TimerHandle)
    ours.unset(other, alarm)
    assert alarm.cancelled()
