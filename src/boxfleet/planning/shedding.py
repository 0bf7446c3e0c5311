"""Which instance has to go when a host has too little of something."""

from collections.abc import Iterable

import msgspec

from boxfleet.api import priority_class
from boxfleet.planning import resources

EVICTED = "Evicted"
# From here on instances are what a cluster or a node cannot do without (Kubernetes: "system-cluster-critical").
_CRITICAL = min(priority_class.SYSTEM.values())
# What frees less than this part of the whole is left alone: it would be lost, and nothing won.
_WORTH = 500


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """An instance that runs: bytes that it asked for and that it uses."""

    uid: str
    requested: int
    used: int
    priority: int = 0


def victim(candidates: Iterable[Candidate], *, whole: int) -> Candidate | None:
    """The one that has to go next; None when that would help nobody. `whole` is all that the host has, in bytes.

    Kubernetes' order: those that use more than they asked for, the least important, the one that is most above it.
    """
    able = [each for each in candidates if each.priority < _CRITICAL and each.used * _WORTH >= whole]
    return min(
        able,
        key=lambda each: (each.used <= each.requested, each.priority, each.requested - each.used, each.uid),
        default=None,
    )


def message(chosen: Candidate, resource: str) -> str:
    """What its status says."""
    used, requested = (resources.text_of(resource, amount) for amount in (chosen.used, chosen.requested))
    return f"The node was low on resource: {resource}. The instance used {used}, its request is {requested}."
