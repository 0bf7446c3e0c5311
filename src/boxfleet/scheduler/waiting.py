"""Instances that fit nowhere: what they were told, and when they are looked at again."""

import dataclasses
from collections.abc import Callable

from boxfleet.api import meta
from boxfleet.kit import backoff


@dataclasses.dataclass(slots=True)
class _Wait:
    message: str
    # Looks that came to nothing, and when the last one was.
    tries: int
    since: float


class Waiting:
    """Those that were looked at in vain.

    Whatever may help brings them back: at once after one look in vain, later after each further one, which costs as
    much as a look that succeeds. Who was brought back is not brought back again before it was looked at, however much
    happens.
    """

    def __init__(self, *, backoff: backoff.Backoff, again: Callable[[meta.Key, float], None]) -> None:
        """`again` is told whom to look at, and after how many seconds."""
        self._backoff = backoff
        self._again = again
        self._known: dict[meta.Key, _Wait] = {}
        # Those that nothing has brought back since, and which of them mind others.
        self._idle: dict[meta.Key, _Wait] = {}
        self._minding: dict[meta.Key, None] = {}

    def put(self, key: meta.Key, message: str, *, now: float, minds_others: bool) -> bool:
        """It fits nowhere; whether that is news."""
        wait = self._known.get(key)
        news = wait is None or wait.message != message
        if wait is None:
            wait = self._known[key] = _Wait(message, 0, now)
        wait.message, wait.since = message, now
        wait.tries += 1
        self._idle[key] = wait
        if minds_others:
            self._minding[key] = None
        return news

    def drop(self, key: meta.Key) -> None:
        """It has a place, is gone, or is another one now."""
        self._known.pop(key, None)
        self._idle.pop(key, None)
        self._minding.pop(key, None)

    def forget_word(self, key: meta.Key) -> None:
        """What it was told did not reach it."""
        if (wait := self._known.get(key)) is not None:
            wait.message = ""

    def help(self, *, now: float) -> None:
        """Something happened that may help anybody."""
        idle, self._idle, self._minding = self._idle, {}, {}
        for key, wait in idle.items():
            self._bring(key, wait, now)

    def help_minding(self, *, now: float) -> None:
        """An instance has a place or other labels now, which may help those that ask for its neighbourhood."""
        minding, self._minding = self._minding, {}
        for key in minding:
            self._bring(key, self._idle.pop(key), now)

    def _bring(self, key: meta.Key, wait: _Wait, now: float) -> None:
        self._again(key, max(0.0, wait.since + self._backoff.delay(failures=wait.tries - 1) - now))
