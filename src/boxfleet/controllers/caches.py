"""How controllers find objects: indexes that several of them share."""

from boxfleet.api import address, config, labels, meta, placement, pod, unit, volume_claim
from boxfleet.client import cache, shared
from boxfleet.planning import addresses, pod_asks

OWNER = "owner"
UNIT = "unit"
BOX = "box"
INSTANCE = "instance"
SHARE = "share"
SHARED = "shared"


class Indexed:
    """The caches that more than one controller reads, with their indexes."""

    def __init__(self, caches: shared.Caches) -> None:
        self.shared = caches
        self.units = _indexed(caches.of(unit.Unit))
        self.units.add_index(BOX, lambda each: f"{each.metadata.namespace}/{each.spec.box}" if each.spec.box else "")
        self.pods = _indexed(caches.of(pod.Pod))
        self.pods.add_index(SHARE, _share_of)
        # Pods that share memory with others, by Namespace.
        self.pods.add_index(SHARED, lambda each: each.metadata.namespace if pod_asks.shares_of(each.spec) else "")
        self.claims = _indexed(caches.of(volume_claim.PersistentVolumeClaim))
        # Only those made for instances: other ConfigMaps may be many and large.
        self.files = _indexed(caches.of(config.ConfigMap, labels=labels.UNIT))
        self.placements = caches.of(placement.Placement)
        self.placements.add_index(UNIT, lambda each: f"{each.metadata.namespace}/{each.spec.unit}")
        self.addresses = caches.of(address.Address)
        self.addresses.add_index(INSTANCE, lambda each: f"{each.spec.namespace}/{each.spec.instance}")
        self.addresses.add_index(UNIT, lambda each: f"{each.spec.namespace}/{each.spec.unit}" if each.spec.unit else "")


def share_key(*, cluster: str, unit: meta.Key) -> str:
    """What the Pods of one Unit in one Cluster are found by."""
    return f"{cluster}/{unit.namespace}/{unit.name}"


def _share_of(subject: pod.Pod) -> str:
    cluster, name = subject.metadata.labels.get(labels.CLUSTER, ""), subject.metadata.labels.get(labels.UNIT, "")
    return share_key(cluster=cluster, unit=meta.Key(subject.metadata.namespace, name)) if cluster and name else ""


def _indexed(found: cache.Cache[meta.T]) -> cache.Cache[meta.T]:
    found.add_index(OWNER, meta.controller_uid)
    return found


def owner_key(subject: meta.Object | None, kind: type[meta.Object]) -> meta.Key | None:
    """The key of the controlling owner when it is of that kind."""
    controller = meta.controller_of(subject) if subject is not None else None
    if subject is None or controller is None or controller.kind != kind.KIND.kind:
        return None
    return meta.Key(subject.metadata.namespace if kind.KIND.namespaced else "", controller.name)


def preferred(one: address.Address, other: address.Address, pods: cache.Cache[pod.Pod]) -> address.Address:
    """Which of two addresses of one instance counts: the one in use, else the first in order; the other goes."""
    current = pods.find(one.spec.instance, namespace=one.spec.namespace)
    used = current.metadata.annotations.get(labels.ADDRESS) if current is not None else None
    if used in (one.metadata.name, other.metadata.name):
        return one if one.metadata.name == used else other
    return min(one, other, key=order)


def order(held: address.Address) -> tuple[bool, int]:
    """Which address of an instance comes first: one that was reserved for it, then the lower."""
    return (not held.spec.reserved, addresses.number_of(held.metadata.name) or 0)
