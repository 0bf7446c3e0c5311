"""What is used of every node: as the cache says, plus what was decided a moment ago."""

import dataclasses

from boxfleet.api import labels, meta, node, pod
from boxfleet.planning import node_places, scheduling


@dataclasses.dataclass(frozen=True, slots=True)
class _Seat:
    uid: str
    node: str
    ask: scheduling.Ask
    # Decided here and not seen in the cache yet.
    assumed: bool


class State:
    """Places with what runs on them. Decisions count at once, so that a burst never overcommits a node."""

    def __init__(self, *, cluster: str) -> None:
        self._cluster = cluster
        self.places: dict[str, scheduling.Place] = {}
        self._seats: dict[meta.Key, _Seat] = {}

    def node_changed(self, name: str, new: node.Node | None) -> bool:
        """Take in a node; says whether anything changed that placement looks at."""
        old = self.places.get(name)
        if new is None or labels.MIRRORED in new.metadata.labels:
            self.places.pop(name, None)
            return False
        place = node_places.place_of(new, default_cluster=self._cluster)
        if old is not None:
            place.used, place.ports, place.groups = old.used, old.ports, old.groups
            if place == old:
                return False
        else:
            for seat in self._seats.values():
                if seat.node == name:
                    place.take(seat.ask)
        self.places[name] = place
        return True

    def pod_changed(self, key: meta.Key, new: pod.Pod | None) -> bool:
        """Take in a Pod; says whether it set something free."""
        seat = self._seats.get(key)
        if new is None or new.status.has_ended:
            return self._set(key, None)
        uid, name = new.metadata.uid, new.spec.nodeName
        if name:
            if seat is not None and (seat.uid, seat.node) == (uid, name):
                # Requests of a bound Pod do not change.
                self._seats[key] = dataclasses.replace(seat, assumed=False)
                return False
            try:
                ask = scheduling.ask_of(new)
            except ValueError:
                # Bound by someone else with quantities that are none: it counts as one Pod.
                ask = scheduling.Ask(requests={"pods": 1})
            return self._set(key, _Seat(uid, name, ask, assumed=False))
        if seat is not None and seat.assumed and seat.uid == uid:
            return False
        return self._set(key, None)

    def assume(self, key: meta.Key, *, uid: str, node: str, ask: scheduling.Ask) -> None:
        """Count a decision that is about to be written."""
        self._set(key, _Seat(uid, node, ask, assumed=True))

    def forget(self, key: meta.Key, *, uid: str) -> None:
        """Take back a decision that could not be written."""
        seat = self._seats.get(key)
        if seat is not None and seat.uid == uid and seat.assumed:
            self._set(key, None)

    def is_assumed(self, key: meta.Key, *, uid: str) -> bool:
        """Whether a decision about this Pod is under way."""
        seat = self._seats.get(key)
        return seat is not None and seat.uid == uid

    def _set(self, key: meta.Key, new: _Seat | None) -> bool:
        old = self._seats.pop(key, None)
        if old is not None and (place := self.places.get(old.node)) is not None:
            place.take(old.ask, sign=-1)
        if new is not None:
            self._seats[key] = new
            if (place := self.places.get(new.node)) is not None:
                place.take(new.ask)
        return old is not None
