"""Making room for what is more important: victims are told, and go with their grace."""

import dataclasses
from collections.abc import Hashable

from boxfleet.api import disruption_budget, meta, pod
from boxfleet.client import client, errors, shared
from boxfleet.client import events as recorders
from boxfleet.kit import clock
from boxfleet.planning import disruption, scheduling
from boxfleet.scheduler import state


@dataclasses.dataclass(frozen=True, slots=True)
class _Pending:
    """For whom room is being made (uid), and whose end is waited for."""

    uid: str
    victims: frozenset[tuple[meta.Key, str]]


class Preempting:
    """Takes instances away for one that fits nowhere, by the rules of the engine; no second time while they go."""

    def __init__(
        self, caches: shared.Caches, board: state.State, *, events: recorders.Recorder, clock: clock.Clock
    ) -> None:
        self._api: client.Client = caches.api
        self._board = board
        self._events = events
        self._clock = clock
        self._pods = caches.of(pod.Pod)
        self._budgets = caches.of(disruption_budget.PodDisruptionBudget)
        self._pending: dict[meta.Key, _Pending] = {}

    def gone(self, key: meta.Key) -> list[meta.Key]:
        """A Pod is gone: those whose room is complete by that."""
        done = []
        for waiting, pending in list(self._pending.items()):
            if any(victim == key for victim, _ in pending.victims) and not self._alive(pending):
                del self._pending[waiting]
                done.append(waiting)
        return done

    def drop(self, key: meta.Key) -> None:
        """It has a place, or is gone."""
        self._pending.pop(key, None)

    async def make_room(self, subject: pod.Pod, ask: scheduling.Ask) -> str:
        """Ask victims to go; what the Pod is told besides, empty when nothing is done for it. Raises ApiError."""
        pending = self._pending.get(subject.key)
        if pending is not None and pending.uid == subject.metadata.uid and self._alive(pending):
            return "waits for what makes room for it to end"
        if not ask.preempts or not (subject.spec.priority or 0):
            return ""
        room = self._board.make_room(ask, budgets=self._counting, allowed=self._allowed())
        if room is None:
            return ""
        victims = [found for each in room.victims if (found := self._pods.get(_key(each.key))) is not None]
        chosen = frozenset((each.key, each.metadata.uid) for each in victims)
        self._pending[subject.key] = _Pending(subject.metadata.uid, chosen)
        for each in victims:
            if not each.metadata.deletionTimestamp:
                await self._end(each, subject, room.place)
        change = {"metadata": {"uid": subject.metadata.uid}, "status": {"nominatedNodeName": room.place}}
        key = subject.key
        await self._api.patch(pod.Pod, key.name, change, namespace=key.namespace, subresource="status")
        return f"{len(victims)} of lower priority make room on {room.place}"

    async def _end(self, victim: pod.Pod, subject: pod.Pod, place: str) -> None:
        condition = meta.Condition(
            type="DisruptionTarget",
            status="True",
            reason="PreemptionByScheduler",
            message=f"boxfleet-scheduler: preempting to make room for {subject.key}, which has a higher priority",
            lastTransitionTime=clock.stamp(self._clock.now()),
        )
        key = victim.key
        try:
            await self._api.put_condition(victim, condition)
            await self._api.delete(pod.Pod, key.name, namespace=key.namespace, uid=victim.metadata.uid)
        except (errors.NotFound, errors.Conflict):
            return
        self._events.normal(victim, "Preempted", f"Preempted by pod {subject.key} on node {place}")

    def _alive(self, pending: _Pending) -> bool:
        for key, uid in pending.victims:
            found = self._pods.get(key)
            if found is not None and found.metadata.uid == uid:
                return True
        return False

    def _counting(self, key: meta.Key) -> tuple[Hashable, ...]:
        subject = self._pods.get(key)
        if subject is None:
            return ()
        return tuple(
            each.key
            for each in self._budgets
            if each.metadata.namespace == key.namespace
            and disruption.matches(each.spec.selector, subject.metadata.labels)
        )

    def _allowed(self) -> dict[Hashable, int]:
        return {each.key: each.status.disruptionsAllowed for each in self._budgets}


def _key(found: Hashable) -> meta.Key:
    if not isinstance(found, meta.Key):
        raise TypeError(f"{found!r} is no Pod's key")
    return found
