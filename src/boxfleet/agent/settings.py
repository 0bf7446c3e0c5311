"""What can be set about an agent: unit, default and reason of each."""

import dataclasses

from boxfleet.api import wellknown


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one agent. Folders have no default: several agents may run side by side in tests."""

    # The Node's name.
    node: str
    # Folder for wanted state, volumes and other things that outlive the agent.
    state: str
    # Folder for containers' logs: LOGS/NAMESPACE_POD_UID/CONTAINER/ATTEMPT.log.
    logs: str
    # The Cluster that this node belongs to, written as a label.
    cluster: str = wellknown.CLUSTER
    # The host's own address as other machines see it; empty: the one of the default route, else 127.0.0.1.
    address: str = ""
    # Whether this host's own addresses on the pools are their gateways; one that has joined is given others.
    gateway: bool = True
    # Where instances reach the API; empty: they are not told.
    api_host: str = ""
    api_port: int = 443
    # Folder that a reboot empties, for the watchdog over the right to run instances. Empty: nothing is promised,
    # and nobody makes them elsewhere when this host is lost.
    fence: str = ""
    # Suffix of all names; must be what the controllers write.
    domain: str = wellknown.DOMAIN
    # Parent of all instances' cgroups: what the host reserves is enforced there.
    cgroup_parent: str = "/boxfleet"
    # Where the cgroup file systems are.
    cgroup_root: str = "/sys/fs/cgroup"
    # Thousandths of a core kept for the host; None: by the number of cores (see planning.pod_resources.reserve).
    reserved_cpu: int | None = None
    # Bytes kept for the host; None: by the size of memory.
    reserved_memory: int | None = None
    # Instances at most; Kubernetes' own default.
    max_pods: int = 110
    # Seconds between full looks at the runtime; events are the fast path, this is the safety net.
    relist: float = 10.0
    # Seconds between renewals of the node's Lease, and for how long it is valid: Kubernetes' own values.
    lease_renew: float = 10.0
    lease_duration: int = 40
    # Seconds between looks at the host's conditions and its network, and between status writes when nothing changed.
    node_check: float = 10.0
    node_heartbeat: float = 300.0
    # Seconds between rounds of cleaning up logs and images: both grow slowly.
    cleanup: float = 30.0
    # Bytes of a log file before it is rotated, and files kept per container: Kubernetes' own values.
    log_size: int = 10 * 2**20
    log_files: int = 5
    # Percent of the images' disk in use at which unused images go, and at which that ends: Kubernetes' own values.
    image_high: int = 85
    image_low: int = 80
    # Seconds for which an unused image is always kept (an update may be on its way), and after which it goes anyway.
    image_min_age: float = 120.0
    image_max_age: float = 14 * 86400.0
    # Image names that no registry has: they are never removed, since nothing could bring them back.
    image_keep_prefix: str = f"{wellknown.REPOSITORY}/"
    # Free percent of memory and disk below which the node says so: Kubernetes' eviction thresholds, as a share.
    memory_pressure: int = 3
    disk_pressure: int = 10
    # Seconds for which pressure and problems are told after they were seen last, so that nothing flaps.
    pressure_hold: float = 60.0
    # Seconds between looks whether an instance has to go, so between two that go: what one brought shall be seen.
    shed_every: float = 10.0
    # Folder of drop-in scripts that say more labels; empty: none is run.
    facts_scripts: str = ""
    # Seconds between looks at what the host has and says, besides those when a script changes.
    facts_every: float = 3600.0
    # Seconds after the start at which the disk may be measured; None: it never is. Several agents on one disk would
    # only measure each other.
    measure_disk: float | None = None
    # Resources that are offered whatever is found: quantities by name, 0 for what shall not be offered.
    resources: dict[str, str] = dataclasses.field(default_factory=dict)
    # Sandboxes made at once: each costs a handful of processes, and more at once only slow each other down.
    starts: int = 8
    # Images pulled at once: more only share one line.
    pulls: int = 3
