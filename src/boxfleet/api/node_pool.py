"""NodePool: hosts that are ordered from somebody who has machines, as many as instances need."""

import datetime
import enum
from typing import Annotated, ClassVar

import msgspec

from boxfleet.api import cells, kind, meta, node, node_pool_rules


class ProviderType(enum.StrEnum):
    """Who makes machines."""

    SCRIPT = "script"


class Provider(meta.Model):
    """Who makes the machines of the pool, and what it is told."""

    type: Annotated[ProviderType, msgspec.Meta(description="script: a program on the servers, see docs/node-pools.md.")]
    script: Annotated[
        str, msgspec.Meta(description="For type script: name of the program in STATE/providers.d of every server.")
    ] = ""
    settings: Annotated[
        dict[str, str], msgspec.Meta(description="What the provider is told with every call, nothing secret.")
    ] = {}
    secret: Annotated[
        str, msgspec.Meta(description="A Secret of the Namespace boxfleet-clusters that it is handed with every call.")
    ] = ""
    timeoutSeconds: Annotated[int, msgspec.Meta(description="How long one call may take.", ge=1, le=3600)] = 120


class HostTemplate(meta.Model):
    """What a host of the pool is like, before there is one."""

    resources: Annotated[
        dict[str, str],
        msgspec.Meta(description="What such a host has for instances, by resource. cpu and memory are needed."),
    ]
    labels: Annotated[dict[str, str], msgspec.Meta(description="Labels of its Node.")] = {}
    taints: Annotated[list[node.Taint], msgspec.Meta(description="Taints of its Node.")] = []
    zone: Annotated[str, msgspec.Meta(description="Where the provider makes it; a label of its Node too.")] = ""


class ScaleDown(meta.Model):
    """When hosts go."""

    enabled: Annotated[bool, msgspec.Meta(description="Whether hosts go that are not needed.")] = True
    unneededSeconds: Annotated[
        int, msgspec.Meta(description="How long a host must have been unneeded.", ge=0, le=604800)
    ] = 600
    utilization: Annotated[
        float,
        msgspec.Meta(description="Above this part of its CPUs or memory requested, a host is needed.", ge=0, le=1),
    ] = 0.5
    budget: Annotated[int, msgspec.Meta(description="How many hosts leave at once.", ge=1)] = 1
    drainSeconds: Annotated[
        int,
        msgspec.Meta(description="A host that cannot be emptied for so long takes instances again.", ge=1, le=604800),
    ] = 900


class NodePoolSpec(meta.Model, kw_only=True):
    """Which hosts, how many, from whom, and what they cost."""

    provider: Annotated[Provider, msgspec.Meta(description="Who makes the machines.")]
    template: Annotated[HostTemplate, msgspec.Meta(description="What a host of the pool is like.")]
    min: Annotated[int, msgspec.Meta(description="So many hosts are always there.", ge=0)] = 0
    max: Annotated[int, msgspec.Meta(description="More are never made.", ge=0, le=1000)]
    order: Annotated[int, msgspec.Meta(description="Of pools that would do, the lowest order comes first.")] = 100
    price: Annotated[
        float, msgspec.Meta(description="What a host costs an hour, in any unit that is the same for all.", ge=0)
    ] = 0.0
    joinSeconds: Annotated[
        int, msgspec.Meta(description="A machine that is no host after so long is given up.", ge=1, le=86400)
    ] = 600
    retrySeconds: Annotated[
        int,
        msgspec.Meta(description="A provider that is sold out or fails is asked again after so long.", ge=1, le=86400),
    ] = 300
    scaleDown: Annotated[ScaleDown, msgspec.Meta(description="When hosts go.")] = msgspec.field(
        default_factory=ScaleDown
    )


class Phase(enum.StrEnum):
    """Where a machine is in its life."""

    # Written before the provider is asked, so that a machine is never made without being known.
    CREATING = "Creating"
    JOINING = "Joining"
    READY = "Ready"
    DRAINING = "Draining"
    DELETING = "Deleting"


class PoolMachine(meta.Model):
    """One machine, known by a name of ours; its Node has the same."""

    name: Annotated[str, msgspec.Meta(description="Its name with the provider, and its Node's.")]
    phase: Annotated[Phase, msgspec.Meta(description="Where it is in its life.")]
    since: Annotated[str, msgspec.Meta(description="Since when it is there.")] = ""
    id: Annotated[str, msgspec.Meta(description="What the provider calls it.")] = ""
    tokens: Annotated[list[str], msgspec.Meta(description="Public parts of the join tokens made for it.")] = []
    unneededSince: Annotated[str, msgspec.Meta(description="Since when it is not needed.")] = ""
    message: Annotated[str, msgspec.Meta(description="What it waits for, or why it goes.")] = ""


class Failure(meta.Model):
    """What went wrong last."""

    time: Annotated[str, msgspec.Meta(description="When.")]
    reason: Annotated[str, msgspec.Meta(description="SoldOut, Refused, Unreachable or NotJoined.")]
    message: Annotated[str, msgspec.Meta(description="In the provider's words.")] = ""


class NodePoolStatus(meta.Model):
    """How it is."""

    observedGeneration: Annotated[int, msgspec.Meta(description="The generation that this status is about.")] = 0
    hosts: Annotated[int, msgspec.Meta(description="Machines that are there or on their way, or leave.")] = 0
    readyHosts: Annotated[int, msgspec.Meta(description="How many of them are hosts that are Ready.")] = 0
    joiningHosts: Annotated[int, msgspec.Meta(description="How many are on their way.")] = 0
    leavingHosts: Annotated[int, msgspec.Meta(description="How many leave.")] = 0
    retryAt: Annotated[str, msgspec.Meta(description="Until then no machine is asked for: it failed last.")] = ""
    soldOutUntil: Annotated[str, msgspec.Meta(description="The same, when it was sold out.")] = ""
    lastFailure: Annotated[Failure | None, msgspec.Meta(description="What went wrong last.")] = None
    machines: Annotated[list[PoolMachine], msgspec.Meta(description="Its machines.", extra=meta.keyed_by("name"))] = []
    conditions: Annotated[
        list[meta.Condition], msgspec.Meta(description="Ready, and why not.", extra=meta.keyed_by("type"))
    ] = []


def _hosts(pool: kind.JsonObject, now: datetime.datetime) -> str:
    status = pool.get("status") or {}
    return f"{status.get('readyHosts') or 0}/{status.get('hosts') or 0}"


class NodePool(meta.Object, kw_only=True):
    """Hosts that are made when instances fit nowhere, and go when they are not needed."""

    KIND: ClassVar[kind.Kind] = kind.Kind(
        group=kind.GROUP,
        version=kind.VERSION,
        kind="NodePool",
        plural="nodepools",
        singular="nodepool",
        short_names=("np",),
        namespaced=False,
        # Names of its machines, which are labels too, begin with it.
        name_limit=40,
        columns=(
            kind.Column(name="Provider", path=".spec.provider.type", description="Who makes its machines."),
            kind.Column(
                name="Hosts",
                cell=_hosts,
                path=".status.readyHosts",
                description="Hosts that are ready, of all machines.",
            ),
            kind.Column(name="Min", type="integer", path=".spec.min", description="So many are always there."),
            kind.Column(name="Max", type="integer", path=".spec.max", description="More are never made."),
            kind.Column(name="Order", type="integer", path=".spec.order", description="The lowest comes first."),
            kind.Column(name="Price", type="number", path=".spec.price", description="What a host costs an hour."),
            cells.STATE,
            cells.AGE,
            cells.REASON,
        ),
        default=node_pool_rules.default,
        validate=node_pool_rules.validate,
    )

    spec: NodePoolSpec
    status: NodePoolStatus = msgspec.field(default_factory=NodePoolStatus)
