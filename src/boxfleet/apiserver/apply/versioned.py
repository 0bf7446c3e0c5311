"""Fields in several versions of a kind: entries keep the paths of the version in which they were written.

As in Kubernetes, objects are brought into an entry's version to be held against it, never the entry into another one.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from boxfleet.apiserver.apply import comparing, fieldsets, merging, shapes

JsonObject = dict[str, Any]
Tree = fieldsets.Tree


class Views(Protocol):
    """Objects of one kind in its versions, each named by its apiVersion."""

    def shape(self, version: str) -> shapes.Record:
        """The shape of objects in a version."""

    def convert(self, obj: JsonObject, before: str, after: str) -> JsonObject:
        """An object that is in one version, in another one; what is given stays as it is."""


class Single:
    """Implements `Views` where there is one version only, or none that differs."""

    def __init__(self, shape: shapes.Record) -> None:
        self._shape = shape

    def shape(self, version: str) -> shapes.Record:
        """The shape."""
        return self._shape

    def convert(self, obj: JsonObject, before: str, after: str) -> JsonObject:
        """The object itself."""
        return obj


class Compared:
    """What a write changes, in each version in which somebody asks."""

    def __init__(self, views: Views, old: JsonObject, new: JsonObject, *, version: str) -> None:
        self._views = views
        self._old = old
        self._new = new
        self._version = version
        self._found: dict[str, comparing.Comparison] = {}

    def of(self, version: str) -> comparing.Comparison:
        """The differences in a version."""
        found = self._found.get(version)
        if found is None:
            old, new = (_in(self._views, each, self._version, version) for each in (self._old, self._new))
            found = self._found[version] = comparing.compare(self._views.shape(version), old, new)
        return found


def owned(sets: Iterable[tuple[str, Tree]]) -> dict[str, Tree]:
    """Fields by version, of pairs of a version and fields."""
    found: dict[str, Tree] = {}
    for version, fields in sets:
        found[version] = fieldsets.union(found.get(version, {}), fields)
    return found


def remove(
    views: Views, merged: JsonObject, given_up: Tree, *, given_up_in: str, owned: Mapping[str, Tree], version: str
) -> JsonObject:
    """`merged`, which is in `version`, without what is in `given_up` and in nobody's fields in any version."""
    at = given_up_in
    whole = _in(views, merged, version, at)
    left: JsonObject = merging.remove(views.shape(at), whole, given_up, owned.get(at, {}))
    for other, fields in owned.items():
        if other == given_up_in:
            continue
        # What others own there is put back.
        whole = _in(views, merged, version, other)
        gone = comparing.compare(views.shape(other), whole, _in(views, left, at, other)).removed
        left, at = merging.remove(views.shape(other), whole, gone, fields), other
    return _in(views, left, at, version)


def _in(views: Views, obj: JsonObject, before: str, after: str) -> JsonObject:
    return obj if before == after else views.convert(obj, before, after)
