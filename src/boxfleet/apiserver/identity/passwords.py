"""Passwords: hashed with argon2id, checked beside the event loop, and guessed slowly.

The cost is OWASP's for argon2id: 19 MiB, two passes.
"""

import asyncio
import functools

import argon2

from boxfleet.kit import clock as clocks

_HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# Checks at once, and how many may wait for their turn.
_AT_ONCE = 2
_WAITING = 32
# Failures of one user or address that cost nothing, then seconds that grow by each to the longest.
_FREE = 5
_FIRST, _LONGEST = 1.0, 300.0
# Users and addresses that are remembered.
_REMEMBERED = 4096
SHORTEST = 8
LONGEST = 1024


class TooMany(Exception):
    """Not now; `seconds` until it is worth trying."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"too many attempts: try again in {max(1, round(seconds))} seconds")
        self.seconds = seconds


def hashed(password: str) -> str:
    """What is kept of a password."""
    return _HASHER.hash(password)


@functools.cache
def _nobodys() -> str:
    """For users that are not there, who must take as long as others."""
    return hashed("nobody's")


class Checks:
    """Checks passwords, a few at a time."""

    def __init__(self, *, clock: clocks.Clock) -> None:
        self._clock = clock
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0
        # By user and by address: failures in a row, and when the next attempt is looked at.
        self._failures: dict[str, tuple[int, float]] = {}

    async def check(self, password: str, known: str | None, *, user: str, address: str) -> bool:
        """Whether a password fits the hash, None being that of nobody; raises TooMany."""
        who = (f"user {user}", f"address {address}")
        now = self._clock.monotonic()
        pause = max(self._failures.get(each, (0, now))[1] - now for each in who)
        if pause > 0:
            raise TooMany(pause)
        if self._waiting >= _WAITING:
            raise TooMany(1.0)
        # Counted before it is known, so that many at once are not free.
        for each in who:
            self._fail(each)
        self._waiting += 1
        try:
            async with self._turns:
                fits = await asyncio.to_thread(_fits, password[:LONGEST], known)
        finally:
            self._waiting -= 1
        if fits and known is not None:
            for each in who:
                self._failures.pop(each, None)
            return True
        return False

    def _fail(self, who: str) -> None:
        count = self._failures.pop(who, (0, 0.0))[0] + 1
        pause = 0.0 if count <= _FREE else min(_LONGEST, _FIRST * 2.0 ** min(count - _FREE - 1, 20))
        if len(self._failures) >= _REMEMBERED:
            del self._failures[next(iter(self._failures))]
        self._failures[who] = (count, self._clock.monotonic() + pause)


def _fits(password: str, known: str | None) -> bool:
    try:
        return _HASHER.verify(known or _nobodys(), password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False
