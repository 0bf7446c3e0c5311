"""What places are apart from what is used of them, by row: taints, labels, readiness, images."""

from collections.abc import Callable, Collection, Mapping

import numpy as np

from boxfleet.api import node
from boxfleet.planning.engine import asks, columns, places, policies, rules

_NOTHING = places.Place(name="", unschedulable=True)


class Facts:
    """Rows of places. Equal sets of taints are judged once."""

    def __init__(self) -> None:
        # None where a place was taken away.
        self.places: list[places.Place | None] = []
        self.labels = columns.Columns(self.places)
        self.there: columns.Mask = np.zeros(64, np.bool_)
        self.ready: columns.Mask = np.zeros(64, np.bool_)
        self.cordoned: columns.Mask = np.zeros(64, np.bool_)
        self._clusters, self._models, self._taints = columns.Column(), columns.Column(), columns.Column()
        for each in (self._clusters, self._models, self._taints):
            each.codes = np.full(64, -1, np.intp)
        self._sets: list[tuple[node.Taint, ...]] = []

    def __len__(self) -> int:
        return len(self.places)

    def of(self, row: int) -> places.Place:
        """The place of a row."""
        found = self.places[row]
        if found is None:
            raise KeyError(row)
        return found

    def rows(self) -> columns.Rows:
        """Every row, also those of places that were taken away."""
        return np.arange(len(self.places))

    def add(self) -> int:
        """A new row."""
        row = len(self.places)
        self.places.append(None)
        if row >= len(self.ready):
            self.there = np.pad(self.there, (0, row))
            self.ready, self.cordoned = np.pad(self.ready, (0, row)), np.pad(self.cordoned, (0, row))
            for each in (self._clusters, self._models, self._taints):
                each.codes = np.pad(each.codes, (0, row), constant_values=-1)
        return row

    def set(self, row: int, new: places.Place | None) -> list[str]:
        """Take in a place; gives the labels whose value is another one now, of those that were ever asked for."""
        self.places[row] = new
        fact = new or _NOTHING
        self.there[row] = new is not None
        self.ready[row], self.cordoned[row] = fact.ready, fact.unschedulable
        self._clusters.codes[row] = self._clusters.code(fact.cluster)
        self._models.codes[row] = self._models.code(fact.gpu_model)
        code = self._taints.code("\n".join(f"{each.key}={each.value}:{each.effect}" for each in fact.taints))
        if code == len(self._sets):
            self._sets.append(fact.taints)
        self._taints.codes[row] = code
        return self.labels.set(row)

    def present(self, rows: columns.Rows) -> columns.Mask:
        """Where there is a place."""
        return self.there[rows]

    def named(self, names: Collection[str], row_of: Mapping[str, int]) -> columns.Mask:
        """The rows of these places."""
        found: columns.Mask = np.zeros(len(self.places), np.bool_)
        found[[row_of[name] for name in names if name in row_of]] = True
        return found

    def in_cluster(self, ask: asks.Ask, rows: columns.Rows) -> columns.Mask:
        """Where the cluster is the one that is asked for."""
        if not ask.cluster:
            return np.ones(len(rows), np.bool_)
        same: columns.Mask = self._clusters.codes[rows] == self._clusters.find(ask.cluster)
        return same

    def has_model(self, ask: asks.Ask, rows: columns.Rows) -> columns.Mask:
        """Where GPUs are of a model that will do."""
        if ask.gpus is None or not ask.gpus.models:
            return np.ones(len(rows), np.bool_)
        wanted = [self._models.find(each) for each in sorted(ask.gpus.models)]
        found: columns.Mask = np.isin(self._models.codes[rows], wanted)
        return found

    def by_taints(self, rows: columns.Rows, judge: Callable[[tuple[node.Taint, ...]], int]) -> columns.Counts:
        """A judgement of taints, for every row."""
        table = np.fromiter((judge(each) for each in self._sets), np.int64, count=len(self._sets))
        return table[self._taints.codes[rows]]

    def untainted(self, ask: asks.Ask, rows: columns.Rows) -> columns.Mask:
        """Where no taint keeps away."""
        return self.by_taints(rows, lambda many: rules.untolerated(ask.tolerations, many) is None).astype(np.bool_)

    def repelling(self, ask: asks.Ask, rows: columns.Rows) -> dict[str, columns.Mask]:
        """Where a taint keeps away, by what it is."""
        codes = self._taints.codes[rows]
        found: dict[str, columns.Mask] = {}
        for code, many in enumerate(self._sets):
            taint = rules.untolerated(ask.tolerations, many)
            if taint is not None:
                text = rules.tainted(taint)
                found[text] = found.get(text, np.zeros(len(rows), np.bool_)) | (codes == code)
        return found

    def allows(self, ask: asks.Ask, rows: columns.Rows) -> columns.Mask:
        """Where nothing keeps away that has nothing to do with amounts."""
        return (
            self.ready[rows]
            & ~self.cordoned[rows]
            & self.in_cluster(ask, rows)
            & self.has_model(ask, rows)
            & self.untainted(ask, rows)
            & self.labels.selected(ask, rows)
        )

    def worth(self, ask: asks.Ask, rows: columns.Rows, policy: policies.Policy) -> columns.Numbers:
        """Parts of the score that have nothing to do with amounts."""
        found = policy.taints / (1 + self.by_taints(rows, lambda many: rules.disliked(ask.tolerations, many)))
        if ask.preferred:
            found += policy.affinity * self.labels.liked(ask, rows)
        if ask.images:
            found += policy.images * np.fromiter(
                (rules.images(ask, fact.images) if (fact := self.places[row]) is not None else 0.0 for row in rows),
                np.float64,
                count=len(rows),
            )
        return found

    def move(self, order: columns.Rows) -> None:
        """Keep these rows only, in this order."""
        kept = [self.places[row] for row in order]
        self.__init__()  # type: ignore[misc]
        for each in kept:
            self.set(self.add(), each)
