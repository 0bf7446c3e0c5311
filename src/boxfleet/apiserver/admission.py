"""Holds writes and deletions against rules that look at other objects."""

import functools
from collections.abc import Iterator, Mapping

import msgspec

from boxfleet.api import admission, meta
from boxfleet.api import kind as kinds
from boxfleet.apiserver import faults, registry


class Admission:
    """The rules of all kinds, by the qualified name of the kind."""

    def __init__(self, known: registry.Registry, rules: Mapping[str, admission.Rules]) -> None:
        self._look = StoreLook(known)
        self._rules = dict(rules)

    def write_errors(
        self, kind: kinds.Kind, new: kinds.JsonObject, old: kinds.JsonObject | None
    ) -> list[kinds.FieldError]:
        """What is wrong with an object beside others."""
        rules = self._rules.get(kind.qualified)
        return rules.write(new, old, self._look) if rules is not None else []

    def check_delete(self, kind: kinds.Kind, old: kinds.JsonObject) -> None:
        """Raise Fault 403 for what may not go; what is on its way already goes on."""
        rules = self._rules.get(kind.qualified)
        if rules is None or "deletionTimestamp" in old["metadata"]:
            return
        if why := rules.delete(old, self._look):
            raise faults.forbidden(kind, old["metadata"]["name"], why)


class StoreLook:
    """Implements `admission.Look` on what the API keeps."""

    def __init__(self, known: registry.Registry) -> None:
        self._registry = known

    def find(self, type: type[meta.T], name: str, *, namespace: str = "") -> meta.T | None:
        """One object, if it is there."""
        row = self._registry.store.get(registry.key(type.KIND, namespace=namespace, name=name))
        return _decoder(type).decode(row.value) if row is not None else None

    def all(self, type: type[meta.T], *, namespace: str = "") -> Iterator[meta.T]:
        """All objects of a kind, in one namespace or in all."""
        decode = _decoder(type).decode
        for row in self._registry.store.range(registry.prefix(type.KIND, namespace=namespace)):
            yield decode(row.value)


@functools.cache
def _decoder(type: type[meta.T]) -> msgspec.json.Decoder[meta.T]:
    return msgspec.json.Decoder(type)
