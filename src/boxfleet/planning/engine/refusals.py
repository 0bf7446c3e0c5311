"""Why places were ruled out, counted over all of them; and for each place what ruled it out or what it is good for."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from boxfleet.planning.engine import asks, columns, kinds, rules

if TYPE_CHECKING:
    from boxfleet.planning.engine import table as tables

NOBODY = "no nodes are available: start an agent on a host, see `boxfleet doctor`"

# A cause and the rows that it is one for.
Cause = tuple[str, columns.Mask]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One place for one ask: obstacles, or the parts of its score."""

    place: str
    obstacles: tuple[str, ...] = ()
    parts: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def score(self) -> float:
        """How good it is, against others for the same ask."""
        return sum(self.parts.values())


def explain(table: "tables.Table", ask: asks.Ask) -> list[Verdict]:
    """A verdict on every place: the best first, then those that are ruled out, both by name where equal."""
    kind = table.kind(ask)
    found = []
    for name, row in table.row_of.items():
        obstacles = rules.obstacles(ask, table.place(row))
        if not obstacles and kind.looks_around:
            refused = table.around(kind, np.array([row]))
            obstacles = [rules.TROUBLES[trouble] for trouble, mask in refused if mask[0]]
        parts = {} if obstacles else table.parts(ask, name)
        found.append(Verdict(place=name, obstacles=tuple(obstacles), parts=parts))
    return sorted(found, key=lambda each: (bool(each.obstacles), -each.score, each.place))


def words(causes: list[Cause], *, total: int) -> str:
    """Kubernetes' sentence."""
    counted = [(int(np.count_nonzero(mask)), text) for text, mask in causes]
    detail = ", ".join(f"{count} {text}" for count, text in sorted(counted, key=lambda each: each[1]) if count)
    return f"0/{total} nodes are available: {detail}."


def causes(table: "tables.Table", kind: kinds.Kind, *, asked: asks.Ask) -> list[Cause]:
    """What rules places out; one place may have several causes. `asked` is one of the kind."""
    ask, facts = kind.ask, table.facts
    rows = facts.rows()
    open_ = facts.present(rows)
    found: list[Cause] = []

    def narrow(text: str, mask: columns.Mask) -> None:
        nonlocal open_
        found.append((text, open_ & ~mask))
        open_ = open_ & mask

    if ask.cluster:
        narrow(rules.elsewhere(ask.cluster), facts.in_cluster(ask, rows))
    if asked.pinned:
        narrow(rules.pinned_elsewhere(asked.pinned), rows == table.row_of.get(asked.pinned, -1))
    narrow(rules.NOT_SELECTED, facts.labels.selected(ask, rows))
    if asked.among is not None:
        for text in sorted(set(asked.among.words.values())):
            those = [name for name, said in asked.among.words.items() if said == text]
            narrow(text, ~facts.named(those, table.row_of))
        narrow(asked.among.otherwise, facts.named(asked.among.open, table.row_of))
    others: list[Cause] = [(rules.CORDONED, facts.cordoned[rows])]
    repelling = facts.repelling(ask, rows)
    others += repelling.items()
    others.append((rules.NOT_READY, ~facts.ready[rows] & facts.untainted(ask, rows)))
    others += _ports(table, ask, rows)
    others += _amounts(table, kind, open_)
    if ask.gpus is not None:
        fit = table.arrays.gpus_fit(ask.gpus, rows) & facts.has_model(ask, rows)
        others.append((rules.too_few_gpus(ask.gpus), ~fit))
    left = open_.copy()
    for text, mask in others:
        found.append((text, open_ & mask))
        left &= ~mask
    if kind.looks_around:
        found += [(rules.TROUBLES[trouble], left & mask) for trouble, mask in table.around(kind, rows)]
    return found


def _ports(table: "tables.Table", ask: asks.Ask, rows: columns.Rows) -> list[Cause]:
    if not ask.ports:
        return []
    by_text: dict[str, columns.Mask] = {}
    for row in np.flatnonzero(table.ports_taken(ask, rows)).tolist():
        text = rules.ports_taken([port[2] for port in ask.ports if rules.taken(port, table.ports[row])])
        by_text.setdefault(text, np.zeros(len(rows), np.bool_))[row] = True
    return list(by_text.items())


def _amounts(table: "tables.Table", kind: kinds.Kind, open_: columns.Mask) -> list[Cause]:
    """What there is too little of. Of places that differ in what is free, the most is said."""
    arrays, size = table.arrays, len(open_)
    found: list[Cause] = []
    for name in (*kind.ask.requests, *kinds.limits(kind.ask)):
        number = arrays.index[name]
        wanted = int(kind.amounts[number])
        free = arrays.free[:size, number]
        lacking = open_ & (free < wanted) if wanted > 0 else np.zeros(size, np.bool_)
        if lacking.any():
            amounts = free[lacking]
            several = bool((amounts != amounts[0]).any())
            text = rules.insufficient(name, wanted, int(amounts.max()), several=several)
            found.append((text, lacking))
    return found
