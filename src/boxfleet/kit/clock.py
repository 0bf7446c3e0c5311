"""Time as a thing that is handed in, so that tests own it."""

import asyncio
import datetime
import time
from typing import Protocol


class Clock(Protocol):
    """What code may ask about time."""

    def now(self) -> datetime.datetime:
        """Wall time, always in UTC."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Return after at least that many seconds."""


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
# The time since then that was written last, and how.
_stamped = (datetime.timedelta(), "1970-01-01T00:00:00Z")


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime.datetime:
        """Wall time in UTC."""
        return datetime.datetime.now(datetime.UTC)

    def monotonic(self) -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the event loop."""
        await asyncio.sleep(seconds)


def stamp(moment: datetime.datetime) -> str:
    """Write a moment as Kubernetes' ``Time``: RFC 3339, whole seconds, UTC."""
    global _stamped
    if moment.tzinfo is not datetime.UTC:
        moment = moment.astimezone(datetime.UTC)
    since = moment - _EPOCH
    second, text = _stamped
    # Who writes thousands of objects in a second asks for the same text each time.
    if since.seconds != second.seconds or since.days != second.days:
        text = moment.isoformat(timespec="seconds")[:19] + "Z"
        _stamped = (since, text)
    return text


def micro_stamp(moment: datetime.datetime) -> str:
    """Write a moment as Kubernetes' ``MicroTime``: RFC 3339 with six digits, UTC."""
    return moment.astimezone(datetime.UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse(text: str) -> datetime.datetime:
    """Read either form; raises ValueError on anything else."""
    return datetime.datetime.fromisoformat(text)
