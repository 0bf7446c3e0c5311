"""The shape of a kind's objects as far as ownership goes: what is merged, and what is one field as a whole.

None stands for a value that is owned as a whole: a scalar, an atomic list, an atomic object.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

from boxfleet.apiserver.apply import fieldsets
from boxfleet.apiserver.schema import models, nodes

_NESTED = (dict, list)


class Member(NamedTuple):
    """One named member of a record."""

    # Its path element.
    element: str
    shape: "Shape | None"
    # Kubernetes' own types hold it always, if empty, so that nobody has ever added it.
    always: bool


@dataclasses.dataclass(slots=True)
class Record:
    """An object with known members. Filled after it is made: it may contain itself.

    Other members belong to nobody; in an open record they are like anything else.
    """

    # None: known, and nobody's.
    members: dict[str, Member | None]
    open: bool = False

    @property
    def member(self) -> "Callable[[str], Member | None]":
        """Finds the member of a name; None when nobody can own it."""
        return self._any_member if self.open else self.members.get

    def _any_member(self, key: str) -> Member | None:
        return self.members[key] if key in self.members else Member(f"f:{key}", FREE, always=False)


@dataclasses.dataclass(slots=True)
class Mapping:
    """An object with free keys."""

    values: "Shape | None"


@dataclasses.dataclass(slots=True)
class Keyed:
    """A list whose items are known by the values of some fields; a missing one counts as its default."""

    keys: tuple[str, ...]
    defaults: dict[str, Any]
    items: "Shape | None"

    def element(self, item: Any) -> str | None:
        """The path element of an item; None when it lacks its key."""
        if not isinstance(item, dict):
            return None
        found = [item.get(key, self.defaults.get(key)) for key in self.keys]
        for value in found:
            if value is None or isinstance(value, _NESTED):
                return None
        return fieldsets.key_element(self.keys, *found)

    def alike(self, one: Any, other: Any) -> bool:
        """Whether two items say the same key; one that leaves a default out may be taken for another."""
        if not isinstance(one, dict) or not isinstance(other, dict):
            return False
        return all(one.get(key) == other.get(key) for key in self.keys)


@dataclasses.dataclass(slots=True)
class Values:
    """A list of distinct plain values."""

    items: "Shape | None" = None

    def element(self, item: Any) -> str | None:
        """The path element of an item; None when it is no plain value."""
        return None if item is None or isinstance(item, _NESTED) else fieldsets.value_element(item)

    def alike(self, one: Any, other: Any) -> bool:
        """Whether two items are the same value."""
        return bool(one == other)


@dataclasses.dataclass(slots=True)
class Free:
    """Anything: an object is one with free keys, all else is owned as a whole."""

    @property
    def values(self) -> "Shape":
        """The shape of what such an object holds."""
        return self


Shape = Record | Mapping | Keyed | Values | Free
# Objects with free keys. As a tuple: to make a union of types takes longer than to look whether something is of it.
FREE_KEYS = (Mapping, Free)
FREE = Free()

# Says nothing that somebody could own: identity, and what the server alone keeps.
_UNOWNED = frozenset({
    "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields",
    "resourceVersion",
})  # fmt: skip
# Members of Kubernetes' own types that are neither pointers nor left out when empty.
_ALWAYS = frozenset({
    "containers", "daemonEndpoints", "kubeletEndpoint", "metadata", "nodeInfo", "resources", "spec", "status",
    "strategy", "template",
})  # fmt: skip


class Shapes:
    """Makes the shapes of kinds from the records of their schemas; those of standard types are shared."""

    def __init__(self, record: Callable[[str], nodes.Record]) -> None:
        self._record = record
        self._standard: dict[str, Record] = {}

    def root(self, name: str) -> Record:
        """The shape of whole objects: without what nobody owns in their type and metadata."""
        whole = self._of_record(name, {})
        members = {**whole.members, "apiVersion": None, "kind": None}
        metadata = members.get("metadata")
        if metadata is not None and isinstance(metadata.shape, Record):
            shape = Record({**metadata.shape.members, **dict.fromkeys(_UNOWNED)})
            members["metadata"] = Member(metadata.element, shape, always=True)
        return Record(members, open=whole.open)

    def _of_record(self, name: str, own: dict[str, Record]) -> Record:
        standard = models.is_standard(name)
        made = self._standard if standard else own
        shape = made.get(name)
        if shape is None:
            record = self._record(name)
            shape = made[name] = Record({}, open=record.open)
            for key, field in record.fields.items():
                below = self._of(field.node, own)
                always = standard and below is not None and key in _ALWAYS
                shape.members[key] = Member(f"f:{key}", below, always)
        return shape

    def _of(self, node: nodes.Node, own: dict[str, Record]) -> "Shape | None":
        match node:
            case nodes.Ref():
                return None if self._record(node.name).map_type == nodes.ATOMIC else self._of_record(node.name, own)
            case nodes.Mapping():
                return None if node.map_type == nodes.ATOMIC else Mapping(self._of(node.values, own))
            case nodes.Array() if node.list_type == nodes.MAP:
                return Keyed(node.map_keys, self._key_defaults(node), self._of(node.items, own))
            case nodes.Array() if node.list_type == nodes.SET:
                return Values()
            case nodes.Anything():
                return FREE
        return None

    def _key_defaults(self, node: nodes.Array) -> dict[str, Any]:
        if not isinstance(node.items, nodes.Ref):
            return {}
        fields = self._record(node.items.name).fields
        return {key: fields[key].default for key in node.map_keys if key in fields and fields[key].default is not None}
