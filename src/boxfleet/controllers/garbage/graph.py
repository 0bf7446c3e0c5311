"""Step 1: who depends on whom."""

import collections
from collections.abc import Callable, Iterable

import msgspec

from boxfleet.api import meta
from boxfleet.client import cache, shared
from boxfleet.controllers import custom_kinds, partial
from boxfleet.planning import garbage

# Owners that were seen to go and are remembered; for dependents of kinds that are served no longer.
_REMEMBERED = 10_000

# Group and kind.
Index = tuple[str, str]


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


def index_of(kind: type[meta.Object]) -> Index:
    """What a kind is known by here: references may name any of its versions."""
    return (kind.KIND.group, kind.KIND.kind)


class Graph:
    """Objects by kind and name, dependents by their owner's uid."""

    def __init__(self, caches: shared.Caches, *, changed: Callable[[Item], None]) -> None:
        self._changed = changed
        self.types: dict[Index, type[meta.Object]] = {}
        self._caches: dict[Index, cache.Cache[meta.Object]] = {}
        self._dependents: dict[str, dict[Item, None]] = {}
        # Kinds whose objects are not all known yet, with the reason where they could not be listed.
        self._unlisted: dict[Index, str] = {}
        # Dependents of kinds that are not served or listed, and who waits until more kinds are listed.
        self._unserved: dict[Index, dict[Item, None]] = {}
        self._waiting: dict[Item, None] = {}
        self._gone: collections.OrderedDict[str, None] = collections.OrderedDict()
        fixed: tuple[type[meta.Object], ...] = (*partial.KINDS, custom_kinds.Definition)
        for kind in fixed:
            self._put(kind, caches.of(kind))

    def follow(self, kind: type[meta.Object], known: cache.Cache[meta.Object]) -> None:
        """Take in a kind that has come to be served."""
        index = index_of(kind)
        self._unlisted[index] = ""
        self._put(kind, known)

    def listed(self, index: Index) -> None:
        """A kind that came is known as a whole."""
        self._unlisted.pop(index, None)
        self._tell(self._unserved.pop(index, ()))
        self._tell_waiting()

    def cannot_list(self, index: Index, cause: str) -> bool:
        """A kind that came cannot be listed, for now; says whether that is news."""
        before = self._unlisted.get(index)
        if before is None or before == cause:
            return False
        self._unlisted[index] = cause
        if not before:
            self._tell_waiting()
        return True

    def forget(self, index: Index, *, gone: bool) -> None:
        """A kind is served no longer; with `gone`, its objects went before it."""
        known = self._caches.pop(index)
        self.types.pop(index)
        for each in known:
            for uid in _owners(each):
                self._unlink(uid, item_of(each))
            if gone:
                self._end(each)
            self._tell_waiting_owners(each)
        self._unlisted.pop(index, None)
        self._tell_waiting()

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
            if (found := self.find(item)) is not None and garbage.blocks(found.metadata, uid)
        ]

    def awaits(self, owner: Item) -> bool:
        """Whether a kind that may hold dependents is still being listed; then the owner is looked at again."""
        if any(not cause and self._may_own(owner, index) for index, cause in self._unlisted.items()):
            self._waiting[owner] = None
            return True
        return False

    def unlistable(self, owner: Item) -> list[type[meta.Object]]:
        """Kinds that may hold dependents and cannot be listed; the owner is looked at again when they can."""
        found = [self.types[index] for index, cause in self._unlisted.items() if cause and self._may_own(owner, index)]
        if found:
            self._waiting[owner] = None
        return found

    def owner_item(self, reference: meta.OwnerReference, *, namespace: str) -> Item | None:
        """The object that a reference means, or None for a kind that is not served here."""
        kind = self.types.get((group_of(reference.apiVersion), reference.kind))
        if kind is None:
            return None
        key = meta.Key(namespace if kind.KIND.namespaced else "", reference.name)
        return Item(kind.KIND.kind, kind.KIND.group, key)

    def awaits_kind_of(self, owner: Item, dependent: Item) -> bool:
        """Whether the owner's kind is not listed yet; then the dependent is looked at again when it is."""
        if (owner.group, owner.kind) not in self._unlisted:
            return False
        self._unserved.setdefault((owner.group, owner.kind), {})[dependent] = None
        return True

    def went(self, reference: meta.OwnerReference, dependent: Item) -> bool:
        """Whether an owner of a kind that is not served was seen to go; if not, the dependent waits for the kind."""
        if reference.uid in self._gone:
            return True
        self._unserved.setdefault((group_of(reference.apiVersion), reference.kind), {})[dependent] = None
        return False

    def _put(self, kind: type[meta.Object], known: cache.Cache[meta.Object]) -> None:
        self.types[index_of(kind)] = kind
        self._caches[index_of(kind)] = known
        known.listen(self._hear)

    def _hear(self, old: meta.Object | None, new: meta.Object | None) -> None:
        subject = new or old
        if subject is None or self.types.get(index_of(type(subject))) is not type(subject):
            # The second: a last word of a kind that was forgotten.
            return
        item = item_of(subject)
        before = _owners(old)
        after = _owners(new)
        for uid in before - after:
            self._unlink(uid, item)
        for uid in after:
            self._dependents.setdefault(uid, {})[item] = None
        if old is not None and (new is None or old.metadata.uid != new.metadata.uid):
            self._end(old)
        # What an object says of itself does not change whose it is: only new owners, or the end, are looked at.
        fresh = old is None or (new is not None and old.metadata.uid != new.metadata.uid)
        if (after and (fresh or before != after)) or _waits(new):
            self._changed(item)
        if old is not None:
            self._tell_waiting_owners(old)
        # It begins to go in the foreground: its dependents go first.
        if new is not None and _waits(new):
            self._tell(self.dependents(new.metadata.uid))

    def _end(self, subject: meta.Object) -> None:
        """An object is gone: its dependents are looked at, and it is not waited for itself."""
        dependents = self.dependents(subject.metadata.uid)
        if dependents:
            self._gone[subject.metadata.uid] = None
            if len(self._gone) > _REMEMBERED:
                self._gone.popitem(last=False)
        self._tell(dependents)
        item = item_of(subject)
        self._waiting.pop(item, None)
        for each in subject.metadata.ownerReferences:
            index = (group_of(each.apiVersion), each.kind)
            if (unserved := self._unserved.get(index)) is not None:
                unserved.pop(item, None)
                if not unserved:
                    del self._unserved[index]

    def _tell_waiting_owners(self, subject: meta.Object) -> None:
        """An owner that goes in the foreground waits for its dependents."""
        self._tell(
            owner
            for reference in subject.metadata.ownerReferences
            if (owner := self.owner_item(reference, namespace=subject.metadata.namespace)) is not None
            and (found := self.find(owner)) is not None
            and found.metadata.deletionTimestamp
        )

    def _may_own(self, owner: Item, index: Index) -> bool:
        """Whether objects of a kind can be dependents: those of no Namespace are not of what lives in one."""
        info = self.types[index].KIND
        if owner.kind == custom_kinds.Definition.KIND.kind and owner.key.name == f"{info.plural}.{info.group}":
            # Its own objects go before it in any case.
            return False
        return info.namespaced or not owner.key.namespace

    def _tell_waiting(self) -> None:
        waiting, self._waiting = self._waiting, {}
        self._tell(waiting)

    def _tell(self, items: Iterable[Item]) -> None:
        for item in items:
            self._changed(item)

    def _unlink(self, uid: str, item: Item) -> None:
        found = self._dependents.get(uid)
        if found is not None:
            found.pop(item, None)
            if not found:
                del self._dependents[uid]


def item_of(subject: meta.Object) -> Item:
    """What an object is known by."""
    return Item(subject.KIND.kind, subject.KIND.group, subject.key)


def _owners(subject: meta.Object | None) -> set[str]:
    return {each.uid for each in subject.metadata.ownerReferences} if subject is not None else set()


def _waits(subject: meta.Object | None) -> bool:
    return subject is not None and bool(subject.metadata.deletionTimestamp and subject.metadata.finalizers)
