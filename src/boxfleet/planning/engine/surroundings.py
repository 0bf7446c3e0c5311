"""Which counts of Pods by domain each kind of ask feeds and looks at, and keeping them true."""

import numpy as np

from boxfleet.planning.engine import asks, columns, facts, kinds, tallies


class Surroundings:
    """The tallies of one table."""

    def __init__(self, known: facts.Facts, every: dict[asks.Key, kinds.Kind]) -> None:
        self._facts = known
        self._kinds = every
        self._tallies: dict[object, tallies.Tally] = {}
        self._bound = 64

    def introduce(self, kind: kinds.Kind) -> None:
        """Connect a new kind with all that it is meant by, and all that it looks at."""
        ask = kind.ask
        if len(self._tallies) > self._bound:
            self._drop()
        for tally in self._tallies.values():
            _connect(tally, kind)
        if not (ask.spread or ask.near or ask.apart or ask.wishes):
            return
        required = tuple(each.term.topology for each in ask.spread if each.required)
        for spread in ask.spread:
            own = int(spread.term.matches(ask.namespace, ask.labels))
            tally = self._tally(kind, (spread.term,), only=self._filter(ask, spread, required))
            kind.spreads.append((spread, tally, own))
        kind.near = [self._tally(kind, ask.near, topology=each.topology) for each in ask.near]
        kind.apart = [self._tally(kind, (each,)) for each in ask.apart]
        kind.wishes = [(each.weight, self._tally(kind, (each.term,))) for each in ask.wishes]
        # What it holds about others keeps these away, or draws them.
        for term in ask.apart:
            self._tally(kind, (term,), held=0)
        for wish in ask.wishes:
            self._tally(kind, (wish.term,), held=wish.weight)

    def count(self, kind: kinds.Kind, row: int, count: int) -> None:
        """Instances of a kind came to a place, or went."""
        for tally in kind.feeds:
            if not tally.stale:
                tally.add(row, int(self._facts.labels.of(tally.topology).codes[row]), count)

    def moved(self, labels: list[str]) -> None:
        """A place is in another domain of these, or other places count."""
        for tally in self._tallies.values():
            if tally.topology in labels or tally.only is not None:
                tally.stale = True

    def forget(self) -> None:
        """Count all anew: rows are no longer what they were."""
        for tally in self._tallies.values():
            tally.stale = True

    def freshen(self, kind: kinds.Kind, now: kinds.Moment) -> None:
        """Make true what a kind looks at."""
        for tally in (*_looked_at(kind), *kind.repelled):
            column = self._facts.labels.of(tally.topology)
            if tally.stale or len(tally.counts) != len(column.values) + 1:
                feeding = (each for each in self._kinds.values() if tally in each.feeds)
                tally.recount(column, (member for each in feeding for member in each.members.items()))
        if kind.spreads and kind.present_at != now:
            kind.present = [self._present(kind.ask, spread, tally) for spread, tally, _ in kind.spreads]
            kind.present_at = now

    def _drop(self) -> None:
        """Forget counts that no kind looks at or holds any more."""
        used = {id(each) for kind in self._kinds.values() for each in _looked_at(kind)}
        used |= {id(each) for kind in self._kinds.values() for each in kind.feeds if each.held is not None}
        self._tallies = {key: each for key, each in self._tallies.items() if id(each) in used}
        for kind in self._kinds.values():
            kind.feeds = [each for each in kind.feeds if id(each) in used]
            kind.repelled = [each for each in kind.repelled if id(each) in used]
        self._bound = 64 + 2 * len(self._tallies)

    def _present(self, ask: asks.Ask, spread: asks.Spread, tally: tallies.Tally) -> columns.Rows:
        """The domains that count for a spread."""
        codes = self._facts.labels.of(tally.topology).codes[: len(self._facts)][self._counting(ask, spread)]
        return np.unique(codes[codes >= 0]).astype(np.int64)

    def _tally(
        self,
        kind: kinds.Kind,
        terms: tuple[asks.Term, ...],
        *,
        topology: str = "",
        held: int | None = None,
        only: tallies.Filter | None = None,
    ) -> tallies.Tally:
        topology = topology or terms[0].topology
        key = (topology, terms, held, only[0] if only is not None else None)
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = tallies.Tally(topology, terms, held=held, only=only)
            for each in self._kinds.values():
                _connect(tally, each)
        _connect(tally, kind)
        return tally

    def _filter(self, ask: asks.Ask, spread: asks.Spread, required: tuple[str, ...]) -> tallies.Filter | None:
        """Which places a spread counts; None when all that have its label."""
        by_affinity = spread.by_affinity and bool(ask.selector or ask.affinity)
        others = tuple(key for key in required if key != spread.term.topology) if spread.required else ()
        if not by_affinity and not spread.by_taints and not others:
            return None
        mark = (
            (tuple(ask.selector.items()), repr(ask.affinity)) if by_affinity else (),
            repr(ask.tolerations) if spread.by_taints else "",
            others,
        )
        return mark, lambda: self._counting(ask, spread)

    def _counting(self, ask: asks.Ask, spread: asks.Spread) -> columns.Mask:
        """The rows that count for a spread: with required ones, those that have the labels of all of them."""
        rows = self._facts.rows()
        found = self._facts.present(rows)
        if spread.by_affinity:
            found &= self._facts.labels.selected(ask, rows)
        if spread.by_taints:
            found &= self._facts.untainted(ask, rows)
        for each in ask.spread:
            if each.required and spread.required:
                found &= self._facts.labels.of(each.term.topology).codes[rows] >= 0
        return found


def _looked_at(kind: kinds.Kind) -> list[tallies.Tally]:
    return [*(each[1] for each in kind.spreads), *kind.near, *kind.apart, *(each[1] for each in kind.wishes)]


def _connect(tally: tallies.Tally, kind: kinds.Kind) -> None:
    """Connect a tally with a kind that feeds it or is meant by it."""
    ask = kind.ask
    means = tally.means(ask.namespace, ask.labels)
    if tally.held is None:
        feeds = means
    else:
        term = tally.terms[0]
        if tally.held == 0:
            feeds = term in ask.apart
        else:
            feeds = any(each.weight == tally.held and each.term == term for each in ask.wishes)
        if means and tally not in kind.repelled:
            kind.repelled.append(tally)
    if feeds and tally not in kind.feeds:
        kind.feeds.append(tally)
        # Instances of this kind may have been there before.
        tally.stale = tally.stale or bool(kind.members)
