"""Keeping GPUs usable: what a placement strands, for what is typically asked.

A device is stranded for an ask as far as its free share cannot be used by it, be it that the share is too small, or
that the place's CPU or memory is. Two measures are summed, both a mean over typical asks with GPUs:

- what is free on devices that could not take one more such ask (Weng et al., "Beware of Fragmentation: Scheduling
  GPU-Sharing Workloads with Fragmentation Gradient Descent", USENIX ATC 2023);
- what would stay free if the place were filled with such asks alone, devices taken as if they could be cut at will. It
  sees before the first one that places with little CPU for every GPU must not lose it to others.

Of all places that fit, the one is taken where the sum grows least (or shrinks most).
"""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from boxfleet.planning.engine import arrays, asks, columns

# CPU, memory, devices, thousandths of each.
Shape = tuple[int, int, int, int]

# What the second measure counts beside the first.
_FILLING = 0.25
# Rare shapes are left out beyond this share of all.
_COVER = 0.95
_MOST = 64


class Fragments:
    """How much is stranded, by what is typical: shapes with how often they are asked for."""

    def __init__(self, typical: Mapping[Shape, int]) -> None:
        common = _common({shape: count for shape, count in typical.items() if shape[2] > 0 and count > 0})
        shapes = np.array(sorted(common), np.float64).reshape(-1, 4)
        weights = np.array([common[shape] for shape in sorted(common)], np.float64)
        self._cpu, self._memory, self._count, milli = shapes.T
        self._often = weights / max(1.0, weights.sum())
        # By how much of all devices each shape fills.
        filled = weights * self._count * milli
        self._filling = _FILLING * filled / max(1.0, filled.sum())
        with np.errstate(divide="ignore"):
            self._per_cpu = np.where(self._cpu > 0, self._count * milli / self._cpu, np.inf)
            self._per_memory = np.where(self._memory > 0, self._count * milli / self._memory, np.inf)
        shares, self._share = np.unique(milli, return_inverse=True)
        # By what is free of a device, for each share: whether it fits, and what is of use then.
        free = np.arange(asks.WHOLE + 1)[:, None]
        self._can = ((free >= shares) & (free > 0)).astype(np.float64)
        self._use = self._can * free
        # By row what is stranded, not a number where it must be worked out; and over its devices, for each share, how
        # many it fits on, and what of them is of use.
        self.forget()

    def changed(self, row: int) -> None:
        """Something was taken of a row, or given back, or the row is another place."""
        if row < len(self._now):
            self._now[row] = np.nan

    def forget(self) -> None:
        """Rows are no longer what they were."""
        self._now = np.empty(0)
        self._all_can = self._all_use = np.empty((0, self._can.shape[1]))

    def worth(
        self, held: arrays.Arrays, rows: columns.Rows, amounts: columns.Counts, wanted: asks.Gpus | None
    ) -> columns.Numbers:
        """Whole devices by which less is stranded on each of the rows with such an ask there; below zero: more.

        Only for rows where it fits.
        """
        found = np.zeros(len(rows))
        has = np.flatnonzero((held.gpus[rows] > 0).any(1))
        if len(has) and len(self._cpu):
            found[has] = -self._growth(held, rows[has], amounts, wanted).min(1) / asks.WHOLE
        return found

    def device(self, held: arrays.Arrays, row: int, amounts: columns.Counts, wanted: asks.Gpus) -> int:
        """The device that a share is best taken of; -1 when none has so much."""
        growth = self._growth(held, np.array([row]), amounts, wanted)[0]
        best = int(growth.argmin())
        return best if growth[best] < np.inf else -1

    def _growth(
        self, held: arrays.Arrays, rows: columns.Rows, amounts: columns.Counts, wanted: asks.Gpus | None
    ) -> columns.Numbers:
        """By how much more is stranded, for each row and each device that may be chosen."""
        free = np.maximum(held.gpus[rows], 0)
        cpu, memory = (held.free[rows, number] for number in (0, 1))
        self._look(held, rows)
        before, all_can, all_use, total = self._now[rows], self._all_can[rows], self._all_use[rows], free.sum(1)
        cpu, memory = cpu - amounts[0], memory - amounts[1]
        if wanted is None or wanted.count == 0:
            return (self._stranded(cpu, memory, total, all_can, all_use) - before)[:, None]
        fits = free >= wanted.milli
        if wanted.count > 1 or wanted.milli == asks.WHOLE:
            # The fullest that will do; of whole ones all are equal.
            order = np.where(fits, free, asks.WHOLE + 1).argsort(axis=1, kind="stable")[:, : wanted.count]
            left = free.copy()
            lines = np.arange(len(rows))[:, None]
            left[lines, order] -= wanted.milli
            np.maximum(left, 0, out=left)
            after = self._stranded(cpu, memory, left.sum(1), self._can[left].sum(1), self._use[left].sum(1))
            return (after - before)[:, None]
        untouched = free == asks.WHOLE
        # Of devices that are whole one stands for all.
        line, device = np.nonzero(fits & ~(untouched & (untouched.cumsum(1) > 1)))
        old = free[line, device]
        new = old - wanted.milli
        after = self._stranded(
            cpu[line],
            memory[line],
            total[line] - wanted.milli,
            all_can[line] - self._can[old] + self._can[new],
            all_use[line] - self._use[old] + self._use[new],
        )
        growth = np.full(free.shape, np.inf)
        growth[line, device] = after - before[line]
        return growth

    def _look(self, held: arrays.Arrays, rows: columns.Rows) -> None:
        """Work out what is kept of rows, for those that changed."""
        if len(rows) and (most := int(rows.max())) >= len(self._now):
            more = most + 64 - len(self._now)
            self._now = np.concatenate([self._now, np.full(more, np.nan)])
            empty = np.zeros((more, self._can.shape[1]))
            self._all_can, self._all_use = (np.concatenate([each, empty]) for each in (self._all_can, self._all_use))
        unknown = rows[np.isnan(self._now[rows])]
        if not len(unknown):
            return
        free = np.maximum(held.gpus[unknown], 0)
        self._all_can[unknown] = can = self._can[free].sum(1)
        self._all_use[unknown] = use = self._use[free].sum(1)
        self._now[unknown] = self._stranded(held.free[unknown, 0], held.free[unknown, 1], free.sum(1), can, use)

    def _stranded(
        self,
        cpu: columns.Counts,
        memory: columns.Counts,
        total: columns.Counts,
        can: columns.Numbers,
        use: columns.Numbers,
    ) -> columns.Numbers:
        # CPU that is overcommitted below nothing is none.
        spare = np.maximum(cpu, 0)[:, None], np.maximum(memory, 0)[:, None]
        cpu, memory, total = cpu[:, None], memory[:, None], total[:, None]
        fits = (cpu >= self._cpu) & (memory >= self._memory) & (can[:, self._share] >= self._count)
        useful = np.where(fits, use[:, self._share], 0.0) * self._often
        filled = np.minimum(spare[0] * self._per_cpu, spare[1] * self._per_memory)
        filled = np.minimum(filled, total) * self._filling
        # Sums by row, so that a row's figure does not depend on which others are looked at beside it.
        found: columns.Numbers = total[:, 0] * (1 + _FILLING) - useful.sum(1) - filled.sum(1)
        return found


class Typical:
    """What is typically asked, learned from asks as they come."""

    def __init__(self) -> None:
        self._seen: Counter[Shape] = Counter()
        self._count = 0
        self._next = 1

    def add(self, ask: asks.Ask) -> bool:
        """Take in an ask; says whether it is time to judge anew, which is after 1, 4, 16 and so on."""
        if ask.gpus is None or ask.gpus.count == 0:
            return False
        self._seen[shape(ask)] += 1
        self._count += 1
        if self._count < self._next:
            return False
        self._next *= 4
        return True

    def fragments(self) -> Fragments:
        """The measure for what was seen so far."""
        return Fragments(self._seen)


def shape(ask: asks.Ask) -> Shape:
    """What counts of an ask."""
    gpus = ask.gpus or asks.Gpus(count=0)
    return ask.requests.get("cpu", 0), ask.requests.get("memory", 0), gpus.count, gpus.milli


def _common(typical: Mapping[Shape, int]) -> dict[Shape, int]:
    """The commonest shapes, as many as make up nearly all."""
    left = sum(typical.values()) * _COVER
    found: dict[Shape, int] = {}
    for each, count in sorted(typical.items(), key=lambda pair: (-pair[1], pair[0]))[:_MOST]:
        if left <= 0:
            break
        found[each] = count
        left -= count
    return found
