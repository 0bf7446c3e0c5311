"""A cluster that somebody else runs (Kubernetes, a Docker engine, a Swarm), driven as it is.

What is wanted there is given as Shares: complete v1 Pods with all that they refer to. What is there is told back as
v1 statuses. A driver makes native objects of a Share, so that the cluster restarts and heals them while Boxfleet is
away, and marks all of them with the fleet that they belong to: what bears no mark, or another fleet's, is not touched.
All calls raise ClusterFaults.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from boxfleet.api import meta, tunnel
from boxfleet.ports import streams

JsonObject = dict[str, Any]


class ClusterFault(Exception):
    """The cluster refused or failed; the text says what, why and the remedy."""


class Unreachable(ClusterFault):
    """It does not answer now: what runs there may well go on. Trying later may help."""


class Denied(ClusterFault):
    """Credentials are wrong or have expired, or a right is missing; the text names it."""


class Unsupported(ClusterFault):
    """The order asks for something that this cluster cannot do; the text names the field and the way out."""


class Taken(ClusterFault):
    """A name that is needed belongs to somebody else there; the text says which."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One wanted instance: its Pod as the API holds it, and by name what it refers to in its namespace."""

    pod: JsonObject
    config_maps: Mapping[str, JsonObject] = {}
    secrets: Mapping[str, JsonObject] = {}
    claims: Mapping[str, JsonObject] = {}


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What one Unit wants of the cluster.

    `ordinals` is what the scheduler gave it for good; `orders` are those that are wanted at this moment, by ordinal. An
    instance that is being replaced lacks its order until the new one is there: it must stay away meanwhile. An order
    of another Pod uid than the one that runs replaces it.
    """

    namespace: str
    unit: str
    # Empty for a Unit of its own.
    box: str
    ordinals: Sequence[int]
    orders: Mapping[int, Order]
    # Seconds for instances that leave, by name, where their Pod's own grace is not meant.
    grace: Mapping[str, int] = {}
    # How many instances the cluster's own evictions must leave ready: a number or a share such as "50%".
    min_available: int | str | None = None

    @property
    def key(self) -> meta.Key:
        """Namespace and name of the Unit."""
        return meta.Key(self.namespace, self.unit)


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """An instance as the cluster has it."""

    namespace: str
    unit: str
    name: str
    # The uid of the Pod that it was ordered by; empty for one that the cluster made without an order, which the next
    # delivery ends.
    uid: str
    # A different one each time the cluster makes it anew by itself.
    incarnation: str
    # The cluster's own name of the host, empty before it is chosen.
    node: str = ""
    # On its way out.
    leaving: bool = False
    # A v1 PodStatus.
    status: JsonObject = {}


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A host of the cluster, as far as its owner shows it."""

    name: str
    labels: Mapping[str, str] = {}
    capacity: Mapping[str, str] = {}
    allocatable: Mapping[str, str] = {}
    ready: bool = True
    unschedulable: bool = False
    # A v1 NodeSystemInfo and list of v1 NodeAddress.
    info: JsonObject = {}
    addresses: Sequence[JsonObject] = ()


class Lack(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is missing for driving the cluster; `fatal` when nothing can be delivered without it."""

    what: str
    remedy: str
    fatal: bool = True


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a first look at a cluster shows."""

    version: str
    # Seconds that a small call takes.
    latency: float
    nodes: Sequence[Node] = ()
    lacks: Sequence[Lack] = ()


class Cluster(Protocol):
    """One joined cluster. Everything may be called at any time, again and again, from one event loop."""

    async def check(self) -> Report:
        """Look at the cluster without changing anything: version, hosts, what is missing. Bounded in time."""

    async def run(self, changed: Callable[[meta.Key | None], None]) -> None:
        """Keep the view of the cluster up to date until cancelled.

        Tells of a Unit whose instances changed, or None when nodes did or the view became whole. Raises Unreachable or
        Denied when the view is lost; `instances` then goes on showing the last one.
        """

    @property
    def synced(self) -> bool:
        """Whether the view is whole and fresh: only then does an absent instance mean anything."""

    def instances(self, key: meta.Key | None = None) -> Sequence[Instance]:
        """The instances of a Unit, or all of this fleet, from the view."""

    def nodes(self) -> Sequence[Node]:
        """Its hosts, from the view; empty where the owner does not show them."""

    async def deliver(self, share: Share) -> None:
        """Make the Unit's native objects be what the share says; what is surplus goes.

        Returns when the cluster has taken the order, not when instances run. Nothing is changed when Unsupported or
        Taken is raised.
        """

    async def withdraw(self, key: meta.Key) -> None:
        """Take away all that was made for a Unit, claims too; what was not there is no fault."""

    async def renew(self, namespace: str, name: str) -> None:
        """End one instance so that the cluster makes it anew; one that is not there is no fault."""

    async def stream(self, order: tunnel.Order, channels: streams.Channels) -> bytes:
        """Carry out exec, attach, logs or port-forward; gives the Status to finish with.

        Raises streams.Refusal and streams.Disconnected too.
        """

    async def usage(self, node: str) -> tunnel.UsageReport:
        """What a host and our instances there use now. Raises Unsupported where the cluster does not measure."""

    async def close(self) -> None:
        """Let go of connections; the cluster's work goes on."""
