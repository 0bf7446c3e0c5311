"""Who has to go so that something more important fits: Kubernetes' rules of preemption.

Pure: the table is what it was when this is done, though it is asked what would be if some were gone.
"""

import dataclasses
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence

import numpy as np

from boxfleet.planning.engine import asks, table

# As in Kubernetes: of so many places that would do, or a tenth of all, the best is taken.
_ENOUGH = 100


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Victim:
    """An instance that may have to go."""

    key: Hashable
    ask: asks.Ask
    devices: tuple[int, ...] = ()
    # When it started, as text that sorts by time; of equally important ones the youngest go first.
    started: str = ""
    # Budgets that count it, by name.
    budgets: tuple[Hashable, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A place, and who has to go from there."""

    place: str
    victims: tuple[Victim, ...]
    # How many of them go against their budgets.
    violations: int = 0


def make_room(
    ask: asks.Ask,
    fleet: table.Table,
    on: Callable[[str], Iterable[Victim]],
    *,
    allowed: Mapping[Hashable, int],
) -> Room | None:
    """The place where the least harm is done for an ask that fits nowhere; None when that would not help.

    `on` says who is on a place, `allowed` how many each disruption budget lets go now. Of all places the one with the
    fewest victims beyond their budgets, the least important victim, the lowest sum of priorities, the fewest, those
    that started last, and at last the first by name.
    """
    if not ask.preempts:
        return None
    found: list[Room] = []
    for name in _candidates(ask, fleet):
        if len(found) >= max(_ENOUGH, len(fleet) // 10):
            break
        lower = [each for each in on(name) if each.ask.priority < ask.priority and not _is_needed(each.ask, ask)]
        if lower and (room := _room(ask, fleet, name, lower, allowed)) is not None:
            found.append(room)
    return min(found, key=_harm, default=None)


def _is_needed(other: asks.Ask, ask: asks.Ask) -> bool:
    """Whether an ask is for what only the other, or one like it, provides."""
    wanted = {each.name for each in ask.shares if not each.provides}
    return other.namespace == ask.namespace and any(each.provides and each.name in wanted for each in other.shares)


def _candidates(ask: asks.Ask, fleet: table.Table) -> list[str]:
    """Places that are ruled out by what may change when somebody goes, and by nothing else."""
    kind, facts = fleet.kind(ask), fleet.facts
    rows = facts.rows()
    able = facts.there[rows] & facts.allows(ask, rows)
    names = [facts.of(int(row)).name for row in np.flatnonzero(able)]
    # A label that is not there does not come by somebody's going.
    for trouble, mask in fleet.around(kind, rows) if kind.looks_around else ():
        if trouble == "spread-label":
            names = [name for name in names if not mask[fleet.row_of[name]]]
    if ask.pinned:
        names = [name for name in names if name == ask.pinned]
    if ask.among is not None:
        names = [name for name in names if name in ask.among.open]
    return sorted(names)


def _room(
    ask: asks.Ask, fleet: table.Table, name: str, lower: Sequence[Victim], allowed: Mapping[Hashable, int]
) -> Room | None:
    gone: list[Victim] = []

    def drop(victim: Victim) -> None:
        fleet.give(name, victim.ask, devices=victim.devices)
        gone.append(victim)

    def back(victim: Victim) -> None:
        fleet.take(name, victim.ask, devices=victim.devices)
        gone.remove(victim)

    try:
        for victim in lower:
            drop(victim)
        if not fleet.fits(ask, name):
            return None
        violating, others = _by_budgets(_important_first(lower), allowed)
        kept_from = 0
        # Those that budgets protect are spared first, then the more important ones.
        for group in (violating, others):
            for victim in group:
                back(victim)
                if not fleet.fits(ask, name):
                    drop(victim)
                    kept_from += group is violating
        return Room(place=name, victims=tuple(_important_first(gone)), violations=kept_from)
    finally:
        for victim in list(gone):
            back(victim)


def _by_budgets(victims: Sequence[Victim], allowed: Mapping[Hashable, int]) -> tuple[list[Victim], list[Victim]]:
    """Those whose going is more than a budget allows, and the others."""
    left = dict(allowed)
    violating: list[Victim] = []
    others: list[Victim] = []
    for victim in victims:
        for budget in victim.budgets:
            left[budget] = left.get(budget, 0) - 1
        (violating if any(left[budget] < 0 for budget in victim.budgets) else others).append(victim)
    return violating, others


def _important_first(victims: Collection[Victim]) -> list[Victim]:
    return sorted(victims, key=lambda each: (-each.ask.priority, each.started, str(each.key)))


def _harm(room: Room) -> tuple[int, int, int, int, tuple[int, ...], str]:
    most = max((each.ask.priority for each in room.victims), default=-(2**31))
    # As in Kubernetes: priorities below nothing must not make many victims look few.
    total = sum(each.ask.priority + 2**31 for each in room.victims)
    eldest = min((each.started for each in room.victims if each.ask.priority == most), default="")
    # The later, the better: a text as numbers that can be turned round.
    return room.violations, most, total, len(room.victims), tuple(-ord(letter) for letter in eldest), room.place
