"""Cluster: a place that runs instances."""

import datetime
import enum
from typing import Annotated, ClassVar

import msgspec

from boxfleet.api import cells, fields, kind, meta


class ClusterType(enum.StrEnum):
    """Which driver speaks to it."""

    HOSTS = "hosts"
    KUBERNETES = "kubernetes"
    DOCKER = "docker"
    LIBVIRT = "libvirt"


class ClusterSpec(meta.Model):
    """What kind of place it is."""

    type: Annotated[ClusterType, msgspec.Meta(description="hosts: machines that run Boxfleet's agent.")]


class ClusterStatus(meta.Model):
    """How it is."""

    observedGeneration: Annotated[int, msgspec.Meta(description="The generation that this status is about.")] = 0
    nodes: Annotated[int, msgspec.Meta(description="How many hosts it has.")] = 0
    readyNodes: Annotated[int, msgspec.Meta(description="How many of them are ready.")] = 0
    capacity: Annotated[dict[str, str], msgspec.Meta(description="What its hosts have, by resource.")] = {}
    allocatable: Annotated[dict[str, str], msgspec.Meta(description="What they have for instances.")] = {}
    requested: Annotated[
        dict[str, str], msgspec.Meta(description="Sum of the requests of the instances that are bound there.")
    ] = {}
    conditions: Annotated[
        list[meta.Condition], msgspec.Meta(description="Ready, and why not.", extra=meta.keyed_by("type"))
    ] = []


def _validate(new: kind.JsonObject, old: kind.JsonObject | None) -> list[kind.FieldError]:
    spec, before = new.get("spec") or {}, (old or {}).get("spec") or {}
    if old is not None and spec.get("type") != before.get("type"):
        return [fields.forbidden("spec.type", "cannot be changed: make another Cluster")]
    return []


def _nodes(cluster: kind.JsonObject, now: datetime.datetime) -> str:
    status = cluster.get("status") or {}
    return f"{status.get('readyNodes') or 0}/{status.get('nodes') or 0}"


class Cluster(meta.Object, kw_only=True):
    """A place that runs instances: hosts with an agent, a Kubernetes cluster, a Docker engine, libvirt."""

    KIND: ClassVar[kind.Kind] = kind.Kind(
        group=kind.GROUP,
        version=kind.VERSION,
        kind="Cluster",
        plural="clusters",
        singular="cluster",
        short_names=("cl",),
        namespaced=False,
        columns=(
            kind.Column(name="Type", path=".spec.type", description="Which driver speaks to it."),
            kind.Column(name="Nodes", cell=_nodes, description="Hosts that are ready, of all."),
            cells.STATE,
            cells.AGE,
            kind.Column(name="CPU", path=".status.allocatable.cpu", priority=1, description="CPUs for instances."),
            kind.Column(
                name="Memory", path=".status.allocatable.memory", priority=1, description="Memory for instances."
            ),
            cells.REASON,
        ),
        validate=_validate,
    )

    spec: ClusterSpec
    status: ClusterStatus = msgspec.field(default_factory=ClusterStatus)
