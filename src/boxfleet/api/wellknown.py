"""Names and values that several rooms must agree on, and that a new Boxfleet begins with."""

# The Cluster of the hosts that have an agent.
CLUSTER = "local"
# The AddressPool that instances get their addresses from, its network, and its bridge on each host.
POOL = "default"
NETWORK = "10.88.0.0/16"
BRIDGE = "boxfleet0"
# What every domain name ends in.
DOMAIN = "fleet.internal"
# Where own images live; no registry answers there.
REPOSITORY = "boxfleet.local"
# The ConfigMap of every Namespace with the authorities of the API, and the key that they are under: Kubernetes' own.
ROOT_CA = "kube-root-ca.crt"
ROOT_CA_KEY = "ca.crt"
