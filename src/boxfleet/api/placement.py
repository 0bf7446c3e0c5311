"""Placement: the share of one Unit that one Cluster runs."""

from typing import Annotated, ClassVar

import msgspec

from boxfleet.api import kind, meta


class PlacementSpec(meta.Model):
    """The share, by ordinals, so that an instance knows its Cluster for good."""

    unit: str
    cluster: str
    ordinals: Annotated[list[int], msgspec.Meta(description="Instances of the Unit that run in this Cluster.")]


class PlacementStatus(meta.Model):
    """What the Cluster made of it."""

    observedGeneration: int = 0
    replicas: int = 0
    readyReplicas: int = 0
    conditions: list[meta.Condition] = []


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
    )

    spec: PlacementSpec
    status: PlacementStatus = msgspec.field(default_factory=PlacementStatus)
