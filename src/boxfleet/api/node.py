"""Node: a host. The part of the standard v1 Node that Boxfleet acts on."""

from typing import ClassVar

import msgspec

from boxfleet.api import kind, meta


class Taint(meta.Model):
    """What keeps instances off a node unless they tolerate it."""

    key: str
    effect: str
    value: str = ""
    timeAdded: str | None = None


class NodeSpec(meta.Model):
    """What an operator says of the node."""

    unschedulable: bool = False
    taints: list[Taint] = []
    podCIDR: str = ""
    providerID: str = ""


class NodeAddress(meta.Model):
    """One address or name of the host itself."""

    type: str
    address: str


class ContainerImage(meta.Model):
    """An image that the node has."""

    names: list[str] = []
    sizeBytes: int = 0


class NodeSystemInfo(meta.Model, omit_defaults=False):
    """Versions and identities; all are required by the standard schema."""

    machineID: str = ""
    systemUUID: str = ""
    bootID: str = ""
    kernelVersion: str = ""
    osImage: str = ""
    containerRuntimeVersion: str = ""
    kubeletVersion: str = ""
    kubeProxyVersion: str = ""
    operatingSystem: str = "linux"
    architecture: str = "amd64"


class NodeCondition(meta.Model, omit_defaults=False):
    """A condition of a node, with the heartbeat that only nodes have."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    lastHeartbeatTime: str = ""
    lastTransitionTime: str = ""


class NodeStatus(meta.Model):
    """How the host is."""

    capacity: dict[str, str] = {}
    allocatable: dict[str, str] = {}
    conditions: list[NodeCondition] = []
    addresses: list[NodeAddress] = []
    nodeInfo: NodeSystemInfo = msgspec.field(default_factory=NodeSystemInfo)
    images: list[ContainerImage] = []


class Node(meta.Object, kw_only=True):
    """A host of a hosts Cluster, or the mirror of a node elsewhere."""

    KIND: ClassVar[kind.Kind] = kind.Kind(
        group="",
        version="v1",
        kind="Node",
        plural="nodes",
        singular="node",
        short_names=("no",),
        namespaced=False,
        model="core_v1.Node",
        selectable=("spec.unschedulable",),
        strategic=True,
    )

    spec: NodeSpec = msgspec.field(default_factory=NodeSpec)
    status: NodeStatus = msgspec.field(default_factory=NodeStatus)
