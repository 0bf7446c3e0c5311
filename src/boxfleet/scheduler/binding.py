"""Level two: a node for every instance."""

from boxfleet.api import labels, meta, node, pod, volume_claim
from boxfleet.client import client, errors, loop, shared
from boxfleet.client import events as recorders
from boxfleet.kit import clock
from boxfleet.planning import scheduling
from boxfleet.scheduler import claims, settings, state


class Binder:
    """Gives unbound Pods their node.

    Deciding is one thing at a time and takes no I/O; writing goes on beside it. An instance that fits nowhere is
    told so, and looked at again when a node or another instance changes in a way that may help.
    """

    def __init__(
        self, caches: shared.Caches, *, events: recorders.Recorder, clock: clock.Clock, settings: settings.Settings
    ) -> None:
        self._api: client.Client = caches.api
        self._events = events
        self._clock = clock
        self._settings = settings
        self._pods = caches.of(pod.Pod)
        self._claims = caches.of(volume_claim.PersistentVolumeClaim)
        self._state = state.State(cluster=settings.cluster)
        self._loop: loop.Loop[meta.Key] = loop.Loop("binding", self._one, workers=settings.concurrency, slowest=10.0)
        # Those that fit nowhere, with what they were told.
        self._pending: dict[meta.Key, str] = {}
        self._pods.listen(self._pod_changed)
        self._claims.listen(self._claim_changed)
        caches.of(node.Node).listen(self._node_changed)

    async def run(self) -> None:
        """Bind until cancelled."""
        # A restart of this loop must not miss what its last run had in hand.
        for each in self._pods:
            if _is_unbound(each):
                self._loop.add(each.key)
        await self._loop.run()

    async def _one(self, key: meta.Key) -> float | None:
        subject = self._pods.get(key)
        if subject is None or not _is_unbound(subject):
            self._pending.pop(key, None)
            return None
        uid = subject.metadata.uid
        if self._state.is_assumed(key, uid=uid):
            return None
        # From here to `assume` nothing is awaited: decisions are made one by one.
        try:
            storage = claims.storage_of(subject, self._claims)
            ask = scheduling.ask_of(subject, pinned=storage.node)
        except (claims.ClaimMissing, ValueError) as problem:
            return await self._tell(subject, str(problem))
        choice = scheduling.choose(ask, self._state.places.values())
        if not choice.place:
            return await self._tell(subject, choice.why_not)
        self._state.assume(key, uid=uid, node=choice.place, ask=ask)
        try:
            for claim in storage.unbound:
                await claims.select(self._api, claim, node=choice.place)
            await self._api.bind(namespace=key.namespace, pod=key.name, uid=uid, node=choice.place)
        except errors.NotFound:
            # The Pod went meanwhile.
            self._state.forget(key, uid=uid)
            return None
        except BaseException:
            self._state.forget(key, uid=uid)
            raise
        self._pending.pop(key, None)
        self._events.normal(subject, "Scheduled", f"Successfully assigned {key} to {choice.place}")
        return None

    async def _tell(self, subject: pod.Pod, message: str) -> float:
        """Say why a Pod is pending, once for every reason; gives seconds until the next look."""
        known = self._pending.get(subject.key)
        self._pending[subject.key] = message
        if known == message:
            return self._settings.retry
        self._events.warning(subject, "FailedScheduling", message)
        condition = meta.Condition(
            type="PodScheduled",
            status="False",
            reason="Unschedulable",
            message=message,
            lastTransitionTime=clock.stamp(self._clock.now()),
        )
        old = meta.find_condition(subject.status.conditions, "PodScheduled")
        if old is None or old.message != message:
            try:
                await self._api.put_condition(subject, condition)
            except errors.NotFound:
                self._pending.pop(subject.key, None)
        return self._settings.retry

    def _pod_changed(self, old: pod.Pod | None, new: pod.Pod | None) -> None:
        subject = new or old
        if subject is None:
            return
        freed = self._state.pod_changed(subject.key, new)
        if new is None:
            self._pending.pop(subject.key, None)
        elif _is_unbound(new) and (old is None or old.metadata.uid != new.metadata.uid or old.spec != new.spec):
            self._pending.pop(new.key, None)
            self._loop.add(new.key)
        if freed:
            self._look_again()

    def _node_changed(self, old: node.Node | None, new: node.Node | None) -> None:
        subject = new or old
        if subject is not None and self._state.node_changed(subject.metadata.name, new):
            self._look_again()

    def _claim_changed(
        self, old: volume_claim.PersistentVolumeClaim | None, new: volume_claim.PersistentVolumeClaim | None
    ) -> None:
        self._look_again()

    def _look_again(self) -> None:
        for key in self._pending:
            self._loop.add(key)


def _is_unbound(subject: pod.Pod) -> bool:
    if subject.spec.schedulerName == labels.CLUSTER_SCHEDULER:
        return False
    return (
        not subject.spec.nodeName and not subject.metadata.deletionTimestamp and subject.status.phase in ("", "Pending")
    )
