"""Cluster: a place that runs instances."""

import enum
from typing import Annotated, ClassVar

import msgspec

from boxfleet.api import kind, meta


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

    observedGeneration: int = 0
    nodes: int = 0
    readyNodes: int = 0
    capacity: dict[str, str] = {}
    allocatable: dict[str, str] = {}
    # Sum of the requests of the instances that are bound there.
    requested: dict[str, str] = {}
    conditions: list[meta.Condition] = []


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
    )

    spec: ClusterSpec
    status: ClusterStatus = msgspec.field(default_factory=ClusterStatus)
