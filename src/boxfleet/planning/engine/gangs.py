"""Places for several instances at once, or for none of them."""

import dataclasses
from collections.abc import Sequence

from boxfleet.planning.engine import asks, table


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    """A place for each ask, in their order; or none, and why."""

    places: tuple[str, ...] = ()
    why_not: str = ""


def place(many: Sequence[asks.Ask], fleet: table.Table, *, within: str = "") -> Together:
    """Places for all asks, each beside those before it; nothing is taken when this is done.

    `within` is a label: all go to places with one value of it, the value where they are placed best together.
    Big ones choose first, so that small ones do not take their room.
    """
    if not within:
        found, _ = _try(many, fleet)
        return found
    column = fleet.facts.labels.of(within)
    best: tuple[float, str, Together] | None = None
    refused = Together(why_not=f"no node has the label {within}")
    for value in sorted(set(column.values)):
        found, worth = _try([_only(ask, within, value) for ask in many], fleet)
        if found.places:
            if best is None or (-worth, value) < best[:2]:
                best = (-worth, value, found)
        else:
            refused = Together(
                why_not=f"no value of {within} has room for all {len(many)}: with {value} {found.why_not}"
            )
    return best[2] if best is not None else refused


def _try(many: Sequence[asks.Ask], fleet: table.Table) -> tuple[Together, float]:
    taken: list[tuple[str, asks.Ask, tuple[int, ...]]] = []
    chosen = [""] * len(many)
    worth = 0.0
    try:
        for number in sorted(range(len(many)), key=lambda number: (_size(many[number], fleet), number)):
            ask = many[number]
            choice = fleet.choose(ask)
            if not choice.place:
                return Together(why_not=f"{len(taken)} of {len(many)} fit: {choice.why_not}"), 0.0
            worth += float(fleet.scores(fleet.kind(ask))[fleet.row_of[choice.place]])
            taken.append((choice.place, ask, fleet.take(choice.place, ask)))
            chosen[number] = choice.place
        return Together(places=tuple(chosen)), worth
    finally:
        for name, ask, devices in reversed(taken):
            fleet.give(name, ask, devices=devices)


def _size(ask: asks.Ask, fleet: table.Table) -> tuple[float, ...]:
    """Big first: by devices, then by the largest share of what the places offer on the whole."""
    kind, offers = fleet.kind(ask), fleet.arrays.offers
    rows = len(fleet.facts)
    whole = offers[:rows, :3].sum(0)
    shares = [int(kind.amounts[number]) / int(whole[number]) for number in range(3) if whole[number] > 0]
    devices = ask.gpus.count * ask.gpus.milli if ask.gpus is not None else 0
    return -float(devices), -max(shares, default=0.0)


def _only(ask: asks.Ask, label: str, value: str) -> asks.Ask:
    return dataclasses.replace(ask, selector={**ask.selector, label: value}, _key=None)
