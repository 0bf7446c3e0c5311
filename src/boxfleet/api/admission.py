"""Rules about an object that other objects decide: what the API machine must know of them, as data.

What an object alone can show stands in `kind.Kind.validate`. A rule here sees what is stored at that moment; of two
writes that come at once, each may see the other not yet, so whoever acts on the objects must bear that, too. What
must hold in spite of that is kept by an `Account`.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from boxfleet.api import kind, meta


class Look(Protocol):
    """Reads what is stored. `type` may say less of an object than its kind does, which is faster read."""

    def find(self, type: type[meta.T], name: str, *, namespace: str = "") -> meta.T | None:
        """One object, if it is there."""

    def one(self, type: type[meta.Object], name: str, *, namespace: str = "") -> kind.JsonObject | None:
        """One object as it is stored, if it is there."""

    def all(self, type: type[meta.T], *, namespace: str = "") -> Iterator[meta.T]:
        """All objects of a kind, in one namespace or in all."""

    def raw(self, type: type[meta.Object], *, namespace: str = "") -> Iterator[kind.JsonObject]:
        """All objects of a kind as they are stored."""


class Refused(Exception):
    """A write is not let through; the text says why, as the cause of a 403."""


class TooSoon(Refused):
    """Not now, perhaps later (429); `why` is the cause beside the message."""

    def __init__(self, message: str, *, why: str) -> None:
        super().__init__(message)
        self.why = why


Change = Callable[[kind.JsonObject], kind.JsonObject | None]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An object that keeps count of others: it changes in one step with the write that counts.

    `change` makes the new object from the one that is there at that very moment, of all that was written before;
    None leaves it alone, and Refused refuses the whole write. It must not change what it gets, and may be called again.
    """

    kind: kind.Kind
    namespace: str
    name: str
    change: Change


# Finds the accounts of a write from the kind, the wanted object (None: it is to be gone) and the stored one (None: it
# is new). It is asked about every write, so it must be quick where there is nothing to count. May raise Refused.
Accounts = Callable[[kind.Kind, kind.JsonObject | None, kind.JsonObject | None, Look], Iterable[Account]]


def _no_default(new: kind.JsonObject, old: kind.JsonObject | None, look: Look) -> None:
    """Fill in nothing."""


def _no_refusal(new: kind.JsonObject, old: kind.JsonObject | None, look: Look) -> str:
    """Refuse nothing."""
    return ""


def _any_write(new: kind.JsonObject, old: kind.JsonObject | None, look: Look) -> list[kind.FieldError]:
    """Find nothing."""
    return []


def _any_deletion(old: kind.JsonObject, look: Look) -> str:
    """Refuse nothing."""
    return ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The rules for one kind.

    In this order: `default` fills in place what the object leaves out, before it is validated. `write` finds what is
    wrong with an object that is otherwise valid (`old` is the stored one on updates). `refuse` says why it may not be
    as it is although it is valid (403); empty when it may. Changes of the status alone are not asked about.
    `delete` says why an object may not go and what to do; empty when it may.
    """

    default: Callable[[kind.JsonObject, kind.JsonObject | None, Look], None] = _no_default
    write: Callable[[kind.JsonObject, kind.JsonObject | None, Look], list[kind.FieldError]] = _any_write
    refuse: Callable[[kind.JsonObject, kind.JsonObject | None, Look], str] = _no_refusal
    delete: Callable[[kind.JsonObject, Look], str] = _any_deletion


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All that is asked about writes: the rules by the qualified name of the kind, and who keeps count of them."""

    rules: Mapping[str, Rules]
    accounts: tuple[Accounts, ...] = ()
    # Who keeps count of evictions, besides: of the Pod, and the time now. May raise Refused.
    evictions: Callable[[kind.JsonObject, Look, str], Iterable[Account]] = lambda pod, look, now: ()
