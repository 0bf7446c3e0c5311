"""Reads and writes of single objects and lists, in the forms that the driver needs."""

from collections.abc import Coroutine, Iterable
from typing import Any, Final

from boxfleet.drivers.kubernetes import connection, faults, names
from boxfleet.kit import tasks

JsonObject = dict[str, Any]

_PAGE: Final = "500"
# Calls to one cluster at the same time, of one order.
_AT_ONCE: Final = 8
_GONE: Final = (faults.NotFound, faults.Conflict)


class Objects:
    """One cluster's objects."""

    def __init__(self, via: connection.Connection) -> None:
        self._via = via

    async def find(self, kind: names.Kind, name: str, *, namespace: str = "") -> JsonObject | None:
        """One object, or None."""
        try:
            return await self._via.call("GET", kind.path(namespace, name))
        except faults.NotFound:
            return None

    async def list(
        self, kind: names.Kind, *, namespace: str = "", labels: str = "", whole: bool = False
    ) -> list[JsonObject]:
        """Objects that match; only their metadata unless `whole`."""
        query = {"limit": _PAGE} | ({"labelSelector": labels} if labels else {})
        found: list[JsonObject] = []
        while True:
            page = await self._via.call(
                "GET",
                kind.path(namespace),
                query=query,
                accept=connection.JSON if whole else connection.METADATA,
            )
            found += page.get("items") or []
            token = page["metadata"].get("continue")
            if not token:
                return found
            query["continue"] = token

    async def apply(
        self, kind: names.Kind, body: JsonObject, *, manager: str = names.MANAGER, dry: bool = False
    ) -> JsonObject:
        """Make an object say what `body` does, and what its manager said before and does not now be gone."""
        metadata = body["metadata"]
        return await self._via.call(
            "PATCH",
            kind.path(metadata.get("namespace", ""), metadata["name"]),
            query={"fieldManager": manager, "force": "true"} | ({"dryRun": "All"} if dry else {}),
            body=body,
            content_type=connection.APPLY,
        )

    async def create(self, kind: names.Kind, body: JsonObject) -> JsonObject:
        """Make a new object; raises faults.Conflict when it is there."""
        path = kind.path(body["metadata"].get("namespace", ""))
        return await self._via.call("POST", path, query={"fieldManager": names.MANAGER}, body=body)

    async def merge(self, kind: names.Kind, name: str, change: JsonObject, *, namespace: str) -> None:
        """Change parts of an object; one that is gone, or another one by now, is no fault."""
        try:
            await self._via.call(
                "PATCH",
                kind.path(namespace, name),
                query={"fieldManager": names.MANAGER},
                body=change,
                content_type=connection.MERGE,
            )
        except _GONE:
            return

    async def delete(
        self,
        kind: names.Kind,
        found: JsonObject,
        *,
        propagation: str = "Background",
        grace: int | None = None,
    ) -> None:
        """End that object and no successor; one that is gone is no fault."""
        metadata = found["metadata"]
        options: JsonObject = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": propagation,
            "preconditions": {"uid": metadata["uid"]},
        }
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        try:
            await self._via.call("DELETE", kind.path(metadata.get("namespace", ""), metadata["name"]), body=options)
        except _GONE:
            return


async def together(work: Iterable[Coroutine[Any, Any, Any]]) -> None:
    """Do all of it, a few at a time; raises the first fault when all have ended."""
    await tasks.gather(work, limit=_AT_ONCE)
