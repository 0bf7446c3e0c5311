"""Rules about an object that other objects decide: what the API machine must know of them, as data.

What an object alone can show stands in `kind.Kind.validate`. A rule here sees what is stored at that moment; of two
writes that come at once, each may see the other not yet, so whoever acts on the objects must bear that, too.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Protocol

from boxfleet.api import kind, meta


class Look(Protocol):
    """Reads what is stored. `type` may say less of an object than its kind does, which is faster read."""

    def find(self, type: type[meta.T], name: str, *, namespace: str = "") -> meta.T | None:
        """One object, if it is there."""

    def all(self, type: type[meta.T], *, namespace: str = "") -> Iterator[meta.T]:
        """All objects of a kind, in one namespace or in all."""


def _any_write(new: kind.JsonObject, old: kind.JsonObject | None, look: Look) -> list[kind.FieldError]:
    """Find nothing."""
    return []


def _any_deletion(old: kind.JsonObject, look: Look) -> str:
    """Refuse nothing."""
    return ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The rules for one kind.

    `write` finds what is wrong with an object that is otherwise valid (`old` is the stored one on updates); changes of
    the status alone are not asked about. `delete` says why an object may not go and what to do; empty when it may.
    """

    write: Callable[[kind.JsonObject, kind.JsonObject | None, Look], list[kind.FieldError]] = _any_write
    delete: Callable[[kind.JsonObject, Look], str] = _any_deletion
