"""Names of labels, annotations, finalizers and taints that Boxfleet sets or reads."""

# On Units, Pods, claims and everything made for them.
BOX = "boxfleet.dev/box"
UNIT = "boxfleet.dev/unit"
ORDINAL = "boxfleet.dev/ordinal"
# Fingerprint of the template that a Pod was made from.
REVISION = "boxfleet.dev/revision"
# On a Pod and its files' ConfigMap: fingerprints of what was rendered for it.
FILES_HASH = "boxfleet.dev/files-hash"
ENV_HASH = "boxfleet.dev/env-hash"
# On a Unit: the replicas its Box last asked for, so that scaling the Unit by hand stays until the Box changes.
BOX_REPLICAS = "boxfleet.dev/box-replicas"
# The Cluster that runs a Pod, or that a Node belongs to.
CLUSTER = "boxfleet.dev/cluster"
# On a Node that shows a host of a Cluster which somebody else runs: it has no agent, and its own Cluster fills it.
MIRRORED = "boxfleet.dev/mirrored"
# On such a Node: its own name there.
NAME_THERE = "boxfleet.dev/name-there"
# On a Cluster and its Placements: what was made there is taken away before they go.
CLUSTER_FINALIZER = "boxfleet.dev/cluster"
# The scheduler's name of Pods whose node their own Cluster chooses.
CLUSTER_SCHEDULER = "boxfleet-cluster"
# Who chooses nodes for the others where Kubernetes has a scheduler of its own beside this one: on a hub.
HUB_SCHEDULER = "boxfleet"

# On a Node: the NodePool that it was made for.
NODE_POOL = "boxfleet.dev/node-pool"
# On a NodePool: its machines are deleted before it goes.
NODE_POOL_FINALIZER = "boxfleet.dev/node-pool"

# On a Namespace and what is made in it for its tenant: the Tenant's name.
TENANT = "boxfleet.dev/tenant"
# On a Namespace: that it was made for its tenant, not taken over.
TENANT_MADE = "boxfleet.dev/tenant-made"

# On a Pod: its address, claimed before the Pod is made.
ADDRESS = "boxfleet.dev/address"
# On a claim: the node that keeps its data.
SELECTED_NODE = "volume.kubernetes.io/selected-node"

# On a Node: which address its host has on the instances' network, the pool's GATEWAY or one of its OWN.
HOST_ADDRESS = "boxfleet.dev/host-address"
GATEWAY, OWN = "gateway", "own"
# On an Address: the Node that it is of.
HOST_OF = "boxfleet.dev/host"

HOSTNAME = "kubernetes.io/hostname"
ARCH = "kubernetes.io/arch"
OS = "kubernetes.io/os"
INSTANCE_TYPE = "node.kubernetes.io/instance-type"
REGION = "topology.kubernetes.io/region"
ZONE = "topology.kubernetes.io/zone"
# Prefixes of what a host says of itself, and of what its drop-in scripts say.
HOST_FACTS = "host.boxfleet.dev/"
HOST_SCRIPTS = "local.host.boxfleet.dev/"
# On a Node: the labels that its host said last, so that those of others are left alone.
HOST_SAID = "host.boxfleet.dev/said"

# Namespaces and objects wait for these before they go.
FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"

TAINT_NOT_READY = "node.kubernetes.io/not-ready"
TAINT_UNREACHABLE = "node.kubernetes.io/unreachable"
# Of effect PreferNoSchedule: the host is busy, or is being emptied.
TAINT_AVOID = "boxfleet.dev/avoid"
TAINT_UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
TAINT_MEMORY = "node.kubernetes.io/memory-pressure"
TAINT_DISK = "node.kubernetes.io/disk-pressure"
TAINT_PIDS = "node.kubernetes.io/pid-pressure"
TAINT_UNHEALTHY = "boxfleet.dev/unhealthy"

# On a node's Lease: what the server says of a takeover of its instances, and after how many seconds of silence the
# agent has promised to end them.
TAKEOVER = "boxfleet.dev/takeover"
ARMED, DECIDED = "armed", "decided"
FENCE = "boxfleet.dev/fence"

LEASE_NAMESPACE = "kube-node-lease"

# On a Secret's manifest: keys that `boxfleet up` fills with random text when the Secret does not have them.
GENERATE = "boxfleet.dev/generate"
