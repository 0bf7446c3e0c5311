"""Placement: the share of one Unit that one Cluster runs."""

import datetime
from typing import Annotated, ClassVar

import msgspec

from boxfleet.api import cells, fields, kind, meta


class PlacementSpec(meta.Model):
    """The share, by ordinals, so that an instance knows its Cluster for good."""

    unit: Annotated[str, msgspec.Meta(description="The Unit object, of the same namespace.")]
    cluster: Annotated[str, msgspec.Meta(description="The Cluster that runs this share.")]
    ordinals: Annotated[list[int], msgspec.Meta(description="Instances of the Unit that run in this Cluster.")]


class PlacementStatus(meta.Model):
    """What the Cluster made of it."""

    observedGeneration: Annotated[int, msgspec.Meta(description="The generation that this status is about.")] = 0
    replicas: Annotated[int, msgspec.Meta(description="How many instances there are.")] = 0
    readyReplicas: Annotated[int, msgspec.Meta(description="How many of them are ready.")] = 0
    conditions: Annotated[
        list[meta.Condition], msgspec.Meta(description="Ready, and why not.", extra=meta.keyed_by("type"))
    ] = []


def _validate(new: kind.JsonObject, old: kind.JsonObject | None) -> list[kind.FieldError]:
    spec, before = new.get("spec") or {}, (old or {}).get("spec") or {}
    errors = [fields.required(f"spec.{key}") for key in ("unit", "cluster") if not spec.get(key)]
    seen: set[int] = set()
    for index, ordinal in enumerate(spec.get("ordinals") or ()):
        errors += fields.between(f"spec.ordinals[{index}]", ordinal, 0, 9999)
        if ordinal in seen:
            errors.append(fields.duplicate(f"spec.ordinals[{index}]", ordinal))
        seen.add(ordinal)
    if old is not None:
        errors += [
            fields.forbidden(f"spec.{key}", "cannot be changed: make another Placement")
            for key in ("unit", "cluster")
            if spec.get(key) != before.get(key)
        ]
    return errors


def _instances(placement: kind.JsonObject, now: datetime.datetime) -> int:
    return len((placement.get("spec") or {}).get("ordinals") or ())


def _ready(placement: kind.JsonObject, now: datetime.datetime) -> int:
    return (placement.get("status") or {}).get("readyReplicas") or 0


class Placement(meta.Object, kw_only=True):
    """The share of one Unit that one Cluster runs; written by the scheduler."""

    KIND: ClassVar[kind.Kind] = kind.Kind(
        group=kind.GROUP,
        version=kind.VERSION,
        kind="Placement",
        plural="placements",
        singular="placement",
        short_names=("pl",),
        categories=("all", "boxfleet"),
        namespaced=True,
        selectable=("spec.unit", "spec.cluster"),
        columns=(
            kind.Column(name="Unit", path=".spec.unit", description="The Unit whose share it is."),
            kind.Column(name="Cluster", path=".spec.cluster", description="The Cluster that runs it."),
            kind.Column(
                name="Instances",
                type="integer",
                cell=_instances,
                path=".status.replicas",
                description="How many it runs.",
            ),
            kind.Column(
                name="Ready",
                type="integer",
                cell=_ready,
                path=".status.readyReplicas",
                description="How many are ready.",
            ),
            cells.AGE,
            kind.Column(name="Ordinals", path=".spec.ordinals", priority=1, description="Which instances it runs."),
        ),
        validate=_validate,
    )

    spec: PlacementSpec
    status: PlacementStatus = msgspec.field(default_factory=PlacementStatus)
