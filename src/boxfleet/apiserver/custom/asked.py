"""How stored custom objects look in one of their versions, when a webhook converts them."""

from collections.abc import Sequence
from typing import Any

import msgspec

from boxfleet.apiserver import versions
from boxfleet.apiserver.custom import schema as schemas
from boxfleet.apiserver.custom import webhook
from boxfleet.store import rows

JsonObject = dict[str, Any]


class Asked:
    """Implements `versions.Version`. What was converted is kept, so that each state is asked for once."""

    def __init__(
        self, *, group: str, version: str, storage: str, schema: schemas.VersionSchema, webhook: webhook.Webhook
    ) -> None:
        self._api_version = f"{group}/{version}"
        self._storage_version = f"{group}/{storage}"
        self._schema = schema
        self._webhook = webhook
        self._kept = versions.Kept()

    def present(self, found: Sequence[rows.Row]) -> Sequence[rows.Row]:
        """Rows in this version; raises Unconverted."""
        made = [self._kept.get(row.key, row.revision) for row in found]
        missing = [row for row, value in zip(found, made, strict=True) if value is None]
        if missing:
            raise versions.Unconverted(missing)
        return [
            rows.Row(row.key, row.revision, value) for row, value in zip(found, made, strict=True) if value is not None
        ]

    async def prepare(self, found: Sequence[rows.Row]) -> None:
        """Convert rows; raises Fault 500."""
        missing = [row for row in found if self._kept.get(row.key, row.revision) is None]
        for row, value in zip(missing, await self._served([row.value for row in missing]), strict=True):
            self._kept.put(row.key, row.revision, value)

    async def present_change(self, change: rows.Change) -> rows.Change:
        """A change in this version."""
        made = change.memo.get(self)
        if made is None:
            stored = [change.value] if change.before is None else [change.value, change.before]
            value, *before = await self._served(stored)
            made = change.memo[self] = rows.Change(
                change.revision,
                change.key,
                value,
                before[0] if before else None,
                change.before_revision,
                change.deleted,
            )
        assert isinstance(made, rows.Change)
        return made

    async def stored(self, obj: JsonObject) -> JsonObject:
        """An object of this version as it is to be stored; raises Fault 500."""
        if self._api_version == self._storage_version:
            return obj
        copied = msgspec.json.decode(msgspec.json.encode(obj))
        return (await self._webhook.convert([copied], to=self._storage_version))[0]

    def stored_now(self, obj: JsonObject) -> JsonObject:
        """The object itself: nothing but its own definition knows custom kinds."""
        return obj

    def served_now(self, obj: JsonObject) -> JsonObject:
        """The object itself."""
        return obj

    async def _served(self, values: Sequence[bytes]) -> list[bytes]:
        objects: list[JsonObject] = [msgspec.json.decode(value) for value in values]
        # Objects may be stored in several versions; those of one are asked for together.
        for version in {obj["apiVersion"] for obj in objects} - {self._api_version}:
            places = [place for place, obj in enumerate(objects) if obj["apiVersion"] == version]
            converted = await self._webhook.convert([objects[place] for place in places], to=self._api_version)
            for place, obj in zip(places, converted, strict=True):
                objects[place] = obj
        for obj in objects:
            self._schema.prune(obj)
            self._schema.default(obj)
        return [msgspec.json.encode(obj) for obj in objects]
