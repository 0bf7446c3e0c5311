"""How many hosts each NodePool should make, and which may go: decided by where instances would fit.

The same facts give the same decision. Hosts on their way count as if they were there, so that asking again asks for
nothing more; what is decided here is packed first fit, largest first, over the engine's own rules of what fits where.
"""

import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from boxfleet.api import labels, node
from boxfleet.planning import resources, scheduling

# What a host takes unless its template says otherwise: the agent's default.
_PODS = 110
# What a host is used by.
_USED_OF = ("cpu", "memory")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """An instance that needs a place, or has one and may have to leave it."""

    key: str
    ask: scheduling.Ask
    priority: int = 0
    # Why it cannot leave its host; empty when it can.
    stays: str = ""
    # The disruption budget that its going counts against.
    budget: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A NodePool and what it has."""

    name: str
    cluster: str
    offers: resources.Amounts
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    taints: tuple[node.Taint, ...] = ()
    order: int = 100
    price: float = 0.0
    min: int = 0
    max: int = 0
    # Whether its provider may be asked now: it is neither sold out nor at fault, and the pool is not going.
    open: bool = True
    # Machines in any state, and how many of them are meant to stay.
    machines: int = 0
    staying: int = 0
    # Machines that will be hosts.
    coming: Sequence[str] = ()
    # Hosts that are Ready and meant to stay, and those that leave.
    ready: int = 0
    leaving: int = 0
    # When hosts go; budget 0: never.
    unneeded_seconds: float = 600.0
    utilization: float = 0.5
    budget: int = 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A host of a pool that is Ready, takes instances, and may be asked to go."""

    name: str
    pool: str
    instances: Sequence[Instance] = ()
    # Why it stays whatever runs on it, such as data that lies there; empty when nothing keeps it.
    stays: str = ""
    # For how many seconds it has been unneeded; None: it was needed.
    unneeded: float | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """Machines to make by pool, and the instances that no pool helps."""

    new: Mapping[str, int]
    helpless: Sequence[Instance] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shrinkage:
    """Hosts that are not needed, all of them together, those that go now, and why others are needed."""

    unneeded: frozenset[str]
    go: Sequence[str]
    needed: Mapping[str, str]


def host_of(pool: Pool, name: str) -> scheduling.Place:
    """A new host of a pool, as the engine sees it."""
    return scheduling.Place(
        name=name,
        labels={**pool.labels, labels.HOSTNAME: name, labels.CLUSTER: pool.cluster, labels.NODE_POOL: pool.name},
        taints=tuple(each for each in pool.taints if each.effect != "PreferNoSchedule"),
        cluster=pool.cluster,
        offers={"pods": _PODS, **pool.offers},
    )


def grow(pending: Iterable[Instance], places: Iterable[scheduling.Place], pools: Sequence[Pool]) -> Growth:
    """Machines that are missing: for pending instances that fit on no host there is or is coming, and for minima."""
    pools = sorted(pools, key=lambda pool: (pool.order, pool.price, pool.name))
    instances = sorted(pending, key=_rank)
    there = sorted(places, key=lambda place: place.name)
    shapes = _Shapes()
    left = {pool.name: max(0, pool.max - pool.machines) if pool.open else 0 for pool in pools}
    made = {pool.name: min(left[pool.name], max(0, pool.min - pool.staying)) for pool in pools}
    while True:
        # Packed anew with each choice, as it will be when this is asked again: then nothing is missing.
        room = _Room([_copy(each) for each in there], shapes)
        for pool in pools:
            fresh = (f"{pool.name}/{number}" for number in range(made[pool.name]))
            room.places += (host_of(pool, name) for name in (*pool.coming, *fresh))
        rest = [each for each in instances if room.take(each.ask) is None]
        best = _best(rest, pools, {name: count - made[name] for name, count in left.items()}, shapes)
        if best is None:
            break
        made[best[0].name] += best[1]
    return Growth(new={name: count for name, count in made.items() if count}, helpless=rest)


def shrink(
    pending: Iterable[Instance],
    places: Iterable[scheduling.Place],
    hosts: Sequence[Host],
    pools: Sequence[Pool],
    *,
    budgets: Mapping[str, int],
) -> Shrinkage:
    """Which hosts may go: those whose instances all fit on others, that are used little, and that no minimum keeps.

    `pending` are instances that come to the hosts that stay; `budgets` say how many may be away now.
    """
    known = {pool.name: pool for pool in pools}
    room = _Room([_copy(each) for each in sorted(places, key=lambda place: place.name)], _Shapes())
    coming: dict[str, list[Instance]] = {}
    for each in sorted(pending, key=_rank):
        if (place := room.take(each.ask)) is not None:
            coming.setdefault(place.name, []).append(each)
    at = {place.name: place for place in room.places}
    allowed = dict(budgets)
    spare = {pool.name: pool.ready - pool.min for pool in pools}
    unneeded: list[Host] = []
    needed: dict[str, str] = {}

    def order(host: Host) -> tuple[bool, float, float, str]:
        # Who was unneeded stays it, else two that are alike would take turns; then the dearest of the idle ones.
        return (host.unneeded is None, _utilization(at[host.name]), -known[host.pool].price, host.name)

    for host in sorted((each for each in hosts if each.name in at and each.pool in known), key=order):
        pool, place = known[host.pool], at[host.name]
        inside = sorted([*host.instances, *coming.get(host.name, ())], key=_rank)
        held = next((f"{each.key}: {each.stays}" for each in inside if each.stays), "")
        counts = collections.Counter(each.budget for each in host.instances if each.budget)
        if not pool.budget:
            why = "scale-down is off"
        elif spare[pool.name] <= 0:
            why = f"the pool keeps {pool.min}"
        elif host.stays or held:
            why = host.stays or held
        elif (used := _utilization(place)) >= pool.utilization and inside:
            why = f"{used:.0%} of it is requested"
        elif over := [name for name, count in counts.items() if count > allowed.get(name, 0)]:
            why = f"the disruption budget {over[0]} does not allow it"
        elif (stuck := room.move(place, inside)) is not None:
            why = f"{stuck.key} fits on no other host"
        else:
            spare[pool.name] -= 1
            for name, count in counts.items():
                allowed[name] -= count
            unneeded.append(host)
            continue
        needed[host.name] = why
    going: list[str] = []
    leaving = {pool.name: pool.leaving for pool in pools}
    for host in unneeded:
        pool = known[host.pool]
        if host.unneeded is not None and host.unneeded >= pool.unneeded_seconds and leaving[pool.name] < pool.budget:
            leaving[pool.name] += 1
            going.append(host.name)
    return Shrinkage(unneeded=frozenset(each.name for each in unneeded), go=going, needed=needed)


class _Shapes:
    """What counts of an ask when it is asked whether it fits: the same for most members of most Units."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[scheduling.Ask, str]] = {}

    def of(self, ask: scheduling.Ask) -> str:
        """A text that is the same for asks that fit on the same places."""
        known = self._known.get(id(ask))
        if known is None:
            # Which Unit it is of, and its images, are matters of preference.
            text = repr(dataclasses.replace(ask, group="", images=()))
            # The ask is kept, so that no other one gets its id.
            known = self._known[id(ask)] = (ask, text)
        return known[1]


class _Room:
    """Places that are filled first fit. They only get fuller, so what did not fit is not asked of them again."""

    def __init__(self, places: list[scheduling.Place], shapes: _Shapes) -> None:
        self.places = places
        self._shapes = shapes
        # By what is asked: how many of the first places are known to be of no use.
        self._tried: dict[str, int] = {}

    def take(self, ask: scheduling.Ask) -> scheduling.Place | None:
        """The place that an ask got."""
        shape = self._shapes.of(ask)
        for index in range(self._tried.get(shape, 0), len(self.places)):
            place = self.places[index]
            if not scheduling.obstacles(ask, place):
                place.take(ask)
                self._tried[shape] = index
                return place
        self._tried[shape] = len(self.places)
        return None

    def move(self, place: scheduling.Place, instances: Sequence[Instance]) -> Instance | None:
        """Take a place away and put its instances elsewhere; who finds none, when all stays as it was."""
        before, self.places = self.places, [each for each in self.places if each is not place]
        tried, self._tried = self._tried, {}
        moved: list[tuple[scheduling.Place, scheduling.Ask]] = []
        for each in instances:
            found = self.take(each.ask)
            if found is None:
                for other, ask in moved:
                    other.take(ask, sign=-1)
                self.places, self._tried = before, tried
                return each
            moved.append((found, each.ask))
        return None


def _best(
    rest: Sequence[Instance], pools: Sequence[Pool], left: Mapping[str, int], shapes: _Shapes
) -> tuple[Pool, int] | None:
    """Of the lowest order that helps anybody the pool that does it for the least money, and how many hosts of it."""
    best: tuple[tuple[float, int, str], tuple[Pool, int]] | None = None
    for order in sorted({pool.order for pool in pools if left[pool.name] > 0}):
        for pool in pools:
            if pool.order != order or left[pool.name] <= 0:
                continue
            hosts, helped = _pack(rest, pool, left[pool.name], shapes)
            if not hosts:
                continue
            rank = (pool.price * hosts / helped, hosts, pool.name)
            if best is None or rank < best[0]:
                best = (rank, (pool, hosts))
        if best is not None:
            return best[1]
    return None


def _pack(rest: Sequence[Instance], pool: Pool, most: int, shapes: _Shapes) -> tuple[int, int]:
    """How many new hosts of a pool take how many instances."""
    room = _Room([], shapes)
    helped = 0
    hopeless: set[str] = set()
    for each in rest:
        if room.take(each.ask) is not None:
            helped += 1
            continue
        shape = shapes.of(each.ask)
        if len(room.places) < most and shape not in hopeless:
            fresh = host_of(pool, f"{pool.name}/{len(room.places)}")
            if not scheduling.obstacles(each.ask, fresh):
                fresh.take(each.ask)
                room.places.append(fresh)
                helped += 1
                continue
            hopeless.add(shape)
    return len(room.places), helped


def _utilization(place: scheduling.Place) -> float:
    return max((place.used.get(name, 0) / place.offers[name] for name in _USED_OF if place.offers.get(name)), default=0)


def _rank(instance: Instance) -> tuple[int, int, int, str]:
    """The most important first, then the largest."""
    requests = instance.ask.requests
    return (-instance.priority, -requests.get("cpu", 0), -requests.get("memory", 0), instance.key)


def _copy(place: scheduling.Place) -> scheduling.Place:
    """One that can be filled without filling the other."""
    fields = [(each.name, getattr(place, each.name)) for each in dataclasses.fields(place)]
    copies: dict[str, Any] = {name: value.copy() for name, value in fields if isinstance(value, dict)}
    return dataclasses.replace(place, **copies)
