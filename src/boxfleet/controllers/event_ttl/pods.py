"""Step 2: Pods of nodes that are no more."""

from boxfleet.api import meta, node, pod
from boxfleet.client import client, errors, loop
from boxfleet.controllers import caches, settings
from boxfleet.kit import clock


class OrphanedPods:
    """Removes Pods whose node's object is gone."""

    def __init__(
        self, api: client.Client, indexed: caches.Indexed, *, clock: clock.Clock, settings: settings.Settings
    ) -> None:
        self._api = api
        self._clock = clock
        self._grace = settings.orphaned_pod_grace
        self._pods = indexed.pods
        self._nodes = indexed.shared.of(node.Node)
        self._since: dict[str, float] = {}
        self._loop: loop.Loop[meta.Key] = loop.Loop("orphaned pods", self.reconcile, workers=1)
        self.run = self._loop.run
        self._pods.listen(self._pod_changed)
        self._nodes.listen(self._node_changed)

    async def reconcile(self, key: meta.Key) -> float | None:
        """Remove one Pod when its node has been gone for the whole grace; else seconds until then."""
        subject = self._pods.get(key)
        name = subject.spec.nodeName if subject is not None else ""
        if subject is None or not name:
            return None
        if self._nodes.find(name) is not None:
            self._since.pop(name, None)
            return None
        now = self._clock.monotonic()
        left = self._since.setdefault(name, now) + self._grace - now
        if left > 0:
            return left
        if await self._api.find(node.Node, name) is not None:
            return self._grace
        try:
            # Nobody is there to stop it gracefully, so nobody can confirm that it stopped.
            await self._api.delete(
                pod.Pod, key.name, namespace=key.namespace, uid=subject.metadata.uid, grace_seconds=0
            )
        except (errors.NotFound, errors.Conflict):
            return None
        return None

    def _pod_changed(self, old: pod.Pod | None, new: pod.Pod | None) -> None:
        if new is not None and new.spec.nodeName and self._nodes.find(new.spec.nodeName) is None:
            self._loop.add(new.key)

    def _node_changed(self, old: node.Node | None, new: node.Node | None) -> None:
        subject = new or old
        if subject is None or (old is not None and new is not None):
            return
        self._since.pop(subject.metadata.name, None)
        for each in self._pods:
            if each.spec.nodeName == subject.metadata.name:
                self._loop.add(each.key)
