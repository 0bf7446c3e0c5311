"""Served versions that are not what is stored: how rows of the store look in them, and back."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from boxfleet.store import rows

JsonObject = dict[str, Any]

# Converted objects that are kept; beyond it the cache begins anew.
_KEPT = 20_000


class Unconverted(Exception):
    """Rows must be converted by others first (`Version.prepare`)."""

    def __init__(self, found: Sequence[rows.Row]) -> None:
        super().__init__("objects are not converted yet")
        self.rows = found


class Version(Protocol):
    """One served version of a kind."""

    def present(self, found: Sequence[rows.Row]) -> Sequence[rows.Row]:
        """Rows in this version; raises Unconverted."""

    async def prepare(self, found: Sequence[rows.Row]) -> None:
        """Convert rows, so that `present` can answer."""

    async def present_change(self, change: rows.Change) -> rows.Change:
        """A change in this version."""

    async def stored(self, obj: JsonObject) -> JsonObject:
        """An object of this version as it is to be stored; `obj` itself when it is that already."""

    def stored_now(self, obj: JsonObject) -> JsonObject:
        """The same for own kinds; objects of custom kinds stay as they are."""

    def served_now(self, obj: JsonObject) -> JsonObject:
        """The way back from `stored_now`."""


class Kept:
    """Converted bytes by key and revision."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, bytes]] = {}

    def get(self, key: str, revision: int) -> bytes | None:
        """What was kept for that very revision."""
        found = self._found.get(key)
        return found[1] if found is not None and found[0] == revision else None

    def put(self, key: str, revision: int, value: bytes) -> None:
        """Keep a conversion; of a key the newest only."""
        if len(self._found) >= _KEPT:
            self._found.clear()
        self._found[key] = (revision, value)


class Pure:
    """Implements `Version` by two functions, which may use up what they are given."""

    def __init__(self, *, up: Callable[[JsonObject], JsonObject], down: Callable[[JsonObject], JsonObject]) -> None:
        """`up` makes what is stored, `down` what is served."""
        self._up = up
        self._down = down
        self._kept = Kept()

    def present(self, found: Sequence[rows.Row]) -> Sequence[rows.Row]:
        """Rows in this version."""
        return [rows.Row(row.key, row.revision, self._served(row.key, row.revision, row.value)) for row in found]

    async def prepare(self, found: Sequence[rows.Row]) -> None:
        """Nothing is needed."""

    async def present_change(self, change: rows.Change) -> rows.Change:
        """A change in this version, made once for all who watch."""
        made = change.memo.get(self)
        if made is None:
            before = change.before
            made = change.memo[self] = rows.Change(
                change.revision,
                change.key,
                self._convert(change.value),
                self._convert(before) if before is not None else None,
                change.before_revision,
                change.deleted,
            )
        assert isinstance(made, rows.Change)
        return made

    async def stored(self, obj: JsonObject) -> JsonObject:
        """The object as it is to be stored."""
        return self.stored_now(obj)

    def stored_now(self, obj: JsonObject) -> JsonObject:
        """The object as it is to be stored; what was given stays as it is."""
        return self._up(msgspec.json.decode(msgspec.json.encode(obj)))

    def served_now(self, obj: JsonObject) -> JsonObject:
        """An object that is stored in this version; what was given is used up."""
        return self._down(obj)

    def _served(self, key: str, revision: int, value: bytes) -> bytes:
        kept = self._kept.get(key, revision)
        if kept is None:
            kept = self._convert(value)
            self._kept.put(key, revision, kept)
        return kept

    def _convert(self, value: bytes) -> bytes:
        return msgspec.json.encode(self._down(msgspec.json.decode(value)))
