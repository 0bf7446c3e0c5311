"""Names, marks and paths of what the driver makes."""

from typing import Any, Final

import msgspec

from boxfleet.api import labels, meta
from boxfleet.drivers.kubernetes import settings
from boxfleet.ports import cluster

# On everything that is made: the fleet that it belongs to.
FLEET: Final = "boxfleet.dev/fleet"
# On what several Units may use: a label for each that does.
USED_BY: Final = "used-by.boxfleet.dev/"
# On a Pod: the uid of the order that it was made by, or of the orders by ordinal where one template is for several.
ORDER: Final = "boxfleet.dev/order"
ORDERS: Final = "boxfleet.dev/orders"
# On a StatefulSet of several: the revision of which several instances were seen to be alike.
UNIFORM: Final = "boxfleet.dev/uniform"
# On a Pod that was ended and must stay away: while it is there, no StatefulSet makes another one of its name.
AWAY: Final = "boxfleet.dev/away"
# Who owns the fields.
MANAGER: Final = "boxfleet"

# StatefulSets put their name, a dash and ten letters into a label, which holds 63.
_SET_LIMIT: Final = 52


class Kind(msgspec.Struct, frozen=True):
    """A kind of the cluster's API."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As objects say it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "") -> str:
        """Of the collection, or of one object."""
        start = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        middle = f"/namespaces/{namespace}" if namespace and self.namespaced else ""
        return f"{start}{middle}/{self.plural}" + (f"/{name}" if name else "")


NAMESPACES: Final = Kind("", "v1", "namespaces", "Namespace", namespaced=False)
NODES: Final = Kind("", "v1", "nodes", "Node", namespaced=False)
PODS: Final = Kind("", "v1", "pods", "Pod")
SERVICES: Final = Kind("", "v1", "services", "Service")
CONFIG_MAPS: Final = Kind("", "v1", "configmaps", "ConfigMap")
SECRETS: Final = Kind("", "v1", "secrets", "Secret")
CLAIMS: Final = Kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
SETS: Final = Kind("apps", "v1", "statefulsets", "StatefulSet")
# v1 from 1.21 on, v1beta1 up to 1.24.
BUDGETS: Final = Kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
OLD_BUDGETS: Final = Kind("policy", "v1beta1", "poddisruptionbudgets", "PodDisruptionBudget")
CLASSES: Final = Kind("storage.k8s.io", "v1", "storageclasses", "StorageClass", namespaced=False)


def space_there(own: settings.Settings, namespace: str) -> str:
    """The Namespace there for one of Boxfleet's; raises Unsupported when its name is too long."""
    name = own.namespace_prefix + namespace
    if len(name) > 63:
        raise cluster.Unsupported(
            f"metadata.namespace: {name!r} has more than 63 characters with the prefix: shorten one of the two"
        )
    return name


def space_here(own: settings.Settings, namespace: str) -> str | None:
    """Boxfleet's Namespace for one there; None for one that is not under the prefix."""
    if not namespace.startswith(own.namespace_prefix):
        return None
    return namespace[len(own.namespace_prefix) :]


def marks(own: settings.Settings, share: cluster.Share) -> dict[str, str]:
    """Labels of what belongs to a Unit alone."""
    found = {FLEET: own.fleet, labels.UNIT: share.unit}
    return found | {labels.BOX: share.box} if share.box else found


def selector(own: settings.Settings, key: meta.Key) -> str:
    """What finds that again."""
    return f"{FLEET}={own.fleet},{labels.UNIT}={key.name}"


def is_ours(own: settings.Settings, found: dict[str, Any]) -> bool:
    """Whether an object bears this fleet's mark."""
    return bool((found["metadata"].get("labels") or {}).get(FLEET) == own.fleet)


def check_set(name: str) -> None:
    """Raise Unsupported for what cannot name a StatefulSet with its Service."""
    if len(name) > _SET_LIMIT:
        raise cluster.Unsupported(
            f"metadata.name: {name!r} has more than {_SET_LIMIT} characters, which is the most for a StatefulSet; "
            "shorten the name of the Box or of the Unit"
        )
    if not name[:1].isalpha():
        raise cluster.Unsupported(f"metadata.name: {name!r} begins with a digit, which no Service there may")


def orders_text(orders: dict[int, str]) -> str:
    """Uids of orders by ordinal, for an annotation."""
    return msgspec.json.encode({str(ordinal): orders[ordinal] for ordinal in sorted(orders)}).decode()


def order_of(annotations: dict[str, str], ordinal: int) -> str:
    """The uid of the order that a Pod was made by, from its own annotations; empty when it was made without one."""
    if ORDER in annotations:
        return annotations[ORDER]
    try:
        return msgspec.json.decode(annotations.get(ORDERS, "{}"), type=dict[str, str]).get(str(ordinal), "")
    except msgspec.MsgspecError:
        return ""
