"""Cluster: a place that runs instances."""

import datetime
import enum
from typing import Annotated, ClassVar

import msgspec

from boxfleet.api import cells, cluster_rules, disruption_budget, kind, meta, node
from boxfleet.api import rebalance as moving

# Where the Secrets with the keys of Clusters are.
NAMESPACE = "boxfleet-clusters"


class ClusterType(enum.StrEnum):
    """Which driver speaks to it."""

    HOSTS = "hosts"
    KUBERNETES = "kubernetes"
    DOCKER = "docker"
    LIBVIRT = "libvirt"


class OnDelete(enum.StrEnum):
    """What becomes of the instances of a Cluster that is deleted."""

    MOVE = "Move"
    RELEASE = "Release"
    REFUSE = "Refuse"


class Credentials(meta.Model):
    """Where the keys to the place are."""

    secret: Annotated[
        str,
        msgspec.Meta(
            description="A Secret of the Namespace boxfleet-clusters: kubeconfig, or ca.crt, tls.crt, tls.key."
        ),
    ]


class KubernetesAccess(meta.Model):
    """How a Kubernetes cluster is driven."""

    namespacePrefix: Annotated[
        str,
        msgspec.Meta(description="Put before the names of Namespaces there, so that they meet no others."),
    ] = ""
    adoptNamespaces: Annotated[
        bool, msgspec.Meta(description="Use Namespaces that exist there already and are not Boxfleet's.")
    ] = False
    storageClass: Annotated[
        str, msgspec.Meta(description="Storage class there for claims; its own default when empty.")
    ] = ""


class DockerAccess(meta.Model):
    """How a Docker engine or Swarm is driven."""

    host: Annotated[
        str,
        msgspec.Meta(
            description="unix:///var/run/docker.sock, or tcp://HOST:2376 with credentials.", pattern="^(unix|tcp)://.+"
        ),
    ]
    network: Annotated[
        str, msgspec.Meta(description="The engine's network for instances; one of Boxfleet's own when empty.")
    ] = ""


class ClusterSpec(meta.Model):
    """What kind of place it is, how it is reached, and what may run there."""

    type: Annotated[ClusterType, msgspec.Meta(description="hosts: machines that run Boxfleet's agent.")]
    credentials: Annotated[Credentials | None, msgspec.Meta(description="Keys; none for hosts and local engines.")] = (
        None
    )
    kubernetes: Annotated[KubernetesAccess | None, msgspec.Meta(description="For type kubernetes.")] = None
    docker: Annotated[DockerAccess | None, msgspec.Meta(description="For type docker.")] = None
    unschedulable: Annotated[bool, msgspec.Meta(description="Cordoned: nothing new is placed there.")] = False
    taints: Annotated[
        list[node.Taint],
        msgspec.Meta(description="Keep away Units whose placement does not tolerate them."),
    ] = []
    namespaceSelector: Annotated[
        disruption_budget.LabelSelector | None,
        msgspec.Meta(description="Only instances of Namespaces with such labels; of all when not set."),
    ] = None
    tenants: Annotated[
        list[str], msgspec.Meta(description="Reserved for these Tenants' Namespaces; for all when empty.")
    ] = []
    cost: Annotated[
        float, msgspec.Meta(description="What a CPU costs there, in any unit that is the same for all.", ge=0)
    ] = 0.0
    rebalance: Annotated[
        moving.Rebalance, msgspec.Meta(description="For type hosts: whether instances that run are moved.")
    ] = msgspec.field(default_factory=moving.Rebalance)
    onDelete: Annotated[
        OnDelete,
        msgspec.Meta(
            description="Move: its instances are started elsewhere and ended here first. Release: they stay there, "
            "as nobody's. Refuse: it cannot be deleted while it runs any."
        ),
    ] = OnDelete.MOVE


class ClusterStatus(meta.Model):
    """How it is."""

    observedGeneration: Annotated[int, msgspec.Meta(description="The generation that this status is about.")] = 0
    version: Annotated[str, msgspec.Meta(description="What runs there, and its version.")] = ""
    latencyMilliseconds: Annotated[float, msgspec.Meta(description="How long a small call to it takes.")] = 0.0
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
            kind.Column(
                name="Nodes", cell=_nodes, path=".status.readyNodes", description="Hosts that are ready, of all."
            ),
            cells.STATE,
            cells.AGE,
            kind.Column(name="CPU", path=".status.allocatable.cpu", priority=1, description="CPUs for instances."),
            kind.Column(
                name="Memory", path=".status.allocatable.memory", priority=1, description="Memory for instances."
            ),
            cells.REASON,
        ),
        validate=cluster_rules.validate,
    )

    spec: ClusterSpec
    status: ClusterStatus = msgspec.field(default_factory=ClusterStatus)
