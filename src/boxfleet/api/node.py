"""Node: a host. The part of the standard v1 Node that Boxfleet acts on."""

import datetime
from typing import Annotated, ClassVar

import msgspec

from boxfleet.api import cells, fields, kind, meta, pod_defaults, taints

# What a server says (401) to an agent whose Node is not there any more.
GONE = "Unauthorized: the Node of this certificate is gone"


class Taint(meta.Model):
    """What keeps instances off a node unless they tolerate it."""

    key: Annotated[str, msgspec.Meta(description="What it is about.")]
    effect: Annotated[
        str, msgspec.Meta(description="NoSchedule: nothing new comes. PreferNoSchedule: rather not. NoExecute: all go.")
    ]
    value: Annotated[str, msgspec.Meta(description="More of what it is about.")] = ""
    timeAdded: Annotated[str | None, msgspec.Meta(description="Since when it is there.")] = None


class NodeSpec(meta.Model):
    """What an operator says of the node."""

    unschedulable: bool = False
    taints: list[Taint] = []


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


class NodeCondition(meta.Condition, omit_defaults=False):
    """A condition of a node, with the heartbeat that only nodes have."""

    lastHeartbeatTime: str = ""


class NodeStatus(meta.Model):
    """How the host is."""

    capacity: dict[str, str] = {}
    allocatable: dict[str, str] = {}
    conditions: list[NodeCondition] = []
    addresses: list[NodeAddress] = []
    nodeInfo: NodeSystemInfo = msgspec.field(default_factory=NodeSystemInfo)
    images: list[ContainerImage] = []


_ROLE = "node-role.kubernetes.io/"


def _default(obj: kind.JsonObject) -> None:
    status = obj.get("status") or {}
    pod_defaults.canonical_quantities(status.get("capacity"))
    pod_defaults.canonical_quantities(status.get("allocatable"))


def _validate(new: kind.JsonObject, old: kind.JsonObject | None) -> list[kind.FieldError]:
    spec = new.get("spec") or {}
    errors = taints.taints(spec.get("taints") or (), "spec.taints")
    before = (old or {}).get("spec") or {}
    for key in ("podCIDR", "providerID"):
        if before.get(key) and spec.get(key) != before[key]:
            errors.append(fields.forbidden(f"spec.{key}", "cannot be changed once it is set"))
    return errors


def _status(node: kind.JsonObject, now: datetime.datetime) -> str:
    ready = cells.conditions(node).get("Ready")
    words = ["Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"]
    if (node.get("spec") or {}).get("unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _roles(node: kind.JsonObject, now: datetime.datetime) -> str:
    labels = node["metadata"].get("labels") or {}
    roles = {key.removeprefix(_ROLE) for key in labels if key.startswith(_ROLE)}
    if role := labels.get("kubernetes.io/role"):
        roles.add(role)
    return ",".join(sorted(roles - {""})) or cells.NONE


def _address(node: kind.JsonObject, type_: str) -> str:
    addresses = (node.get("status") or {}).get("addresses") or ()
    return next((address.get("address", "") for address in addresses if address.get("type") == type_), cells.NONE)


def _internal(node: kind.JsonObject, now: datetime.datetime) -> str:
    return _address(node, "InternalIP")


def _external(node: kind.JsonObject, now: datetime.datetime) -> str:
    return _address(node, "ExternalIP")


_INFO = ".status.nodeInfo"
_COLUMNS = (
    kind.Column(name="Status", cell=_status, description="Ready or not, and whether new instances may come."),
    kind.Column(name="Roles", cell=_roles, description="Roles from the labels node-role.kubernetes.io/ROLE."),
    cells.AGE,
    kind.Column(name="Version", path=f"{_INFO}.kubeletVersion", description="Version of the agent."),
    kind.Column(name="Internal-IP", cell=_internal, priority=1, description="Address within the fleet."),
    kind.Column(name="External-IP", cell=_external, priority=1, description="Address from outside."),
    kind.Column(name="OS-Image", path=f"{_INFO}.osImage", priority=1, description="Operating system."),
    kind.Column(name="Kernel-Version", path=f"{_INFO}.kernelVersion", priority=1, description="Kernel."),
    kind.Column(
        name="Container-Runtime",
        path=f"{_INFO}.containerRuntimeVersion",
        priority=1,
        description="Runtime and version.",
    ),
)


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
        columns=_COLUMNS,
        default=_default,
        validate=_validate,
        strategic=True,
    )

    spec: NodeSpec = msgspec.field(default_factory=NodeSpec)
    status: NodeStatus = msgspec.field(default_factory=NodeStatus)
