"""A list of conditions that is brought up to date, one type at a time."""

from typing import Literal

from boxfleet.api import meta


class Conditions:
    """Conditions as they were, changed towards what they should be; times move only with a status."""

    def __init__(self, before: list[meta.Condition], *, now: str) -> None:
        self.items = list(before)
        self._now = now

    def put(self, type: str, status: Literal["True", "False"], reason: str, message: str) -> None:
        """Say what is so now."""
        new = meta.Condition(type=type, status=status, reason=reason, message=message)
        meta.set_condition(self.items, new, now=self._now)

    def drop(self, type: str) -> None:
        """Take away what no longer applies."""
        self.items = [each for each in self.items if each.type != type]
