"""What is used of every node: as the cache says, plus what was decided a moment ago."""

import dataclasses
from collections.abc import Callable, Hashable, Iterator, Mapping

from boxfleet.api import labels, meta, node, pod
from boxfleet.planning import coupling, instances, node_places, pod_asks, scheduling
from boxfleet.planning.engine import fragments, preemption, table


@dataclasses.dataclass(frozen=True, slots=True)
class Seat:
    """An instance on its node."""

    uid: str
    node: str
    ask: scheduling.Ask
    # Decided here and not seen in the cache yet.
    assumed: bool
    # Which of the node's GPUs it has.
    devices: tuple[int, ...] = ()
    # When its agent took it on; empty before that.
    started: str = ""


class State:
    """Places with what runs on them. Decisions count at once, so that a burst never overcommits a node."""

    def __init__(self, *, cluster: str) -> None:
        self._cluster = cluster
        self.places = table.Table()
        self.sharing = coupling.Board()
        self._seats: dict[meta.Key, Seat] = {}
        self._on: dict[str, dict[meta.Key, None]] = {}
        self._typical = fragments.Typical()

    def node_changed(self, name: str, new: node.Node | None) -> bool:
        """Take in a node; says whether anything changed that placement looks at."""
        if new is None or labels.MIRRORED in new.metadata.labels:
            self.places.remove(name)
            return False
        place = node_places.place_of(new, default_cluster=self._cluster)
        if name in self.places:
            if self.places.said(name) == place:
                return False
            self.places.set(place)
            return True
        self.places.set(place)
        for key in self._on.get(name, ()):
            seat = self._seats[key]
            self._seats[key] = dataclasses.replace(seat, devices=self.places.take(name, seat.ask))
        return True

    def pod_changed(self, key: meta.Key, new: pod.Pod | None) -> bool:
        """Take in a Pod; says whether it set something free, or serves now those on its host who wait for it."""
        freed = self._pod_changed(key, new)
        seat = self._seats.get(key)
        if seat is None or not seat.ask.shares:
            return freed
        ready = new is not None and instances.is_ready(new)
        return (self.sharing.tell(key, ready=ready) and ready) or freed

    def _pod_changed(self, key: meta.Key, new: pod.Pod | None) -> bool:
        seat = self._seats.get(key)
        if new is None or new.status.has_ended:
            return self._set(key, None)
        uid, name = new.metadata.uid, new.spec.nodeName
        if name:
            if (
                seat is not None
                and (seat.uid, seat.node) == (uid, name)
                and seat.ask.labels == pod_asks.labels_of(new.metadata.labels)
            ):
                # Requests of a bound Pod do not change.
                started = new.status.startTime or ""
                if seat.assumed or seat.started != started:
                    self._seats[key] = dataclasses.replace(seat, assumed=False, started=started)
                return False
            try:
                ask = scheduling.ask_of(new)
            except ValueError:
                # Bound by someone else with quantities that are none: it counts as one Pod.
                ask = scheduling.Ask(requests={"pods": 1}, labels=pod_asks.labels_of(new.metadata.labels))
            self._set(key, Seat(uid, name, ask, assumed=False, started=new.status.startTime or ""))
            # It moved, or other terms mean it now: either may help somebody.
            return seat is not None
        if seat is not None and seat.assumed and seat.uid == uid:
            return False
        return self._set(key, None)

    def assume(self, key: meta.Key, *, uid: str, node: str, ask: scheduling.Ask) -> None:
        """Count a decision that is about to be written."""
        self._set(key, Seat(uid, node, ask, assumed=True))

    def forget(self, key: meta.Key, *, uid: str) -> None:
        """Take back a decision that could not be written."""
        seat = self._seats.get(key)
        if seat is not None and seat.uid == uid and seat.assumed:
            self._set(key, None)

    def is_assumed(self, key: meta.Key, *, uid: str) -> bool:
        """Whether a decision about this Pod is under way."""
        seat = self._seats.get(key)
        return seat is not None and seat.uid == uid

    def seats(self, name: str) -> Iterator[tuple[meta.Key, Seat]]:
        """Who is on a node."""
        return ((key, self._seats[key]) for key in self._on.get(name, ()))

    def make_room(
        self,
        ask: scheduling.Ask,
        *,
        budgets: Callable[[meta.Key], tuple[Hashable, ...]],
        allowed: Mapping[Hashable, int],
    ) -> preemption.Room | None:
        """Who has to go, and from where, so that an ask fits that fits nowhere; keys of victims are those of Pods.

        `budgets` says which disruption budgets count a Pod, `allowed` how many each lets go.
        """

        def on(name: str) -> Iterator[preemption.Victim]:
            for key, seat in self.seats(name):
                yield preemption.Victim(
                    key=key, ask=seat.ask, devices=seat.devices, started=seat.started, budgets=budgets(key)
                )

        return preemption.make_room(ask, self.places, on, allowed=allowed)

    def _set(self, key: meta.Key, new: Seat | None) -> bool:
        old = self._seats.pop(key, None)
        if old is not None:
            on = self._on[old.node]
            del on[key]
            if old.ask.shares:
                self.sharing.drop(key, node=old.node, shares=old.ask.shares)
            if not on:
                del self._on[old.node]
            if old.node in self.places:
                self.places.give(old.node, old.ask, devices=old.devices)
        if new is not None:
            if new.node in self.places:
                new = dataclasses.replace(new, devices=self.places.take(new.node, new.ask))
            self._seats[key] = new
            self._on.setdefault(new.node, {})[key] = None
            if new.ask.shares:
                self.sharing.put(key, node=new.node, shares=new.ask.shares)
            # Only where there are devices does it matter what is asked of them.
            if new.ask.gpus is not None and self._typical.add(new.ask):
                self.places.prefer(self._typical.fragments())
        return old is not None
