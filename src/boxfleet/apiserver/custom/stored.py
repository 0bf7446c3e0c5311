"""How stored custom objects look in one of their versions, when the definition's strategy is None."""

from collections.abc import Sequence
from typing import Any

import msgspec

from boxfleet.apiserver import versions
from boxfleet.apiserver.custom import schema as schemas
from boxfleet.store import rows

JsonObject = dict[str, Any]


class Stored:
    """Implements `versions.Version`.

    Objects that were written since the definition is what it is have been pruned and defaulted then, and are shown as
    they are stored. Older ones, and those of other versions, are brought into form when they are read.
    """

    def __init__(
        self,
        *,
        group: str,
        version: str,
        storage: str,
        since: int,
        aged: bool,
        schema: schemas.VersionSchema,
        storage_schema: schemas.VersionSchema,
    ) -> None:
        """`since` is the revision at which the definition became what it is; `aged`: there may be older objects."""
        self._aged = aged
        self._api_version = f"{group}/{version}"
        self._storage_version = f"{group}/{storage}"
        self._same = version == storage
        self._since = since
        self._schema = schema
        self._storage_schema = storage_schema
        self._kept = versions.Kept()

    def present(self, found: Sequence[rows.Row]) -> Sequence[rows.Row]:
        """Rows in this version."""
        since = self._since
        if self._same and (not self._aged or all(row.revision > since for row in found)):
            return found
        return [self._row(row) for row in found]

    async def prepare(self, found: Sequence[rows.Row]) -> None:
        """Nothing is needed."""

    async def present_change(self, change: rows.Change) -> rows.Change:
        """A change in this version."""
        if self._same and change.revision > self._since and (not change.before or change.before_revision > self._since):
            return change
        made = change.memo.get(self)
        if made is None:
            before = self.served(change.before) if change.before is not None else None
            value = self.served(change.value)
            made = change.memo[self] = rows.Change(
                change.revision, change.key, value, before, change.before_revision, change.deleted
            )
        assert isinstance(made, rows.Change)
        return made

    async def stored(self, obj: JsonObject) -> JsonObject:
        """An object as it is to be stored; fields that the storage version does not have are lost, as in Kubernetes."""
        if self._same:
            return obj
        made: JsonObject = msgspec.json.decode(msgspec.json.encode(obj))
        made["apiVersion"] = self._storage_version
        self._storage_schema.prune(made)
        self._storage_schema.default(made)
        return made

    def stored_now(self, obj: JsonObject) -> JsonObject:
        """The object itself: nothing but its own definition knows custom kinds."""
        return obj

    def served_now(self, obj: JsonObject) -> JsonObject:
        """The object itself."""
        return obj

    def served(self, value: bytes) -> bytes:
        """Stored bytes in this version."""
        return msgspec.json.encode(self.shaped(msgspec.json.decode(value)))

    def shaped(self, obj: JsonObject) -> JsonObject:
        """An object in this version, pruned and defaulted; changes what it is given."""
        obj["apiVersion"] = self._api_version
        self._schema.prune(obj)
        self._schema.default(obj)
        return obj

    def _row(self, row: rows.Row) -> rows.Row:
        if self._same and row.revision > self._since:
            return row
        kept = self._kept.get(row.key, row.revision)
        if kept is None:
            kept = self.served(row.value)
            self._kept.put(row.key, row.revision, kept)
        return rows.Row(row.key, row.revision, kept)
