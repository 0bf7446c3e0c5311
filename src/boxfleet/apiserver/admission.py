"""Holds writes and deletions against rules that look at other objects, and finds who keeps count of them."""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from boxfleet.api import admission, meta
from boxfleet.api import kind as kinds
from boxfleet.apiserver import faults, registry
from boxfleet.kit import clock
from boxfleet.store import backend, rows


class Admission:
    """The rules of all kinds, by the qualified name of the kind."""

    def __init__(self, known: registry.Registry, policy: admission.Policy) -> None:
        self._registry = known
        self._look = StoreLook(known)
        self._rules = dict(policy.rules)
        self._accounts = policy.accounts
        self._evictions = policy.evictions

    def default(self, kind: kinds.Kind, new: kinds.JsonObject, old: kinds.JsonObject | None) -> None:
        """Fill in what an object leaves out and others say; raises Fault 403."""
        rules = self._rules.get(kind.qualified)
        if rules is None:
            return
        stored = self._registry.stored_form(kind, new)
        try:
            rules.default(stored, self._stored_form(kind, old), self._look)
        except admission.Refused as refused:
            raise faults.forbidden(kind, new["metadata"]["name"], str(refused)) from None
        if stored is not new:
            filled = self._registry.served_form(kind, stored)
            new.clear()
            new.update(filled)

    def check_write(self, kind: kinds.Kind, new: kinds.JsonObject, old: kinds.JsonObject | None) -> None:
        """Raise Fault 403 for what is valid and may not be."""
        rules = self._rules.get(kind.qualified)
        if rules is None:
            return
        if why := rules.refuse(self._registry.stored_form(kind, new), self._stored_form(kind, old), self._look):
            raise faults.forbidden(kind, new["metadata"]["name"], why)

    def along(
        self, kind: kinds.Kind, new: kinds.JsonObject | None, old: kinds.JsonObject | None
    ) -> Sequence[backend.Along]:
        """What changes in the store along with a write; raises Fault 403."""
        if not self._accounts:
            return ()
        if not self._registry.served_as_stored(kind):
            new, old = self._stored_form(kind, new), self._stored_form(kind, old)
        found: list[admission.Account] = []
        try:
            for accounts in self._accounts:
                found += accounts(kind, new, old, self._look)
        except admission.Refused as refused:
            raise faults.forbidden(kind, (new or old or {})["metadata"]["name"], str(refused)) from None
        if not found:
            return ()
        metadata = (new or old or {})["metadata"]
        name = metadata["name"]
        own = registry.key(kind, namespace=metadata.get("namespace", ""), name=name)
        # An object that counts its own kind does not count itself while it is written.
        return [each for each in self._changes(kind, name, found) if each.key != own]

    def along_eviction(self, kind: kinds.Kind, pod: kinds.JsonObject) -> Sequence[backend.Along]:
        """What changes besides along with the deletion of a Pod that is an eviction; raises Fault 500."""
        try:
            found = list(self._evictions(pod, self._look, clock.stamp(self._registry.clock.now())))
        except admission.Refused as refused:
            raise faults.Fault(500, "InternalError", str(refused)) from None
        return self._changes(kind, pod["metadata"]["name"], found)

    def _changes(self, kind: kinds.Kind, name: str, found: Iterable[admission.Account]) -> Sequence[backend.Along]:
        refusal = functools.partial(_refusal, kind, name)
        return [
            backend.Along(
                registry.key(each.kind, namespace=each.namespace, name=each.name), _stored(each.change, refusal)
            )
            for each in found
        ]

    def rehearse(self, along: Sequence[backend.Along]) -> None:
        """For a dry run: raise what the changes would raise."""
        for each in along:
            row = self._registry.store.get(each.key)
            if row is not None:
                each.change(row.value, row.revision)

    def write_errors(
        self, kind: kinds.Kind, new: kinds.JsonObject, old: kinds.JsonObject | None
    ) -> list[kinds.FieldError]:
        """What is wrong with an object beside others."""
        rules = self._rules.get(kind.qualified)
        if rules is None:
            return []
        return rules.write(self._registry.stored_form(kind, new), self._stored_form(kind, old), self._look)

    def check_delete(self, kind: kinds.Kind, old: kinds.JsonObject) -> None:
        """Raise Fault 403 for what may not go; what is on its way already goes on."""
        rules = self._rules.get(kind.qualified)
        if rules is None or "deletionTimestamp" in old["metadata"]:
            return
        if why := rules.delete(self._registry.stored_form(kind, old), self._look):
            raise faults.forbidden(kind, old["metadata"]["name"], why)

    def _stored_form(self, kind: kinds.Kind, obj: kinds.JsonObject | None) -> kinds.JsonObject | None:
        """Rules know objects in the version of their types."""
        return self._registry.stored_form(kind, obj) if obj is not None else None


class StoreLook:
    """Implements `admission.Look` on what the API keeps."""

    def __init__(self, known: registry.Registry) -> None:
        self._registry = known

    def find(self, type: type[meta.T], name: str, *, namespace: str = "") -> meta.T | None:
        """One object, if it is there."""
        row = self._registry.store.get(registry.key(type.KIND, namespace=namespace, name=name))
        return _decoder(type).decode(row.value) if row is not None else None

    def one(self, type: type[meta.Object], name: str, *, namespace: str = "") -> kinds.JsonObject | None:
        """One object as it is stored, if it is there."""
        row = self._registry.store.get(registry.key(type.KIND, namespace=namespace, name=name))
        return registry.decode(row.value) if row is not None else None

    def all(self, type: type[meta.T], *, namespace: str = "") -> Iterator[meta.T]:
        """All objects of a kind, in one namespace or in all."""
        decode = _decoder(type).decode
        for row in self._registry.store.range(registry.prefix(type.KIND, namespace=namespace)):
            yield decode(row.value)

    def raw(self, type: type[meta.Object], *, namespace: str = "") -> Iterator[kinds.JsonObject]:
        """All objects of a kind as they are stored."""
        found = self._registry.store.range(registry.prefix(type.KIND, namespace=namespace))
        return map(_decoded, found) if found else _NONE


# An iterator that is at its end may be handed out again and again.
_NONE: Iterator[kinds.JsonObject] = iter(())


def _decoded(row: rows.Row) -> kinds.JsonObject:
    return registry.decode(row.value)


def _refusal(kind: kinds.Kind, name: str, refused: admission.Refused) -> faults.Fault:
    if isinstance(refused, admission.TooSoon):
        return faults.too_soon(str(refused), cause=refused.why)
    return faults.forbidden(kind, name, str(refused))


def _stored(
    change: admission.Change, refusal: Callable[[admission.Refused], faults.Fault]
) -> Callable[[bytes, int], bytes | None]:
    """A change of an object as a change of its bytes."""

    def stored(before: bytes, revision: int) -> bytes | None:
        try:
            obj = change(registry.decode(before))
        except admission.Refused as refused:
            raise refusal(refused) from None
        if obj is None:
            return None
        obj["metadata"]["resourceVersion"] = str(revision)
        return msgspec.json.encode(obj)

    return stored


@functools.cache
def _decoder(type: type[meta.T]) -> msgspec.json.Decoder[meta.T]:
    return msgspec.json.Decoder(type)
