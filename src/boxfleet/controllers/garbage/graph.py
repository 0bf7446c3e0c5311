"""Step 1: who depends on whom."""

from collections.abc import Callable, Iterable

import msgspec

from boxfleet.api import meta
from boxfleet.client import cache, shared
from boxfleet.controllers import partial


class Item(msgspec.Struct, frozen=True):
    """One object of any kind."""

    kind: str
    group: str
    key: meta.Key

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


def group_of(api_version: str) -> str:
    """The group part of an apiVersion."""
    return api_version.rpartition("/")[0]


class Graph:
    """Objects by kind and name, dependents by their owner's uid."""

    def __init__(self, caches: shared.Caches, *, changed: Callable[[Item], None]) -> None:
        self._changed = changed
        self.types: dict[tuple[str, str], type[meta.Object]] = {}
        self._caches: dict[tuple[str, str], cache.Cache[meta.Object]] = {}
        self._dependents: dict[str, dict[Item, None]] = {}
        for kind in partial.KINDS:
            index = (kind.KIND.group, kind.KIND.kind)
            self.types[index] = kind
            self._caches[index] = caches.of(kind)
            self._caches[index].listen(self._hear)

    def find(self, item: Item) -> meta.Object | None:
        """The object, as the cache has it."""
        known = self._caches.get((item.group, item.kind))
        return known.get(item.key) if known is not None else None

    def dependents(self, uid: str) -> list[Item]:
        """Objects that name this uid as an owner."""
        return list(self._dependents.get(uid, ()))

    def blocking(self, uid: str) -> list[Item]:
        """Dependents that keep an owner from going first."""
        return [
            item
            for item in self.dependents(uid)
            if (found := self.find(item)) is not None
            and any(each.uid == uid and each.blockOwnerDeletion for each in found.metadata.ownerReferences)
        ]

    def owner_item(self, reference: meta.OwnerReference, *, namespace: str) -> Item | None:
        """The object that a reference means, or None for a kind that is not served here."""
        kind = self.types.get((group_of(reference.apiVersion), reference.kind))
        if kind is None:
            return None
        key = meta.Key(namespace if kind.KIND.namespaced else "", reference.name)
        return Item(kind.KIND.kind, kind.KIND.group, key)

    def _hear(self, old: meta.Object | None, new: meta.Object | None) -> None:
        subject = new or old
        if subject is None:
            return
        item = Item(subject.KIND.kind, subject.KIND.group, subject.key)
        before = _owners(old)
        after = _owners(new)
        for uid in before - after:
            self._unlink(uid, item)
        for uid in after:
            self._dependents.setdefault(uid, {})[item] = None
        if new is None or (old is not None and old.metadata.uid != new.metadata.uid):
            self._tell(self.dependents(old.metadata.uid) if old is not None else ())
        # What an object says of itself does not change whose it is: only new owners, or the end, are looked at.
        fresh = old is None or (new is not None and old.metadata.uid != new.metadata.uid)
        if (after and (fresh or before != after)) or _waits(new):
            self._changed(item)
        # An owner that goes in the foreground waits for this one.
        self._tell(
            owner
            for reference in (old.metadata.ownerReferences if old is not None else ())
            if (owner := self.owner_item(reference, namespace=subject.metadata.namespace)) is not None
            and (found := self.find(owner)) is not None
            and found.metadata.deletionTimestamp
        )
        # It begins to go in the foreground: its dependents go first.
        if new is not None and _waits(new):
            self._tell(self.dependents(new.metadata.uid))

    def _tell(self, items: Iterable[Item]) -> None:
        for item in items:
            self._changed(item)

    def _unlink(self, uid: str, item: Item) -> None:
        found = self._dependents.get(uid)
        if found is not None:
            found.pop(item, None)
            if not found:
                del self._dependents[uid]


def _owners(subject: meta.Object | None) -> set[str]:
    return {each.uid for each in subject.metadata.ownerReferences} if subject is not None else set()


def _waits(subject: meta.Object | None) -> bool:
    return subject is not None and bool(subject.metadata.deletionTimestamp and subject.metadata.finalizers)
