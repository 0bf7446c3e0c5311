"""Step 2: what a Cluster of hosts adds up to."""

import collections

import msgspec

from boxfleet.api import cluster, labels, node, pod
from boxfleet.client import client, loop
from boxfleet.controllers import caches, settings
from boxfleet.kit import clock
from boxfleet.planning import conditions, node_health, resources

# Seconds that changes are gathered before the status is written: every instance changes the sums.
_PAUSE = 0.5


class ClusterStatus:
    """Keeps the status of Clusters of hosts."""

    def __init__(
        self, api: client.Client, indexed: caches.Indexed, *, clock: clock.Clock, settings: settings.Settings
    ) -> None:
        self._api = api
        self._clock = clock
        self._default = settings.cluster
        self._nodes = indexed.shared.of(node.Node)
        self._clusters = indexed.shared.of(cluster.Cluster)
        # What instances ask for, by their node: kept as they come and go, since there may be many.
        self._requested: dict[str, resources.Amounts] = {}
        self._loop: loop.Loop[str] = loop.Loop("cluster status", self.reconcile, workers=1)
        self.run = self._loop.run
        self._clusters.listen(self._cluster_changed)
        self._nodes.listen(self._node_changed)
        indexed.pods.listen(self._pod_changed)

    async def reconcile(self, name: str) -> None:
        """Write one Cluster's status when it differs from what is there."""
        subject = self._clusters.find(name)
        if subject is None or subject.spec.type is not cluster.ClusterType.HOSTS:
            return
        wanted = self._status(subject)
        if wanted != subject.status:
            await self._api.replace(msgspec.structs.replace(subject, status=wanted), subresource="status")

    def _status(self, subject: cluster.Cluster) -> cluster.ClusterStatus:
        nodes = [each for each in self._nodes if self._cluster_of(each) == subject.metadata.name]
        ready = sum(1 for each in nodes if node_health.is_ready(each))
        capacity: collections.Counter[str] = collections.Counter()
        allocatable: collections.Counter[str] = collections.Counter()
        requested: collections.Counter[str] = collections.Counter()
        for each in nodes:
            resources.add(capacity, resources.amounts(each.status.capacity))
            resources.add(allocatable, resources.amounts(each.status.allocatable))
            resources.add(requested, self._requested.get(each.metadata.name, {}))
        said = conditions.Conditions(subject.status.conditions, now=clock.stamp(self._clock.now()))
        if ready:
            said.put("Ready", "True", "NodesReady", f"{ready} of {len(nodes)} nodes are ready")
        elif nodes:
            said.put("Ready", "False", "NodesNotReady", f"none of {len(nodes)} nodes is ready: see `boxfleet status`")
        else:
            said.put("Ready", "False", "NoNodes", "no host has joined: start an agent with `boxfleet up`")
        return cluster.ClusterStatus(
            observedGeneration=subject.metadata.generation,
            nodes=len(nodes),
            readyNodes=ready,
            capacity=_texts(capacity),
            allocatable=_texts(allocatable),
            requested=_texts(requested),
            conditions=said.items,
        )

    def _cluster_of(self, subject: node.Node) -> str:
        return subject.metadata.labels.get(labels.CLUSTER) or self._default

    def _cluster_changed(self, old: cluster.Cluster | None, new: cluster.Cluster | None) -> None:
        if new is not None:
            self._loop.add_after(new.metadata.name, _PAUSE)

    def _node_changed(self, old: node.Node | None, new: node.Node | None) -> None:
        for each in (old, new):
            if each is not None:
                self._loop.add_after(self._cluster_of(each), _PAUSE)

    def _pod_changed(self, old: pod.Pod | None, new: pod.Pod | None) -> None:
        if _counts(old) == _counts(new):
            return
        self._count(old, sign=-1)
        self._count(new, sign=1)
        for subject in self._clusters:
            self._loop.add_after(subject.metadata.name, _PAUSE)

    def _count(self, subject: pod.Pod | None, *, sign: int) -> None:
        if subject is None or not subject.spec.nodeName or subject.status.has_ended:
            return
        total = self._requested.setdefault(subject.spec.nodeName, {})
        resources.add(total, _requests(subject), sign=sign)
        if not any(total.values()):
            del self._requested[subject.spec.nodeName]


def _counts(subject: pod.Pod | None) -> object:
    """What decides whether a Pod's requests count, and where."""
    return (subject.spec.nodeName, subject.status.has_ended) if subject is not None else None


def _requests(subject: pod.Pod) -> resources.Amounts:
    try:
        return resources.requests_of(subject.spec)
    except ValueError:
        # With quantities that are none it counts as an instance.
        return {"pods": 1}


def _texts(amounts: collections.Counter[str]) -> dict[str, str]:
    return {resource: resources.exact_text(resource, amount) for resource, amount in sorted(amounts.items())}
