"""What the driver is told about a cluster."""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How one cluster is driven.

    `fleet` marks all that is made: letters, digits and dashes, and different for every fleet that uses the cluster.
    `namespace_prefix` goes before the names of Namespaces there; `adopt_namespaces` lets Namespaces be used that are
    there already; `storage_class` is for claims, the cluster's default when empty.
    """

    fleet: str
    kubeconfig: str = dataclasses.field(repr=False)
    namespace_prefix: str = ""
    adopt_namespaces: bool = False
    storage_class: str = ""
