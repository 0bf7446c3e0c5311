"""Ownership of fields at the border of HTTP: who a request writes as, and the account of it in the object."""

import functools
from collections.abc import Callable
from typing import Any

from boxfleet.api import kind as kinds
from boxfleet.apiserver import faults, options, registry, route
from boxfleet.apiserver.apply import applying, claims, last_applied, managers, shapes, tracking, versioned
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
        # Of the kinds that are served since so many changes of them: one may go, or come again with another schema.
        self._known: dict[kinds.Kind, versioned.Single] = {}
        self._changes = registry.changes

    def shape(self, kind: kinds.Kind) -> shapes.Record:
        """The shape of a kind's objects."""
        return self._single(kind).shape(kind.api_version)

    def created(self, kind: kinds.Kind, obj: JsonObject, author: managers.Manager) -> list[Entry]:
        """The entries of a new object, which has all its metadata."""
        return tracking.created(self.shape(kind), obj, author, now=obj["metadata"]["creationTimestamp"])

    def updates(self, kind: kinds.Kind, author: managers.Manager) -> Account:
        """The account of an update by somebody."""
        return functools.partial(self._updated, kind, author)

    def _updated(
        self,
        kind: kinds.Kind,
        author: managers.Manager,
        old: JsonObject,
        entries: list[Entry],
        new: JsonObject,
        given: list[Entry] | None,
    ) -> list[Entry]:
        if given is not None and not author.subresource:
            entries = given
        if not entries:
            # Nobody keeps account of this object; the first apply begins with it.
            return []
        return tracking.updated(self._views(kind, entries), old, new, entries, author, now=self._now())

    def apply(
        self, kind: kinds.Kind, live: JsonObject, applied: JsonObject, applier: managers.Manager, *, force: bool
    ) -> applying.Outcome:
        """Server-side apply over a live object (empty: none is there); raises Fault 400 and 409."""
        shape, now = self.shape(kind), self._now()
        metadata = live.get("metadata") or {}
        entries = metadata.get("managedFields") or []
        bare = {**live, "metadata": {key: item for key, item in metadata.items() if key != "managedFields"}}
        bare = bare if live else {}
        views = self._views(kind, entries)
        try:
            try:
                outcome = applying.apply(views, bare, applied, entries, applier, now=now, force=force)
            except applying.Conflicts as conflicts:
                left = conflicts.without(last_applied.unchanged(shape, bare)) if _is_kubectl(applier) else conflicts
                if left.found:
                    raise faults.apply_conflict(left.causes()) from None
                outcome = applying.apply(views, bare, applied, entries, applier, now=now, force=True)
        except claims.DuplicateItem as error:
            raise faults.untyped(kind, applied, str(error)) from None
        if _is_kubectl(applier):
            last_applied.follow(bare, outcome.obj, applied)
        return outcome

    def _views(self, kind: kinds.Kind, entries: list[Entry]) -> versioned.Views:
        """The versions of a kind, as far as entries were written in them."""
        version = kind.api_version
        for entry in entries:
            if entry["apiVersion"] != version:
                return _Versions(self, self._registry, kind)
        return self._single(kind)

    def _single(self, kind: kinds.Kind) -> versioned.Single:
        if self._changes != self._registry.changes:
            self._changes = self._registry.changes
            self._known.clear()
        known = self._known.get(kind)
        if known is None:
            root = self._shapes.root(self._registry.schemas.root(kind))
            known = self._known[kind] = versioned.Single(root)
        return known

    def _now(self) -> str:
        return clock.stamp(self._registry.clock.now())


class _Versions:
    """Implements `versioned.Views` for all served versions of a kind; one that is unknown is taken to be like its own.

    Objects of custom kinds keep their fields' names, as with Kubernetes' strategy None.
    """

    def __init__(self, owner: Ownership, known: registry.Registry, kind: kinds.Kind) -> None:
        self._owner = owner
        self._registry = known
        self._kind = kind
        self._served = {
            each.api_version: each for each in known.kinds if (each.group, each.kind) == (kind.group, kind.kind)
        }

    def shape(self, version: str) -> shapes.Record:
        """The shape of objects in a version."""
        return self._owner.shape(self._served.get(version, self._kind))

    def convert(self, obj: JsonObject, before: str, after: str) -> JsonObject:
        """An object in another version, which may lack parts for now; raises Fault 422 when it is none of this one."""
        source, target = (self._served.get(version, self._kind) for version in (before, after))
        if not obj or source is target:
            return obj
        checked = self._registry.schemas.check(source, copied := registry.decode(registry.encode(obj)))
        errors = [error for error in checked.errors if error.reason != kinds.Reason.REQUIRED]
        if errors:
            raise faults.invalid(source, (obj.get("metadata") or {}).get("name", ""), errors, obj=obj)
        return self._registry.served_form(target, self._registry.stored_form(source, copied))


def author(
    call: route.Call, kind: kinds.Kind, wanted: options.WriteOptions, *, subresource: str = "", apply: bool = False
) -> managers.Manager:
    """Who writes by a request: as it says, or by the program's name."""
    name = wanted.manager or managers.from_user_agent(call.headers.get("user-agent", "")) or _UNKNOWN
    # By their place: so the library finds those that it knows in half the time.
    return managers.manager(name, managers.APPLY if apply else managers.UPDATE, kind.api_version, subresource)


def _is_kubectl(applier: managers.Manager) -> bool:
    return applier.name == last_applied.MANAGER and not applier.subresource
