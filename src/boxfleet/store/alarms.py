"""Timers for many who wait long: one of the event loop for all of the same second, where one each would cost memory."""

import asyncio
import math

# Whoever waits less, in seconds, gets a timer of his own, and exactly so long.
_LONG = 5.0
# Whoever waits longer shares one with more others, up to so many seconds later.
_VERY_LONG = 300.0
_STEP = 8


class Alarms:
    """Wakes futures at a time; those that wait long up to a second later, and very long up to eight."""

    __slots__ = ("_by_second",)

    def __init__(self) -> None:
        self._by_second: dict[int, set[asyncio.Future[None]]] = {}

    def set(self, wake: asyncio.Future[None], seconds: float) -> "asyncio.TimerHandle | int":
        """Have it done after so long; what is returned is for `unset`."""
        loop = asyncio.get_running_loop()
        if seconds < _LONG:
            return loop.call_later(seconds, settle, wake)
        second = math.ceil(loop.time() + seconds)
        if seconds >= _VERY_LONG:
            second += -second % _STEP
        waiting = self._by_second.get(second)
        if waiting is None:
            waiting = self._by_second[second] = set()
            loop.call_at(second, self._ring, second)
        waiting.add(wake)
        return second

    def unset(self, wake: asyncio.Future[None], alarm: "asyncio.TimerHandle | int") -> None:
        """It is waited for no longer."""
        if not isinstance(alarm, int):
            alarm.cancel()
        elif (waiting := self._by_second.get(alarm)) is not None:
            # The timer of the second stays: others may come, and one that finds nobody costs nothing.
            waiting.discard(wake)

    def _ring(self, second: int) -> None:
        for wake in self._by_second.pop(second):
            settle(wake)


def settle(wake: asyncio.Future[None]) -> None:
    """Have whoever waits for it go on."""
    if not wake.done():
        wake.set_result(None)
