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
HOST = "boxfleet.dev/host"

HOSTNAME = "kubernetes.io/hostname"
ARCH = "kubernetes.io/arch"
OS = "kubernetes.io/os"

# Namespaces and objects wait for these before they go.
FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"

TAINT_NOT_READY = "node.kubernetes.io/not-ready"
TAINT_UNREACHABLE = "node.kubernetes.io/unreachable"
TAINT_UNSCHEDULABLE = "node.kubernetes.io/unschedulable"

# On a node's Lease: what the server says of a takeover of its instances, and after how many seconds of silence the
# agent has promised to end them.
TAKEOVER = "boxfleet.dev/takeover"
ARMED, DECIDED = "armed", "decided"
FENCE = "boxfleet.dev/fence"

LEASE_NAMESPACE = "kube-node-lease"

# On a Secret's manifest: keys that `boxfleet up` fills with random text when the Secret does not have them.
GENERATE = "boxfleet.dev/generate"
