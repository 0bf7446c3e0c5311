"""The parts that a structural schema is made of."""

import dataclasses
from typing import Any

# The patch strategy of lists that are merged item by item, in the words of Kubernetes' `x-kubernetes-patch-strategy`.
MERGE = "merge"
# How lists and maps are merged and owned by server-side apply, in the words of Kubernetes' `x-kubernetes-list-type`
# and `x-kubernetes-map-type`.
ATOMIC = "atomic"
SET = "set"
MAP = "map"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """A string, integer, number or boolean with its bounds; `format` is OpenAPI's.

    An advisory `enum` is shown to readers; the kind's own validation enforces it, with better words.
    """

    type: str
    format: str = ""
    enum: tuple[str, ...] = ()
    advisory: bool = False
    minimum: int | float | None = None
    maximum: int | float | None = None
    pattern: str = ""
    min_length: int | None = None
    max_length: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Anything:
    """Any JSON value, kept as it is; `object_only` asks for an object."""

    object_only: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Quantity:
    """A number with a suffix, as text or as a bare number."""


@dataclasses.dataclass(frozen=True, slots=True)
class IntOrString:
    """A port by number or name, a count or a percentage."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """A list.

    `list_type` is ``atomic`` (also when empty), ``set`` or ``map``; the items of a map are known by the values of
    their fields `map_keys` (`x-kubernetes-list-map-keys`), where a missing one counts as its field's default.
    """

    items: "Node"
    min_items: int | None = None
    max_items: int | None = None
    list_type: str = ""
    map_keys: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """An object with free keys; an ``atomic`` one is owned as a whole."""

    values: "Node"
    map_type: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Ref:
    """A record by its component name."""

    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class RefOr:
    """A record by its component name, or a plain value of another type (JSONSchemaPropsOrBool)."""

    name: str
    other: type


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One named member of a record.

    `merge_key` and `strategy` say how strategic merge patch treats a list (API convention "patchStrategy").
    `default` is what the own type gives when the field is missing; None: nothing.
    """

    node: "Node"
    required: bool = False
    # Required, but its absence is found by the kind's own validation, which words it.
    lenient: bool = False
    description: str = ""
    default: Any = None
    strategy: str = ""
    merge_key: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An object with known members, named as an OpenAPI component: ``io.k8s.api.core.v1.Pod``.

    One whose `map_type` is ``atomic`` is owned and replaced as a whole by server-side apply. An open one keeps members
    that it does not know.
    """

    name: str
    description: str
    fields: dict[str, Field]
    map_type: str = ""
    open: bool = False


Node = Scalar | Anything | Quantity | IntOrString | Array | Mapping | Ref | RefOr
