"""What every object has: metadata, conditions, references, and the base of all kinds.

Fields carry their Kubernetes JSON names, also in Python, so that one word serves on every floor.
"""

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, TypeVar

import msgspec

from boxfleet.api import kind as kinds


class Model(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Base of all API types: unknown fields are ignored when read, defaults are left out when written."""


class OwnerReference(Model):
    """Who an object belongs to; it is collected when the last owner is gone."""

    apiVersion: str
    kind: str
    name: str
    uid: str
    controller: bool | None = None
    blockOwnerDeletion: bool | None = None


class ObjectMeta(Model):
    """Identity and bookkeeping of an object."""

    name: str = ""
    generateName: str = ""
    namespace: str = ""
    uid: str = ""
    resourceVersion: str = ""
    generation: int = 0
    creationTimestamp: str = ""
    deletionTimestamp: str = ""
    deletionGracePeriodSeconds: int | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: list[str] = []
    ownerReferences: list[OwnerReference] = []


def keyed_by(*keys: str) -> dict[str, Any]:
    """The `extra` of a list's Meta: server-side apply knows its items by these fields.

    Lists without are replaced and owned as a whole (`x-kubernetes-list-type`: atomic).
    """
    return {"map_keys": keys}


class Condition(Model, omit_defaults=False):
    """One thing that is or is not so: a type, a status, and why, in a word and in a sentence.

    It has what the conditions of all standard kinds have.
    """

    type: Annotated[str, msgspec.Meta(description="What is or is not so: Ready, Progressing, ...")]
    status: Annotated[str, msgspec.Meta(description="True, False or Unknown.")]
    reason: Annotated[str, msgspec.Meta(description="Why, in a word.")] = ""
    message: Annotated[str, msgspec.Meta(description="Why, in a sentence, and what to do.")] = ""
    lastTransitionTime: Annotated[str, msgspec.Meta(description="When the status changed last.")] = ""


class Object(Model):
    """Base of all kinds. Subclasses set `KIND` and the fields `spec`, `status`, `data`..."""

    KIND: ClassVar[kinds.Kind]
    # Clients ask servers for no more of it than apiVersion, kind and metadata.
    METADATA_ONLY: ClassVar[bool] = False

    apiVersion: str = ""
    kind: str = ""
    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)

    @property
    def key(self) -> "Key":
        """Namespace and name: what a cache and a queue know an object by."""
        return Key(self.metadata.namespace, self.metadata.name)


class Key(msgspec.Struct, frozen=True, order=True):
    """Namespace (empty for cluster-wide kinds) and name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


T = TypeVar("T", bound=Object)
C = TypeVar("C", bound=Condition)


def to_dict(value: msgspec.Struct) -> dict[str, Any]:
    """A value as plain JSON data, defaults left out."""
    result: dict[str, Any] = msgspec.to_builtins(value)
    return result


def stamp_kind(obj: T) -> T:
    """Fill apiVersion and kind from the type, so that callers never write them."""
    obj.apiVersion = obj.KIND.api_version
    obj.kind = obj.KIND.kind
    return obj


def owner_of(owner: Object) -> OwnerReference:
    """The controlling reference to an object that was read from the API."""
    return OwnerReference(
        apiVersion=owner.KIND.api_version,
        kind=owner.KIND.kind,
        name=owner.metadata.name,
        uid=owner.metadata.uid,
        controller=True,
        blockOwnerDeletion=True,
    )


def controller_of(obj: Object) -> OwnerReference | None:
    """The reference marked as controller, if there is one."""
    return next((ref for ref in obj.metadata.ownerReferences if ref.controller), None)


def controller_uid(obj: Object) -> str:
    """The uid of the controller; empty when there is none."""
    controller = controller_of(obj)
    return controller.uid if controller is not None else ""


def find_condition(conditions: Iterable[C], type: str) -> C | None:
    """The condition of that type, if there is one."""
    return next((condition for condition in conditions if condition.type == type), None)


def is_true(conditions: Iterable[Condition], type: str) -> bool:
    """Whether the condition of that type is there and True."""
    condition = find_condition(conditions, type)
    return condition is not None and condition.status == "True"


def set_condition(conditions: list[Condition], new: Condition, *, now: str) -> bool:
    """Put a condition into a list; the transition time moves only when the status does.

    Returns whether anything changed, so that callers can skip a write.
    """
    old = find_condition(conditions, new.type)
    if old is None:
        new.lastTransitionTime = new.lastTransitionTime or now
        conditions.append(new)
        return True
    new.lastTransitionTime = old.lastTransitionTime if old.status == new.status else now
    if old == new:
        return False
    conditions[conditions.index(old)] = new
    return True
