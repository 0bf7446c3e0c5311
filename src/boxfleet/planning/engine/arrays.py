"""Amounts of all places as arrays: what each offers and what is free of it, resources side by side."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from boxfleet.planning import resources
from boxfleet.planning.engine import asks, columns, kinds, places, rules

Gpus = npt.NDArray[np.int32]
_ROOM = len(rules.ROOM)
_WIDE = 8
_LAYOUTS = 256
# As many truths in a row.
_ALL = int.from_bytes(b"\1" * _WIDE, "little")


class Arrays:
    """Rows of amounts. Rows and resources only become more."""

    def __init__(self) -> None:
        # Those that count for free room stand first.
        self.index: dict[str, int] = {name: number for number, name in enumerate(rules.ROOM)}
        self.offers: columns.Counts = np.zeros((64, _WIDE), np.int64)
        self.free: columns.Counts = np.zeros((64, _WIDE), np.int64)
        # By row what one unit of each resource makes of the share that is free, mean over those that count for room.
        self.per: columns.Numbers = np.zeros((64, _ROOM))
        self.room: columns.Numbers = np.zeros(64)
        self._layouts: dict[tuple[tuple[str, int], ...], tuple[columns.Counts, columns.Numbers]] = {}
        # Free thousandths of every device; -1 where there is none.
        self.gpus: Gpus = np.full((64, 1), -1, np.int32)

    @property
    def width(self) -> int:
        """How many resources there is room for."""
        return len(self.offers[0])

    def know(self, names: Iterable[str]) -> None:
        """Have a column for each of these resources."""
        for name in names:
            if name not in self.index:
                number = self.index[name] = len(self.index)
                self._layouts.clear()
                if number >= self.width:
                    beside = ((0, 0), (0, self.width))
                    self.offers, self.free = np.pad(self.offers, beside), np.pad(self.free, beside)
                if name.startswith(places.LIMITS):
                    self.offers[:, number] = self.free[:, number] = kinds.UNBOUNDED

    def reserve(self, rows: int) -> None:
        """Have room for that many rows."""
        have = len(self.offers)
        if rows > have:
            self._resize(np.arange(have), max(2 * have, rows))

    def set(self, row: int, offers: resources.Amounts) -> None:
        """Take in what a place offers."""
        self.know(offers)
        new, self.per[row] = self._laid_out(offers)
        self.free[row] += new - self.offers[row]
        self.offers[row] = new
        self.settle(row)

    def _laid_out(self, offers: resources.Amounts) -> tuple[columns.Counts, columns.Numbers]:
        """Offers by the table's resources, and what one unit is of the free share; many places offer the same."""
        key = tuple(offers.items())
        found = self._layouts.get(key)
        if found is None:
            new = np.zeros(self.width, np.int64)
            for name, number in self.index.items():
                new[number] = offers.get(name, kinds.UNBOUNDED if name.startswith(places.LIMITS) else 0)
            room = new[:_ROOM]
            offered = np.count_nonzero(room > 0)
            per = np.where(room > 0, 1 / (np.maximum(room, 1) * max(1, offered)), 0.0)
            if len(self._layouts) >= _LAYOUTS:
                self._layouts.clear()
            found = self._layouts[key] = (new, per)
        return found

    def add(self, row: int, amounts: Mapping[str, int], *, sign: int = 1) -> None:
        """Count amounts as used."""
        if not amounts:
            return
        self.know(amounts)
        for name, amount in amounts.items():
            self.free[row, self.index[name]] -= sign * amount
        self.settle(row)

    def settle(self, row: int) -> None:
        """Work out the share that is free, after what is free changed."""
        free, per = self.free[row].tolist(), self.per[row].tolist()
        self.room[row] = free[0] * per[0] + free[1] * per[1] + free[2] * per[2]

    def clear(self, row: int) -> None:
        """Nothing is used of it, and nothing offered."""
        self.set(row, {})
        self.free[row] = self.offers[row]

    def set_gpus(self, row: int, *, old: Sequence[int], new: Sequence[int]) -> None:
        """Take in what a place says is free of its devices; what was taken of them here stays taken."""
        if len(new) > len(self.gpus[0]):
            self.gpus = np.pad(self.gpus, ((0, 0), (0, len(new) - len(self.gpus[0]))), constant_values=-1)
        taken = [said - int(self.gpus[row, number]) for number, said in enumerate(old)]
        self.gpus[row] = -1
        for number, said in enumerate(new):
            self.gpus[row, number] = said - (taken[number] if number < len(taken) else 0)

    def fit(self, kind: kinds.Kind, rows: columns.Rows) -> columns.Mask:
        """Where there is enough of everything."""
        each = self.free.take(rows, 0) >= kind.least
        # Eight answers at a time.
        enough: columns.Mask = each.view(np.int64)[:, 0] == _ALL if self.width == _WIDE else np.all(each, axis=1)
        if kind.ask.gpus is None:
            return enough
        both: columns.Mask = enough & self.gpus_fit(kind.ask.gpus, rows)
        return both

    def fits(self, kind: kinds.Kind, row: int) -> bool:
        """Whether there is enough of everything in one row."""
        free = self.free[row].tolist()
        for number, amount in kind.needs:
            if free[number] < amount:
                return False
        wanted = kind.ask.gpus
        return wanted is None or bool(self.gpus_fit(wanted, np.array([row]))[0])

    def gpus_fit(self, wanted: asks.Gpus, rows: columns.Rows) -> columns.Mask:
        """Where so many devices have so much free."""
        found: columns.Mask = (self.gpus[rows] >= max(0, wanted.milli)).sum(1) >= wanted.count
        return found

    def takes(self, kind: kinds.Kind, rows: columns.Rows) -> columns.Numbers:
        """By how much one of a kind makes the share smaller that is free."""
        per, amounts = self.per[rows], kind.amounts
        found: columns.Numbers = amounts[0] * per[:, 0] + amounts[1] * per[:, 1] + amounts[2] * per[:, 2]
        return found

    def used(self, row: int) -> resources.Amounts:
        """What is used of a place, as plain amounts."""
        amounts = (self.offers[row] - self.free[row]).tolist()
        return {name: amounts[number] for name, number in self.index.items() if amounts[number]}

    def move(self, order: columns.Rows) -> None:
        """Keep these rows only, in this order."""
        self._resize(order, max(64, len(order)))

    def _resize(self, order: columns.Rows, size: int) -> None:
        count = len(order)
        for name in ("offers", "free", "per", "room", "gpus"):
            old = getattr(self, name)
            new = np.full((size, *old.shape[1:]), -1 if name == "gpus" else 0, old.dtype)
            new[:count] = old[order]
            setattr(self, name, new)
        for name, number in self.index.items():
            if name.startswith(places.LIMITS):
                self.offers[count:, number] = self.free[count:, number] = kinds.UNBOUNDED
