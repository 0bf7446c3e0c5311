"""How the servers of one store announce themselves: a Lease for each, as Kubernetes' API servers keep theirs.

The Lease says who the server is and is renewed as long as it lives; an annotation says where it is reached. Whoever
dials trusts the address no further than that: the certificate found there must be from the own authority.
"""

from collections.abc import Iterable

from boxfleet.api import kind, lease

NAMESPACE = "kube-system"
# Kubernetes finds the identities of API servers by this label.
LABELS = {"apiserver.kubernetes.io/identity": "kube-apiserver"}
SELECTOR = ",".join(f"{key}={value}" for key, value in LABELS.items())
# The server's base URL.
ADDRESS = f"{kind.GROUP}/server-address"


def addresses(leases: Iterable[lease.Lease]) -> tuple[str, ...]:
    """Where the servers are, each once and always in the same order."""
    found = {one.metadata.annotations.get(ADDRESS, "") for one in leases}
    return tuple(sorted(url.rstrip("/") for url in found if url.startswith("https://")))
