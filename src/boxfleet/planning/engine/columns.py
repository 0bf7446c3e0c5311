"""A label over all places as an array of small numbers: what selectors and topology look at."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from boxfleet.api import pod_affinity
from boxfleet.planning.engine import asks, places, rules

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.intp]
Numbers = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


class Column:
    """Codes of a label's values by row; -1 where there is none. A value keeps its code for good."""

    def __init__(self) -> None:
        self.codes: Codes = np.empty(0, np.intp)
        self.values: list[str] = []
        self._code_of: dict[str, int] = {}

    def code(self, value: str | None) -> int:
        """The code of a value, a new one when it was never seen."""
        if value is None:
            return -1
        found = self._code_of.get(value)
        if found is None:
            found = self._code_of[value] = len(self.values)
            self.values.append(value)
        return found

    def find(self, value: str) -> int:
        """The code of a value; -2 when no place ever had it."""
        return self._code_of.get(value, -2)

    def holds(self, rule: pod_affinity.NodeSelectorRequirement, rows: Rows) -> Mask:
        """Where an expression holds: it is looked at once per value."""
        table = np.fromiter(
            (rules.holds(rule, value) for value in (*self.values, None)), np.bool_, count=len(self.values) + 1
        )
        # Code -1 is the last entry.
        return table[self.codes[rows]]


class Columns:
    """Columns by label, made when first asked for."""

    def __init__(self, facts: Sequence[places.Place | None]) -> None:
        self._facts = facts
        self._columns: dict[str, Column] = {}

    def of(self, key: str) -> Column:
        """The column of a label; empty stands for the place's name."""
        column = self._columns.get(key)
        if column is None:
            column = self._columns[key] = Column()
            column.codes = np.fromiter((self._code(column, key, each) for each in self._facts), np.intp)
        return column

    def set(self, row: int) -> list[str]:
        """Take in a row's labels; the keys whose value is another one now."""
        changed = []
        for key, column in self._columns.items():
            if row >= len(column.codes):
                column.codes = np.append(column.codes, np.full(max(64, row // 2), -1, np.intp))
            code = self._code(column, key, self._facts[row])
            if column.codes[row] != code:
                column.codes[row] = code
                changed.append(key)
        return changed

    def selected(self, ask: asks.Ask, rows: Rows) -> Mask:
        """Where selector and required affinity mean the place."""
        found = np.ones(len(rows), np.bool_)
        for key, value in ask.selector.items():
            column = self.of(key)
            found &= column.codes[rows] == column.find(value)
        if ask.affinity is not None:
            terms = np.zeros(len(rows), np.bool_)
            for term in ask.affinity.nodeSelectorTerms:
                terms |= self.holds(term, rows)
            found &= terms
        return found

    def liked(self, ask: asks.Ask, rows: Rows) -> Numbers:
        """The share, by weight, of preferred terms that hold."""
        found = np.zeros(len(rows))
        whole = sum(each.weight for each in ask.preferred)
        for each in ask.preferred:
            found += each.weight * self.holds(each.preference, rows)
        return found / whole if whole else found

    def holds(self, term: pod_affinity.NodeSelectorTerm, rows: Rows) -> Mask:
        """Where all expressions of a term hold."""
        if not term.matchExpressions and not term.matchFields:
            return np.zeros(len(rows), np.bool_)
        found = np.ones(len(rows), np.bool_)
        for rule in term.matchExpressions:
            found &= self.of(rule.key).holds(rule, rows)
        for rule in term.matchFields:
            found &= self.of("").holds(rule, rows) if rule.key == "metadata.name" else rules.holds(rule, None)
        return found

    def _code(self, column: Column, key: str, place: places.Place | None) -> int:
        if place is None:
            return -1
        return column.code(place.labels.get(key) if key else place.name)
