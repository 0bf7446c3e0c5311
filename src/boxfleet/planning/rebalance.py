"""Which running instances should be on other hosts, by what hosts really use.

Gentle: few moves, one of each Unit at a time, only such as make the busiest host less busy, or empty a whole host.
"""

import copy
import dataclasses
import datetime
from collections.abc import Collection, Mapping, Sequence

from boxfleet.api import meta, rebalance
from boxfleet.planning import resources, scheduling

_USED = ("cpu", "memory")
# Part of a host's capacity by which a move has to lower the busier of the two: less is not worth a restart.
_WORTH = 0.02
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclasses.dataclass(slots=True, kw_only=True)
class Guest:
    """An instance on a host. `held` says why it may not be moved now; empty when it may."""

    key: meta.Key
    unit: meta.Key
    ask: scheduling.Ask
    use: Mapping[str, float]
    held: str = ""


@dataclasses.dataclass(slots=True, kw_only=True)
class Host:
    """A host with what it really uses (CPU in thousandths, memory in bytes)."""

    place: scheduling.Place
    use: dict[str, float]
    guests: list[Guest]
    # New instances are kept off it already: it is being emptied.
    avoided: bool = False

    @property
    def name(self) -> str:
        """The node's name."""
        return self.place.name

    @property
    def load(self) -> float:
        """The part in use of what is used most, 0 to 1 and beyond."""
        return self.with_more({})

    def with_more(self, use: Mapping[str, float], *, sign: int = 1) -> float:
        """The load with an instance more, or less."""
        parts = [
            (self.use.get(name, 0.0) + sign * use.get(name, 0.0)) / self.place.offers[name]
            for name in _USED
            if self.place.offers.get(name)
        ]
        return max(parts, default=0.0)

    @property
    def requested(self) -> float:
        """The part that is set aside of what most is set aside of."""
        offers, used = self.place.offers, self.place.used
        return max((used.get(name, 0) / offers[name] for name in _USED if offers.get(name)), default=0.0)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One instance from a host to a better one."""

    key: meta.Key
    unit: meta.Key
    source: str
    target: str
    why: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Moves in their order, and the hosts that new instances should avoid meanwhile."""

    moves: Sequence[Move]
    # Busy ones, or those that are being emptied.
    avoid: Collection[str] = ()
    # Instances that would have been moved, and why they are not, by `NAMESPACE/NAME`.
    held: Mapping[str, str] = dataclasses.field(default_factory=dict)


def plan(policy: rebalance.Rebalance, hosts: Collection[Host], *, limit: int) -> Plan:
    """At most so many moves from how things are. Hosts are not changed."""
    if policy.mode is rebalance.Mode.OFF or len(hosts) < 2:
        return Plan(moves=())
    mine = sorted((copy.deepcopy(each) for each in hosts), key=lambda each: each.name)
    if policy.mode is rebalance.Mode.CONSOLIDATE:
        return _consolidate(policy, mine, limit=limit)
    return _even(policy, mine, limit=limit)


def is_open(policy: rebalance.Rebalance, now: datetime.datetime) -> bool:
    """Whether instances may be moved at this time (UTC)."""
    if not policy.windows:
        return True
    for window in policy.windows:
        hour, minute = map(int, window.start.split(":"))
        for back in (0, 1):
            day = now.date() - datetime.timedelta(days=back)
            if window.days and _DAYS[day.weekday()] not in window.days:
                continue
            start = datetime.datetime.combine(day, datetime.time(hour, minute), datetime.UTC)
            if start <= now < start + datetime.timedelta(minutes=window.minutes):
                return True
    return False


def _even(policy: rebalance.Rebalance, hosts: list[Host], *, limit: int) -> Plan:
    busy, spread = policy.busyPercent / 100, policy.spreadPercent / 100
    avoid = {each.name for each in hosts if _is_above(each, hosts, busy=busy, spread=spread)}
    moves: list[Move] = []
    held: dict[str, str] = {}
    moved: set[meta.Key] = set()
    while len(moves) < limit:
        source = max(hosts, key=lambda each: (each.load, each.name))
        if not _is_above(source, hosts, busy=busy, spread=spread):
            break
        best: tuple[float, str, str] | None = None
        chosen: tuple[Guest, Host] | None = None
        for guest in source.guests:
            if guest.held or guest.unit in moved:
                held[str(guest.key)] = guest.held or "another instance of its Unit is moved first"
                continue
            for target in hosts:
                if target is source or target.name in avoid or scheduling.obstacles(guest.ask, target.place):
                    continue
                after = max(source.with_more(guest.use, sign=-1), target.with_more(guest.use))
                if after > source.load - _WORTH or target.with_more(guest.use) >= busy:
                    continue
                rank = (after, str(guest.key), target.name)
                if best is None or rank < best:
                    best, chosen = rank, (guest, target)
        if chosen is None:
            break
        guest, target = chosen
        why = f"{source.name} is {source.load:.0%} in use, {target.name} {target.load:.0%}"
        moves.append(Move(key=guest.key, unit=guest.unit, source=source.name, target=target.name, why=why))
        moved.add(guest.unit)
        _shift(guest, source, target)
    gone = {str(each.key) for each in moves}
    return Plan(moves=moves, avoid=avoid, held={key: why for key, why in held.items() if key not in gone})


def _is_above(host: Host, hosts: Collection[Host], *, busy: float, spread: float) -> bool:
    lowest = min(each.load for each in hosts)
    # A difference counts only from where it is felt: nobody is moved between two hosts that both have nothing to do.
    return host.load >= busy or (host.load - lowest > spread and host.load >= busy / 2)


def _consolidate(policy: rebalance.Rebalance, hosts: list[Host], *, limit: int) -> Plan:
    busy, idle = policy.busyPercent / 100, policy.idlePercent / 100
    moves: list[Move] = []
    held: dict[str, str] = {}
    avoid: set[str] = set()
    # What is being emptied goes on being emptied: else two hosts would hand each other their instances for ever.
    open_hosts = [each for each in hosts if not each.place.unschedulable]
    for source in sorted(open_hosts, key=lambda each: (not each.avoided, each.requested, each.name)):
        if source.requested >= idle or source.name in {each.target for each in moves}:
            continue
        if not source.guests:
            if len(open_hosts) - len(avoid) > 1:
                avoid.add(source.name)
            continue
        others = [each for each in open_hosts if each is not source and each.name not in avoid]
        found = _emptied(source, others, busy=busy)
        if isinstance(found, dict):
            held |= found
            continue
        avoid.add(source.name)
        moves += found
    taken: list[Move] = []
    units: set[meta.Key] = set()
    for move in moves:
        if move.unit not in units and len(taken) < limit:
            taken.append(move)
            units.add(move.unit)
    return Plan(moves=taken, avoid=avoid, held=held)


def _emptied(source: Host, others: list[Host], *, busy: float) -> list[Move] | dict[str, str]:
    """The moves that empty a host, carried out on `others`; or which instance is in the way, and why."""
    trial = {each.name: copy.deepcopy(each) for each in others if each.guests}
    moves = []
    for guest in sorted(source.guests, key=lambda each: (-sum(each.ask.requests.values()), str(each.key))):
        if guest.held:
            return {str(guest.key): guest.held}
        fitting = [
            each
            for each in trial.values()
            if not scheduling.obstacles(guest.ask, each.place) and each.with_more(guest.use) < busy
        ]
        if not fitting:
            return {str(guest.key): "no other host that is in use has room for it"}
        # Into the fullest that takes it: the others may be emptied too.
        target = max(fitting, key=lambda each: (each.requested, each.name))
        why = f"{source.name} has only {source.requested:.0%} of it asked for, and can be emptied"
        moves.append(Move(key=guest.key, unit=guest.unit, source=source.name, target=target.name, why=why))
        _shift(guest, source, target, leave=False)
    for each in others:
        if each.name in trial:
            each.place, each.use, each.guests = (
                trial[each.name].place,
                trial[each.name].use,
                trial[each.name].guests,
            )
    return moves


def _shift(guest: Guest, source: Host, target: Host, *, leave: bool = True) -> None:
    if leave:
        source.guests.remove(guest)
        source.place.take(guest.ask, sign=-1)
        for name, amount in guest.use.items():
            source.use[name] = source.use.get(name, 0.0) - amount
    target.guests.append(guest)
    target.place.take(guest.ask)
    for name, amount in guest.use.items():
        target.use[name] = target.use.get(name, 0.0) + amount


def describe(hosts: Collection[Host]) -> list[str]:
    """One line for each host."""
    return [
        f"{each.name}: {each.load:.0%} in use, {each.requested:.0%} asked for, {len(each.guests)} instances, "
        f"memory {resources.text_of('memory', int(each.use.get('memory', 0)))}"
        for each in sorted(hosts, key=lambda one: one.name)
    ]
