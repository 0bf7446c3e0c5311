"""Level two: a node for every instance."""

import asyncio

from boxfleet.api import meta, node, pod, unit, volume_claim
from boxfleet.client import client, errors, loop, shared
from boxfleet.client import events as recorders
from boxfleet.kit import backoff, clock
from boxfleet.planning import coupling, scheduling
from boxfleet.scheduler import claims, preempting, settings, state, waiting


class Binder:
    """Gives unbound Pods their node.

    Deciding is one thing at a time and takes no I/O; writing goes on beside it. Of those that wait the one of the
    highest priority comes first, then the oldest. An instance that fits nowhere is told so, and looked at again when a
    node or another instance changes in a way that may help. Pods with scheduling gates, and those that name another
    scheduler, are left alone.
    """

    def __init__(
        self, caches: shared.Caches, *, events: recorders.Recorder, clock: clock.Clock, settings: settings.Settings
    ) -> None:
        self._api: client.Client = caches.api
        self._events = events
        self._clock = clock
        self._names = settings.names
        self._settings = settings
        self._pods = caches.of(pod.Pod)
        self._claims = caches.of(volume_claim.PersistentVolumeClaim)
        self._units = caches.of(unit.Unit)
        self._state = state.State(cluster=settings.cluster)
        self._preempting = preempting.Preempting(caches, self._state, events=events, clock=clock)
        self._loop: loop.Loop[meta.Key] = loop.Loop(
            "binding", self._one, workers=settings.concurrency, slowest=10.0, rank=self._rank
        )
        # Those that fit nowhere.
        self._waiting = waiting.Waiting(
            backoff=backoff.Backoff(initial=settings.backoff_first, limit=settings.backoff_most),
            again=self._loop.add_after,
        )
        self._pods.listen(self._pod_changed)
        self._claims.listen(self._claim_changed)
        caches.of(node.Node).listen(self._node_changed)

    @property
    def waiting(self) -> int:
        """Pods that are to be looked at."""
        return len(self._loop)

    async def run(self) -> None:
        """Bind until cancelled."""
        # A restart of this loop must not miss what its last run had in hand.
        for each in self._pods:
            if self._is_wanted(each):
                self._loop.add(each.key)
        await self._loop.run()

    async def _one(self, key: meta.Key) -> float | None:
        subject = self._pods.get(key)
        if subject is None or not self._is_wanted(subject):
            self._waiting.drop(key)
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
        if ask.shares:
            ask.among = self._state.sharing.among(ask.shares, namespace=key.namespace, known=self._units)
        choice = scheduling.choose(ask, self._state.places.values())
        if not choice.place:
            made = await self._preempting.make_room(subject, ask)
            return await self._tell(subject, f"{choice.why_not} {made}".strip())
        self._state.assume(key, uid=uid, node=choice.place, ask=ask)
        try:
            for claim in storage.unbound:
                await claims.select(self._api, claim, node=choice.place)
            await self._api.bind(namespace=key.namespace, pod=key.name, uid=uid, node=choice.place)
        except errors.NotFound:
            # The Pod went meanwhile.
            self._take_back(key, uid=uid)
            return None
        except BaseException:
            self._take_back(key, uid=uid)
            raise
        self._waiting.drop(key)
        self._preempting.drop(key)
        self._events.normal(subject, "Scheduled", f"Successfully assigned {key} to {choice.place}")
        return None

    def _take_back(self, key: meta.Key, *, uid: str) -> None:
        """A decision came to nothing: its room is there for others."""
        self._state.forget(key, uid=uid)
        self._help()

    async def _tell(self, subject: pod.Pod, message: str) -> float:
        """Say why a Pod is pending, once for every reason; gives seconds until the next look."""
        key, now = subject.key, self._clock.monotonic()
        if not self._waiting.put(key, message, now=now, minds_others=_minds_others(subject)):
            # Many that fit nowhere must not keep everybody else from the event loop.
            await asyncio.sleep(0)
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
                self._waiting.drop(key)
            except errors.ApiError:
                self._waiting.forget_word(key)
                raise
        return self._settings.retry

    def _pod_changed(self, old: pod.Pod | None, new: pod.Pod | None) -> None:
        subject = new or old
        if subject is None:
            return
        key = subject.key
        freed = self._state.pod_changed(key, new)
        if new is None:
            self._preempting.drop(key)
            for waits in self._preempting.gone(key):
                self._waiting.drop(waits)
                self._loop.add(waits)
        if new is None or not self._is_wanted(new):
            self._waiting.drop(key)
        elif old is None or old.metadata.uid != new.metadata.uid or old.spec != new.spec:
            self._waiting.drop(key)
            self._loop.add(key)
        if freed:
            self._help()
        elif new is not None and new.spec.nodeName and not _is_same_neighbour(old, new):
            self._waiting.help_minding(now=self._clock.monotonic())

    def _node_changed(self, old: node.Node | None, new: node.Node | None) -> None:
        subject = new or old
        if subject is not None and self._state.node_changed(subject.metadata.name, new):
            self._help()

    def _claim_changed(
        self, old: volume_claim.PersistentVolumeClaim | None, new: volume_claim.PersistentVolumeClaim | None
    ) -> None:
        self._help()

    def _help(self) -> None:
        self._waiting.help(now=self._clock.monotonic())

    def _rank(self, key: meta.Key) -> tuple[int, str]:
        """Of Pods that wait, the lowest comes first."""
        subject = self._pods.get(key)
        if subject is None:
            return (0, "")
        return (-(subject.spec.priority or 0), subject.metadata.creationTimestamp or "")

    def _is_wanted(self, subject: pod.Pod) -> bool:
        """Whether a Pod is to get a node, from this scheduler, now."""
        spec = subject.spec
        return (
            not spec.nodeName
            and not subject.metadata.deletionTimestamp
            and subject.status.phase in ("", "Pending")
            and not spec.schedulingGates
            and spec.schedulerName in self._names
        )


def _minds_others(subject: pod.Pod) -> bool:
    """Whether it matters to a Pod where others are."""
    spec = subject.spec
    return spec.affinity is not None or bool(spec.topologySpreadConstraints) or coupling.consumes(subject)


def _is_same_neighbour(old: pod.Pod | None, new: pod.Pod) -> bool:
    """Whether a bound Pod is to others what it was."""
    return old is not None and old.spec.nodeName == new.spec.nodeName and old.metadata.labels == new.metadata.labels
