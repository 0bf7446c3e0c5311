"""Ownership of fields at the border of HTTP: who a request writes as, and the account of it in the object."""

import weakref
from collections.abc import Callable
from typing import Any

from boxfleet.api import kind as kinds
from boxfleet.apiserver import faults, options, registry, route
from boxfleet.apiserver.apply import applying, claims, last_applied, managers, shapes, tracking
from boxfleet.kit import clock

JsonObject = dict[str, Any]
Entry = managers.Entry

# The entries of an object after a change: from the stored object and its entries, the new one, and what the client
# said of entries (None: nothing).
Account = Callable[[JsonObject, list[Entry], JsonObject, list[Entry] | None], list[Entry]]

_UNKNOWN = "unknown"


class Ownership:
    """Keeps account of who owns which fields of the objects of all kinds."""

    def __init__(self, registry: registry.Registry) -> None:
        self._registry = registry
        self._shapes = shapes.Shapes(registry.schemas.record)
        # A custom kind may go, or come again with another schema.
        self._roots: weakref.WeakKeyDictionary[kinds.Kind, shapes.Record] = weakref.WeakKeyDictionary()

    def shape(self, kind: kinds.Kind) -> shapes.Record:
        """The shape of a kind's objects."""
        shape = self._roots.get(kind)
        if shape is None:
            shape = self._roots[kind] = self._shapes.root(self._registry.schemas.root(kind))
        return shape

    def created(self, kind: kinds.Kind, obj: JsonObject, author: managers.Manager) -> list[Entry]:
        """The entries of a new object."""
        return tracking.created(self.shape(kind), obj, author, now=self._now())

    def updates(self, kind: kinds.Kind, author: managers.Manager) -> Account:
        """The account of an update by somebody."""

        def account(old: JsonObject, entries: list[Entry], new: JsonObject, given: list[Entry] | None) -> list[Entry]:
            if given is not None and not author.subresource:
                entries = given
            if not entries:
                # Nobody keeps account of this object; the first apply begins with it.
                return []
            return tracking.updated(self.shape(kind), old, new, entries, author, now=self._now())

        return account

    def apply(
        self, kind: kinds.Kind, live: JsonObject, applied: JsonObject, applier: managers.Manager, *, force: bool
    ) -> applying.Outcome:
        """Server-side apply over a live object (empty: none is there); raises Fault 400 and 409."""
        shape, now = self.shape(kind), self._now()
        metadata = live.get("metadata") or {}
        entries = metadata.get("managedFields") or []
        bare = {**live, "metadata": {key: item for key, item in metadata.items() if key != "managedFields"}}
        bare = bare if live else {}
        try:
            try:
                outcome = applying.apply(shape, bare, applied, entries, applier, now=now, force=force)
            except applying.Conflicts as conflicts:
                left = conflicts.without(last_applied.unchanged(shape, bare)) if _is_kubectl(applier) else conflicts
                if left.found:
                    raise faults.apply_conflict(left.causes()) from None
                outcome = applying.apply(shape, bare, applied, entries, applier, now=now, force=True)
        except claims.DuplicateItem as error:
            raise faults.untyped(kind, applied, str(error)) from None
        if _is_kubectl(applier):
            last_applied.follow(bare, outcome.obj, applied)
        return outcome

    def _now(self) -> str:
        return clock.stamp(self._registry.clock.now())


def author(
    call: route.Call, kind: kinds.Kind, wanted: options.WriteOptions, *, subresource: str = "", apply: bool = False
) -> managers.Manager:
    """Who writes by a request: as it says, or by the program's name."""
    return managers.manager(
        name=wanted.manager or managers.from_user_agent(call.headers.get("user-agent", "")) or _UNKNOWN,
        operation=managers.APPLY if apply else managers.UPDATE,
        api_version=kind.api_version,
        subresource=subresource,
    )


def _is_kubectl(applier: managers.Manager) -> bool:
    return applier.name == last_applied.MANAGER and not applier.subresource
