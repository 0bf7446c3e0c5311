"""What can be set about the controllers; every value with its unit, default and reason."""

import dataclasses

from boxfleet.api import wellknown
from boxfleet.planning import takeover as rules


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of all controllers."""

    # The Cluster that stands for hosts with an agent; made at the first start.
    cluster: str = wellknown.CLUSTER
    # The AddressPool that instances get their addresses from, and its network when it is made at the first start.
    pool: str = wellknown.POOL
    pool_cidr: str = wellknown.NETWORK
    pool_bridge: str = wellknown.BRIDGE
    # What every domain name ends in; changing it changes every name.
    domain: str = wellknown.DOMAIN
    # The authorities of the API (PEM), for whoever speaks to it from an instance; empty: nobody is told.
    authority: str = ""
    # Seconds without a renewed Lease until a node counts as lost; 40 as in Kubernetes (four missed heartbeats of 10 s).
    lease_grace: float = 40.0
    # Whether instances of a lost host are made elsewhere, and how many seconds after the host's last sign of life: more
    # than a host needs to end them itself (see planning.takeover).
    takeover: bool = True
    takeover_after: float = rules.TAKEOVER_AFTER
    # Seconds that an Event is kept; 3600 as in Kubernetes.
    event_ttl: float = 3600.0
    # Seconds that a Pod outlives its Node's object before it is removed; 40 as in Kubernetes, so that a Node that
    # registers anew finds its Pods.
    orphaned_pod_grace: float = 40.0
    # Seconds between looks at a Cluster that others run, and how long one may take.
    cluster_look: float = 5.0
    # Seconds without an answer of such a Cluster until its instances no longer count as ready: two looks and a little.
    cluster_silence: float = 12.0
    # Seconds between looks at what hosts really use, where their Cluster is to be rebalanced.
    rebalance_look: float = 60.0
    # Seconds between looks at what the provider of a NodePool has: machines that nobody wants cost money meanwhile.
    node_pool_look: float = 60.0
    # Whether the API is a Kubernetes cluster's: what Kubernetes' own controllers do is then left to them.
    hub: bool = False
    # Writes of one reconciliation that are under way at once: enough to fill one group commit of the store.
    concurrency: int = 32
