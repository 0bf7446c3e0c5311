"""What the API machine must know of a kind, as plain data and pure functions."""

import copy
import dataclasses
import datetime
import enum
import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

JsonObject = dict[str, Any]

# The group and served version of Boxfleet's own kinds.
GROUP = "boxfleet.dev"
VERSION = "v1"

# What can be done with the objects of a kind.
VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


class Reason(enum.StrEnum):
    """Kubernetes' StatusReason for one field error (API type CauseType)."""

    REQUIRED = "FieldValueRequired"
    INVALID = "FieldValueInvalid"
    DUPLICATE = "FieldValueDuplicate"
    NOT_SUPPORTED = "FieldValueNotSupported"
    FORBIDDEN = "FieldValueForbidden"
    TYPE = "FieldValueTypeInvalid"
    NOT_FOUND = "FieldValueNotFound"
    TOO_LONG = "FieldValueTooLong"
    TOO_MANY = "FieldValueTooMany"


@dataclasses.dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with an object: where (``spec.units[db].dependsOn[0].unit``), which way, and what to do."""

    field: str
    message: str
    reason: Reason = Reason.INVALID


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of ``kubectl get``; `path` is a JSONPath as in a CustomResourceDefinition's printer columns.

    `cell` computes what no path can say (ready counts, ages of containers) from the object's JSON and the time now;
    `path` is then the nearest that one can say, for a server that computes nothing, or empty.
    """

    name: str
    type: str = "string"
    format: str = ""
    path: str = ""
    cell: Callable[[JsonObject, datetime.datetime], object] | None = None
    priority: int = 0
    description: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Where the scale subresource reads and writes, as dotted paths."""

    spec_replicas: str = ".spec.replicas"
    status_replicas: str = ".status.replicas"
    selector: str = ".status.selector"


def _no_default(obj: JsonObject) -> None:
    """Change nothing."""


def _no_errors(new: JsonObject, old: JsonObject | None) -> list[FieldError]:
    """Find nothing."""
    return []


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Kind:
    """A kind as the API machine serves it.

    `model` names the whole schema of the kind: a standard one as ``core_v1.Pod`` (a lightkube model), or an
    own one by being empty, in which case the struct class itself is the schema.
    `default` fills a JSON object in place after decoding and before validation.
    `validate` gets the JSON object and, on updates, the stored one; it sees schema-valid objects only.
    """

    group: str
    version: str
    kind: str
    plural: str
    singular: str
    namespaced: bool
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    model: str = ""
    columns: tuple[Column, ...] = ()
    status: bool = True
    scale: Scale | None = None
    # Dotted paths usable in field selectors besides metadata.name and metadata.namespace.
    selectable: tuple[str, ...] = ()
    # Longest name: 253 for subdomains, 63 for labels.
    name_limit: int = 253
    # What is wrong with a name of that length, for kinds whose names are no DNS names.
    name_fault: Callable[[str], str | None] | None = None
    # Kinds that are questions take `create` alone: they are answered, not stored.
    verbs: tuple[str, ...] = VERBS
    # Read from elsewhere when somebody asks.
    computed: bool = False
    default: Callable[[JsonObject], None] = _no_default
    validate: Callable[[JsonObject, JsonObject | None], list[FieldError]] = _no_errors
    # Deletion may wait for the holder (Pods): seconds of grace when the client names none; None: no grace.
    grace: Callable[[JsonObject], int | None] | None = None
    # Strategic merge patch: standard kinds only, as in Kubernetes.
    strategic: bool = False
    # What a list is called; empty: the kind with List behind it.
    list_kind: str = ""
    # Changes of anything but metadata and status are counted: of own and custom kinds always.
    generations: bool = False
    # What users of a version that is going are told with every answer.
    warning: str = ""

    @functools.cached_property
    def api_version(self) -> str:
        """``v1`` or ``group/version``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def stored(self) -> bool:
        """Whether there are objects of it."""
        return "list" in self.verbs and not self.computed

    @property
    def listed(self) -> str:
        """The kind of a list of them."""
        return self.list_kind or f"{self.kind}List"

    @functools.cached_property
    def qualified(self) -> str:
        """``boxes.boxfleet.dev``, as error messages name a resource."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Older:
    """An older version in which a kind is served beside the one that its type describes, and that is stored.

    `type` is the struct that describes it, or `model` the standard one.
    `up` makes the stored object of one of this version and `down` the way back;
    both may use up what they are given, and lose nothing. `renamed` has names of fields in this version by those in
    the stored one, for messages about them.
    """

    kind: Kind
    version: str
    up: Callable[[JsonObject], JsonObject]
    down: Callable[[JsonObject], JsonObject]
    type: Any = None
    model: str = ""
    deprecated: bool = True
    renamed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    # What is wrong with an object of this version that could not be said in the stored one.
    wrong: Callable[[JsonObject], list[FieldError]] = lambda obj: []

    @functools.cached_property
    def served(self) -> Kind:
        """The kind as it is served in this version."""
        old, new = f"{self.kind.group}/{self.version}", self.kind.api_version
        return dataclasses.replace(
            self.kind,
            version=self.version,
            model=self.model,
            default=self._default,
            validate=self._validate,
            warning=f"{old} {self.kind.kind} is deprecated; use {new} {self.kind.kind}" if self.deprecated else "",
        )

    def _default(self, obj: JsonObject) -> None:
        if self.wrong(obj):
            # Refused in a moment.
            return
        stored = self.up(copy.deepcopy(obj))
        self.kind.default(stored)
        filled = self.down(stored)
        obj.clear()
        obj.update(filled)

    def _validate(self, new: JsonObject, old: JsonObject | None) -> list[FieldError]:
        if wrong := self.wrong(new):
            return wrong
        before = self.up(copy.deepcopy(old)) if old is not None else None
        found = self.kind.validate(self.up(copy.deepcopy(new)), before)
        return [dataclasses.replace(each, field=self._path(each.field)) for each in found]

    def _path(self, path: str) -> str:
        return re.sub(r"[A-Za-z]+", lambda match: self.renamed.get(match.group(), match.group()), path)
