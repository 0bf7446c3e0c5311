"""Step 3: instances that may not stay on a node with a taint of effect NoExecute."""

from boxfleet.api import meta, node, pod
from boxfleet.client import client, errors, loop
from boxfleet.client import events as recorders
from boxfleet.controllers import caches
from boxfleet.kit import clock
from boxfleet.planning import taints

_EVENT = "TaintManagerEviction"


class TaintEviction:
    """Deletes Pods that do not tolerate their node's taints, or no longer; says so in Kubernetes' words."""

    def __init__(
        self, api: client.Client, indexed: caches.Indexed, *, events: recorders.Recorder, clock: clock.Clock
    ) -> None:
        self._api = api
        self._events = events
        self._clock = clock
        self._pods = indexed.pods
        self._nodes = indexed.shared.of(node.Node)
        # Of each Pod on such a node, its uid and when each taint was seen, by our own clock. As in Kubernetes a
        # server that starts begins to count anew.
        self._seen: dict[meta.Key, tuple[str, dict[taints.Mark, float]]] = {}
        # Pods that go later, unless the taint does.
        self._going: set[meta.Key] = set()
        self._loop: loop.Loop[meta.Key] = loop.Loop("taint eviction", self.reconcile)
        self.run = self._loop.run
        self._nodes.listen(self._node_changed)
        self._pods.listen(self._pod_changed)

    async def reconcile(self, key: meta.Key) -> float | None:
        """Look at one Pod; gives seconds until it has to go."""
        subject = self._pods.get(key)
        present = self._evicting(subject.spec.nodeName) if subject is not None else {}
        if subject is None or _is_over(subject):
            self._seen.pop(key, None)
            self._going.discard(key)
            return None
        now = self._clock.monotonic()
        uid, before = self._seen.pop(key, ("", {}))
        since = {mark: before.get(mark, now) if uid == subject.metadata.uid else now for mark in present}
        if since:
            self._seen[key] = (subject.metadata.uid, since)
        end = taints.deadline(since, present, subject.spec.tolerations)
        if end is None:
            if key in self._going:
                self._events.normal(subject, _EVENT, f"Cancelling deletion of Pod {key}")
            self._going.discard(key)
            return None
        if end > now:
            self._going.add(key)
            return end - now
        await self._evict(subject)
        return None

    async def _evict(self, subject: pod.Pod) -> None:
        self._events.normal(subject, _EVENT, f"Marking for deletion Pod {subject.key}")
        condition = meta.Condition(
            type="DisruptionTarget",
            status="True",
            reason="DeletionByTaintManager",
            message="Taint manager: deleting due to NoExecute taint",
            lastTransitionTime=clock.stamp(self._clock.now()),
        )
        try:
            await self._api.put_condition(subject, condition)
            await self._api.delete(
                pod.Pod, subject.metadata.name, namespace=subject.metadata.namespace, uid=subject.metadata.uid
            )
        except errors.NotFound:
            return

    def _evicting(self, name: str) -> dict[taints.Mark, node.Taint]:
        found = self._nodes.find(name) if name else None
        return taints.evicting(found.spec.taints) if found is not None else {}

    def _node_changed(self, old: node.Node | None, new: node.Node | None) -> None:
        before = taints.evicting(old.spec.taints) if old is not None else {}
        after = taints.evicting(new.spec.taints) if new is not None else {}
        subject = new or old
        if subject is None or before.keys() == after.keys():
            return
        for each in self._pods:
            if each.spec.nodeName == subject.metadata.name:
                self._loop.add(each.key)

    def _pod_changed(self, old: pod.Pod | None, new: pod.Pod | None) -> None:
        subject = new or old
        if subject is None:
            return
        # Nearly always there is no such taint, and nothing to do for all the changes of Pods.
        if subject.key in self._seen or (new is not None and self._evicting(new.spec.nodeName)):
            self._loop.add(subject.key)


def _is_over(subject: pod.Pod) -> bool:
    """Whether nothing of it is left to be driven away: one that has ended keeps what it says, and is not run again."""
    return bool(subject.metadata.deletionTimestamp) or subject.status.has_ended
