"""What of the API belongs to one cluster: its share of every Unit."""

from boxfleet.api import labels, meta, node, placement, pod, volume_claim
from boxfleet.controllers import caches
from boxfleet.planning import instances


class Part:
    """The objects of one Cluster, from caches that all share."""

    def __init__(self, cluster: str, indexed: caches.Indexed) -> None:
        self.cluster = cluster
        self._indexed = indexed
        self._nodes = indexed.shared.of(node.Node)

    def shares(self) -> list[placement.Placement]:
        """All its shares."""
        return [each for each in self._indexed.placements if each.spec.cluster == self.cluster]

    def share(self, key: meta.Key) -> placement.Placement | None:
        """Its share of a Unit; of one that is going and one that came after it, the latter."""
        found = self._indexed.placements.by_index(caches.UNIT, f"{key.namespace}/{key.name}")
        return next((each for each in found if each.spec.cluster == self.cluster), None)

    def pods(self, key: meta.Key) -> list[pod.Pod]:
        """The Pods of a Unit here, those that are about to go elsewhere too."""
        return self._indexed.pods.by_index(caches.SHARE, caches.share_key(cluster=self.cluster, unit=key))

    def keeps(self, subject: pod.Pod) -> bool:
        """Whether the scheduler means a Pod's instance to be here."""
        name = subject.metadata.labels.get(labels.UNIT, "")
        share = self.share(meta.Key(subject.metadata.namespace, name))
        if share is None or share.metadata.deletionTimestamp:
            return False
        return instances.ordinal_of(subject) in share.spec.ordinals

    def all_pods(self) -> list[pod.Pod]:
        """The Pods of all shares."""
        return [each for each in self._indexed.pods if each.metadata.labels.get(labels.CLUSTER) == self.cluster]

    def claim(self, name: str, *, namespace: str) -> volume_claim.PersistentVolumeClaim | None:
        """A claim, if it is there."""
        return self._indexed.claims.find(name, namespace=namespace)

    def nodes(self) -> dict[str, node.Node]:
        """Its mirrored Nodes by name."""
        return {
            each.metadata.name: each
            for each in self._nodes
            if each.metadata.labels.get(labels.CLUSTER) == self.cluster and labels.MIRRORED in each.metadata.labels
        }


def unit_key(share: placement.Placement) -> meta.Key:
    """The Unit that a share is of."""
    return meta.Key(share.metadata.namespace, share.spec.unit)
