"""How many Pods of some kind are in every domain of a topology, kept as instances come and go."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from boxfleet.planning.engine import asks, columns

# Which places count at all, and a mark by which equal ones are known.
Filter = tuple[object, Callable[[], columns.Mask]]


class Tally:
    """Pods by domain: those that all terms mean, or those that hold one term about others.

    `counts` is by the code of the domain; its last entry is for places without the label, and is 0.
    """

    def __init__(
        self, topology: str, terms: tuple[asks.Term, ...], *, held: int | None, only: Filter | None = None
    ) -> None:
        self.topology = topology
        self.terms = terms
        # None: Pods that the terms mean; 0: Pods that must not be beside such; else the weight of their wish.
        self.held = held
        self.only = only
        self.counts: columns.Counts = np.zeros(1, np.int64)
        # Counted anew before it is next looked at.
        self.stale = True
        self._mask: columns.Mask | None = None

    def means(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Whether all terms mean such a Pod."""
        return all(each.matches(namespace, labels) for each in self.terms)

    def add(self, row: int, code: int, count: int) -> None:
        """Instances came to a place, or went."""
        if self.stale or code < 0 or (self._mask is not None and not self._mask[row]):
            return
        if code >= len(self.counts) - 1:
            self.stale = True
            return
        self.counts[code] += count

    def recount(self, column: columns.Column, members: Iterable[tuple[int, int]]) -> None:
        """Count from nothing: `members` are rows with how many there are."""
        self.counts = np.zeros(len(column.values) + 1, np.int64)
        self._mask = self.only[1]() if self.only is not None else None
        self.stale = False
        for row, count in members:
            self.add(row, int(column.codes[row]), count)
