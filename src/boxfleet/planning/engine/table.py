"""Many places as arrays, and the best of them for an ask in microseconds.

Asks that look alike are one kind (kinds.py). For each kind it is kept which places can take it and how good they are; a
placement changes one place, and of a kind that is asked again only places that changed since are looked at. Counts of
Pods by domain are kept beside (surroundings.py), and looked up for all places when a kind depends on them (domains.py).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, ValuesView

import numpy as np

from boxfleet.planning.engine import (
    arrays,
    asks,
    columns,
    domains,
    facts,
    fragments,
    kinds,
    places,
    policies,
    refusals,
    rules,
    surroundings,
)

# Kinds whose arrays are kept; those worked out longest ago are worked out anew when they come again.
_KEPT = 512
_NEVER = -np.inf
_FEW = 6


class Values(ValuesView[places.Place]):
    """The places of a table, which can be asked itself."""

    def __init__(self, whole: "Table") -> None:
        super().__init__(whole)
        self.table = whole


class Table(Mapping[str, places.Place]):
    """Places by name. A place that is read from it is a picture of the moment."""

    def __init__(self, many: Iterable[places.Place] = (), *, policy: policies.Policy = policies.SPREAD) -> None:
        self.policy = policy
        self.facts = facts.Facts()
        self.arrays = arrays.Arrays()
        self.row_of: dict[str, int] = {}
        self.ports: dict[int, Counter[asks.Port]] = {}
        self.groups: dict[str, Counter[int]] = {}
        self.kinds: dict[asks.Key, kinds.Kind] = {}
        self._surroundings = surroundings.Surroundings(self.facts, self.kinds)
        self._fragments: fragments.Fragments | None = None
        self._kept: dict[asks.Key, None] = {}
        # Who asked last: whoever chooses takes next.
        self._recent: tuple[asks.Ask, kinds.Kind] | None = None
        # Rows in order of change: of what is used, and of what places are. A new epoch begins empty logs.
        self._log: list[int] = []
        self._static: list[int] = []
        self._epoch = 0
        self._structure = 0
        # The rank of each row by name; None while rows stand in the order of names.
        self._ranks: columns.Rows | None = None
        self._last = ""
        for each in many:
            self.set(each)

    # What there is.

    def __getitem__(self, name: str) -> places.Place:
        return self.place(self.row_of[name])

    def __contains__(self, name: object) -> bool:
        return name in self.row_of

    def __iter__(self) -> Iterator[str]:
        return iter(self.row_of)

    def __len__(self) -> int:
        return len(self.row_of)

    def said(self, name: str) -> places.Place:
        """What was said of a place when it was last taken in."""
        return self.facts.of(self.row_of[name])

    def values(self) -> Values:
        """All places, each a picture of the moment."""
        return Values(self)

    def place(self, row: int) -> places.Place:
        """A place with what is used of it now."""
        fact = self.facts.of(row)
        return places.Place(
            name=fact.name,
            labels=fact.labels,
            taints=fact.taints,
            unschedulable=fact.unschedulable,
            ready=fact.ready,
            cluster=fact.cluster,
            offers=fact.offers,
            used=self.arrays.used(row),
            ports=Counter(self.ports.get(row, ())),
            images=fact.images,
            groups=Counter({name: found[row] for name, found in self.groups.items() if row in found}),
            gpu_model=fact.gpu_model,
            gpus=tuple(int(each) for each in self.arrays.gpus[row, : len(fact.gpus)]),
        )

    # Places come, change and go.

    def set(self, new: places.Place) -> None:
        """Take in a place. What it says is used counts beside what was taken here."""
        row = self.row_of.get(new.name)
        if row is None:
            row = self._add(new.name)
            old = places.Place(name=new.name)
        else:
            old = self.facts.of(row)
        changed = self.facts.set(row, new)
        self.arrays.set(row, new.offers)
        self.arrays.add(row, old.used, sign=-1)
        self.arrays.add(row, new.used)
        for sign, said in ((-1, old), (1, new)) if old.ports or old.groups or new.ports or new.groups else ():
            for port, count in said.ports.items():
                self.ports.setdefault(row, Counter())[port] += sign * count
            for group, count in said.groups.items():
                self.groups.setdefault(group, Counter())[row] += sign * count
        if new.gpus != old.gpus:
            self.arrays.set_gpus(row, old=old.gpus, new=new.gpus)
        self._surroundings.moved(changed)
        self._static.append(row)
        self._touch(row)

    def remove(self, name: str) -> None:
        """Take a place away, with all that was counted there."""
        row = self.row_of.pop(name, None)
        if row is None:
            return
        self.arrays.set_gpus(row, old=self.facts.of(row).gpus, new=())
        self.facts.set(row, None)
        self.arrays.clear(row)
        self.ports.pop(row, None)
        for found in self.groups.values():
            found.pop(row, None)
        for kind in self.kinds.values():
            kind.members.pop(row, None)
        self._surroundings.forget()
        if self._fragments is not None:
            self._fragments.changed(row)
        self._structure += 1
        if len(self.facts) > 2 * len(self.row_of) + 64:
            self._compact()

    def _add(self, name: str) -> int:
        row = self.row_of[name] = self.facts.add()
        self.arrays.reserve(row + 1)
        self._structure += 1
        if name < self._last or self._ranks is not None:
            # Found again when it is next needed.
            self._ranks = np.empty(0, np.int64)
        self._last = max(self._last, name)
        return row

    def _compact(self) -> None:
        """Drop the rows of places that went, and put the others in order."""
        order = np.array([self.row_of[name] for name in sorted(self.row_of)], np.int64)
        new_of = {int(old): new for new, old in enumerate(order)}
        self.facts.move(order)
        self.arrays.move(order)
        self.row_of = {self.facts.of(row).name: row for row in range(len(order))}
        self.ports = {new_of[row]: found for row, found in self.ports.items()}
        self.groups = {
            name: Counter({new_of[row]: count for row, count in found.items()})
            for name, found in self.groups.items()
            if any(found.values())
        }
        for kind in self.kinds.values():
            kind.members = {new_of[row]: count for row, count in kind.members.items()}
        self._surroundings.forget()
        if self._fragments is not None:
            self._fragments.forget()
        self._ranks = None
        self._last = max(self.row_of, default="")
        self._begin()

    # Instances come and go.

    def take(self, name: str, ask: asks.Ask, *, devices: Sequence[int] | None = None) -> tuple[int, ...]:
        """Count an instance as running there; gives the devices that it has, the best ones unless they are named."""
        row, kind = self.row_of[name], self.kind(ask)
        if ask.gpus is not None and devices is None:
            devices = self._devices(kind, row)
        self._count(row, kind, devices or (), 1)
        return tuple(devices or ())

    def give(self, name: str, ask: asks.Ask, *, devices: Sequence[int] = ()) -> None:
        """Count an instance as gone from there."""
        self._count(self.row_of[name], self.kind(ask), devices, -1)

    def _devices(self, kind: kinds.Kind, row: int) -> tuple[int, ...]:
        """The devices of a place that an instance would get."""
        wanted = kind.ask.gpus
        if wanted is None:
            return ()
        if self._fragments is not None and wanted.count == 1 and wanted.milli < asks.WHOLE:
            found = self._fragments.device(self.arrays, row, kind.amounts, wanted)
            return (found,) if found >= 0 else ()
        # The fullest that will do.
        free = self.arrays.gpus[row]
        fitting = [(int(each), number) for number, each in enumerate(free) if each >= wanted.milli]
        return tuple(number for _, number in sorted(fitting)[: wanted.count])

    def _count(self, row: int, kind: kinds.Kind, devices: Sequence[int], sign: int) -> None:
        ask = kind.ask
        if sign > 0:
            self.arrays.free[row] -= kind.amounts
        else:
            self.arrays.free[row] += kind.amounts
        self.arrays.settle(row)
        count = kind.members.get(row, 0) + sign
        if count:
            kind.members[row] = count
        else:
            kind.members.pop(row, None)
            if not kind.members and kind.structure < 0:
                # Nobody asks any more.
                self.kinds.pop(ask.key, None)
                self._recent = None
        if ask.ports:
            used = self.ports.setdefault(row, Counter())
            for port in ask.ports:
                used[port] += sign
        if ask.group:
            found = self.groups.get(ask.group)
            if found is None:
                found = self.groups[ask.group] = Counter()
            found[row] += sign
        if ask.gpus is not None:
            there = len(self.facts.of(row).gpus)
            for number in devices:
                # A device that broke is no longer counted.
                if number < there:
                    self.arrays.gpus[row, number] -= sign * ask.gpus.milli
        if kind.feeds:
            self._surroundings.count(kind, row, sign)
        self._touch(row)

    def _touch(self, row: int) -> None:
        if self._fragments is not None:
            self._fragments.changed(row)
        self._log.append(row)
        if len(self._log) > 65536 + 4 * len(self.facts):
            self._begin()

    def _begin(self) -> None:
        self._log, self._static = [], []
        self._epoch += 1

    # How places are judged.

    def prefer(self, typical: fragments.Fragments | None) -> None:
        """Keep GPUs whole for what is typically asked; None: no longer."""
        self._fragments = typical
        if typical is not None:
            typical.forget()
        self._begin()

    @property
    def typical(self) -> fragments.Fragments | None:
        """What GPUs are kept whole for."""
        return self._fragments

    def choose(self, ask: asks.Ask) -> places.Choice:
        """The best place; of equal ones the first by name."""
        if not self.row_of:
            return places.Choice("", refusals.NOBODY)
        kind = self.kind(ask)
        total = self.scores(kind)
        if ask.among is not None:
            total = np.where(self.facts.named(ask.among.open, self.row_of), total, _NEVER)
        row = self.row_of.get(ask.pinned, -1) if ask.pinned else self._best(total)
        if row >= 0 and total[row] > _NEVER:
            return places.Choice(self.facts.of(row).name)
        return places.Choice("", refusals.words(refusals.causes(self, kind, asked=ask), total=len(self)))

    def fits(self, ask: asks.Ask, name: str) -> bool:
        """Whether one place can take an ask now."""
        row, kind = self.row_of[name], self.kind(ask)
        self._sync(kind)
        if (
            ask.pinned not in ("", name)
            or kind.score[row] == _NEVER
            or (ask.among is not None and name not in ask.among.open)
        ):
            return False
        if not kind.looks_around:
            return True
        return not any(mask[0] for _, mask in self.around(kind, np.array([row])))

    def scores(self, kind: kinds.Kind) -> columns.Numbers:
        """How good every row is for a kind; minus infinity where it cannot be. Not to be changed."""
        self._sync(kind)
        if not kind.looks_around:
            return kind.score
        self._freshen(kind)
        total = kind.score
        for topology, worth in domains.totals(kind, self.policy).items():
            total = total + worth.take(self.facts.labels.of(topology).codes[: len(self.facts)])
        return total

    def around(self, kind: kinds.Kind, rows: columns.Rows) -> Iterator[kinds.Refusal]:
        """Where other Pods keep a kind away."""
        self._freshen(kind)
        return domains.refusals(self.facts.labels, kind, rows)

    def parts(self, ask: asks.Ask, name: str) -> dict[str, float]:
        """What a place is good for, each part with its weight; their sum is what decides."""
        row, kind = self.row_of[name], self.kind(ask)
        only = np.array([row])
        found = rules.parts(ask, self.place(row), self.policy)
        if self._fragments is not None:
            worth = self._fragments.worth(self.arrays, only, kind.amounts, ask.gpus)
            found["devices"] = self.policy.devices * float(worth[0])
        if kind.looks_around:
            self._freshen(kind)
            found |= domains.parts(self.facts.labels, kind, row, self.policy)
        return found

    def kind(self, ask: asks.Ask) -> kinds.Kind:
        """The kind of an ask."""
        if self._recent is not None and self._recent[0] is ask:
            return self._recent[1]
        key = ask.key
        found = self.kinds.get(key)
        if found is None:
            found = self.kinds[key] = kinds.Kind(ask)
            self.arrays.know(ask.requests)
            self.arrays.know(kinds.limits(ask))
            self._surroundings.introduce(found)
        found.weigh(self.arrays.index, self.arrays.width)
        self._recent = (ask, found)
        return found

    def _best(self, total: columns.Numbers) -> int:
        row = int(total.argmax())
        if self._ranks is None:
            return row
        equal = np.flatnonzero(total == total[row])
        if len(equal) == 1:
            return row
        if len(self._ranks) != len(self.facts):
            self._ranks = np.zeros(len(self.facts), np.int64)
            self._ranks[[self.row_of[name] for name in sorted(self.row_of)]] = np.arange(len(self.row_of))
        return int(equal[self._ranks[equal].argmin()])

    # How what was worked out is kept true.

    def _freshen(self, kind: kinds.Kind) -> None:
        self._surroundings.freshen(kind, (self._structure, self._epoch, len(self._static)))

    def _sync(self, kind: kinds.Kind) -> None:
        """Look again at all that changed since a kind was last asked for."""
        if kind.structure != self._structure or kind.epoch != self._epoch:
            size = len(self.facts)
            kind.allowed, kind.worth, kind.score = np.zeros(size, np.bool_), np.zeros(size), np.zeros(size)
            self._look(kind, self.facts.rows(), static=True)
            kind.structure, kind.epoch = self._structure, self._epoch
            self._keep(kind)
        else:
            if kind.seen_static < len(self._static):
                self._look(kind, _distinct(self._static[kind.seen_static :]), static=True)
            if kind.seen < len(self._log):
                self._look_again(kind, self._log[kind.seen :])
        kind.seen, kind.seen_static = len(self._log), len(self._static)

    def _keep(self, kind: kinds.Kind) -> None:
        """Bound what is kept: kinds that were worked out longest ago forget it."""
        key = kind.ask.key
        self._kept.pop(key, None)
        self._kept[key] = None
        if len(self._kept) > _KEPT:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            self.kinds[oldest].forget()
            if not self.kinds[oldest].members:
                del self.kinds[oldest]
                self._recent = None

    def _look_again(self, kind: kinds.Kind, changed: list[int]) -> None:
        """Work out rows of which something was taken, or given back."""
        if len(changed) > _FEW or self._fragments is not None:
            self._look(kind, _distinct(changed), static=False)
            return
        # As in `_look`, one by one: with a few rows numpy costs more than it saves.
        policy, ask = self.policy, kind.ask
        there = self.groups.get(ask.group) if ask.group else None
        for row in changed:
            if not (kind.allowed[row] and self.arrays.fits(kind, row)) or (
                ask.ports and self.ports_taken(ask, np.array([row]))[0]
            ):
                kind.score[row] = _NEVER
                continue
            score = kind.worth[row] + policy.room * self.arrays.room[row]
            kind.score[row] = score + (policy.apart / (1 + there.get(row, 0)) if there else policy.apart)

    def _look(self, kind: kinds.Kind, rows: columns.Rows, *, static: bool) -> None:
        """Work out rows of a kind."""
        ask, held = kind.ask, self.arrays
        if static:
            kind.allowed[rows] = self.facts.allows(ask, rows)
            kind.worth[rows] = self.facts.worth(ask, rows, self.policy) - self.policy.room * held.takes(kind, rows)
        fits = kind.allowed.take(rows) & held.fit(kind, rows)
        if ask.ports:
            fits &= ~self.ports_taken(ask, rows)
        score = kind.worth.take(rows) + self.policy.room * held.room.take(rows)
        there = self.groups.get(ask.group) if ask.group else None
        if there:
            score += self.policy.apart / np.array([1 + there.get(row, 0) for row in rows.tolist()])
        else:
            score += self.policy.apart
        if self._fragments is not None:
            able = np.flatnonzero(fits)
            worth = self._fragments.worth(held, rows[able], kind.amounts, ask.gpus)
            score[able] += self.policy.devices * worth
        kind.score[rows] = np.where(fits, score, _NEVER)

    def ports_taken(self, ask: asks.Ask, rows: columns.Rows) -> columns.Mask:
        """Where a host port is taken."""
        return np.fromiter(
            (
                (used := self.ports.get(row)) is not None and any(rules.taken(port, used) for port in ask.ports)
                for row in rows.tolist()
            ),
            np.bool_,
            count=len(rows),
        )


def _distinct(changed: list[int]) -> columns.Rows:
    # To look twice at a row costs less than to see that it stands there twice.
    return np.array(changed if len(changed) <= 64 else sorted(set(changed)))
