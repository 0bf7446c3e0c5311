"""Picking a place: a node for an instance, a cluster for a share. The door to the engine (planning/engine).

A place is anything with free amounts, labels and taints. Places that cannot take the ask are counted by reason,
the others are scored; equal scores go to the first name, so that the same question has the same answer.
"""

import collections
from collections.abc import Iterable

from boxfleet.planning import pod_asks
from boxfleet.planning.engine import asks, places, policies, refusals, rules, table

Port = asks.Port
Ask = asks.Ask
Place = places.Place
Choice = places.Choice

ask_of = pod_asks.ask_of
obstacles = rules.obstacles


def choose(ask: Ask, many: Iterable[Place]) -> Choice:
    """The best place for an ask.

    The values of a Table are not gone through: it knows, also where other Pods are. Of other places, which should be
    few, each is looked at alone.
    """
    if isinstance(many, table.Values):
        return many.table.choose(ask)
    reasons: collections.Counter[str] = collections.Counter()
    best: tuple[float, str] | None = None
    total = 0
    for place in many:
        total += 1
        if found := obstacles(ask, place):
            reasons.update(found)
            continue
        # The smallest pair wins: highest score first, then the first name.
        rank = (-score(ask, place), place.name)
        if best is None or rank < best:
            best = rank
    if best is not None:
        return Choice(best[1])
    if not total:
        return Choice("", refusals.NOBODY)
    detail = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    return Choice("", f"0/{total} nodes are available: {detail}.")


def score(ask: Ask, place: Place) -> float:
    """How well a place suits: free room after it, few of its own kind, images already there, what is preferred."""
    return sum(rules.parts(ask, place, policies.SPREAD).values())
