"""Level one: which Cluster runs which instances of a Unit, and why.

Rules rule Clusters out, scores order those that are left, equal scores go to the first name: the same question has the
same answer. An instance stays where it is while it may.
"""

import collections
import dataclasses
from collections.abc import Collection, Mapping, Sequence

from boxfleet.api import node, placement, placement_policy
from boxfleet.planning import disruption, instances, resources, taints

_WEIGHT_PREFERENCE = 4.0
_WEIGHT_ROOM = 1.0
# Units of one Box stay together while their Clusters have room: they speak to each other most.
_WEIGHT_TOGETHER = 8.0
# What a score has to gain before an instance that runs is moved: about half of what a preference can give.
_MUCH_BETTER = 2.0
_NEARER = 1e-6
_ROOM_OF = ("cpu", "memory", "pods")


@dataclasses.dataclass(slots=True, kw_only=True)
class Candidate:
    """A Cluster as level one sees it for one Unit."""

    name: str
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    taints: Sequence[node.Taint] = ()
    unschedulable: bool = False
    # It is being deleted and gives up what it runs.
    going: bool = False
    # Why it does not answer or has no host that is ready, and for how long (seconds); empty when all is well.
    fault: str = ""
    lost: float = 0.0
    # Why instances of this Namespace may not run there; empty when they may.
    closed: str = ""
    # What its hosts have for instances; empty where its owner does not say: then it is tried.
    offers: resources.Amounts = dataclasses.field(default_factory=dict)
    used: resources.Amounts = dataclasses.field(default_factory=dict)
    cost: float = 0.0
    # Seconds.
    latency: float = 0.0
    # Short names of the Units of the same Box that have instances there.
    peers: frozenset[str] = frozenset()
    # Whether instances on one of its hosts can share memory, and what Units of the Namespace provide there (ipc/NAME).
    shares: bool = True
    provided: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a Unit asks of its Clusters."""

    replicas: int
    requests: resources.Amounts
    policy: placement_policy.PlacementPolicy
    # It has claims: its instances stay with their data.
    keeps_data: bool = False
    # Units of its Box that it must not meet, whichever of the two says so.
    apart: frozenset[str] = frozenset()
    # Units near which it is to be that are placed before it.
    first: frozenset[str] = frozenset()
    # It provides or consumes memory on its hosts; what it consumes, and by name which Units would provide it, in words.
    shares: bool = False
    consumes: tuple[str, ...] = ()
    providers: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found about one Cluster; a score with its parts where nothing rules it out."""

    cluster: str
    obstacles: Sequence[str] = ()
    score: float = 0.0
    parts: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """Ordinals by Cluster, and what led there.

    `verdicts` are from before the first new instance was placed; `retry` is in how many seconds a lost Cluster's
    instances may move, if nothing else changes.
    """

    shares: Mapping[str, list[int]]
    verdicts: Sequence[Verdict]
    waiting: Sequence[int] = ()
    retry: float | None = None

    @property
    def why_not(self) -> str:
        """Why instances wait; empty when none does."""
        if not self.waiting:
            return ""
        if not self.verdicts:
            return "there is no Cluster: start an agent with `boxfleet up`, or join one with `boxfleet cluster join`"
        said = "; ".join(f"{each.cluster}: {', '.join(each.obstacles)}" for each in self.verdicts if each.obstacles)
        return f"0/{len(self.verdicts)} clusters are available: {said or 'those that would do are full'}"


def divide(wish: Wish, *, placed: Mapping[str, Collection[int]], clusters: Collection[Candidate]) -> Division:
    """Ordinals by Cluster.

    Those that have to leave stay where they are as long as no other Cluster takes them. Where only room is missing, or
    no Cluster answers, new ones go to the best of these: there the instance says what it waits for, and an autoscaler
    sees it.
    """
    known = {each.name: each for each in clusters}
    ordered = sorted(clusters, key=lambda each: each.name)
    shares: dict[str, list[int]] = {}
    homeless = set(range(wish.replicas))
    leaving: dict[int, str] = {}
    retry: float | None = None
    for name, ordinals in sorted(placed.items()):
        # A crash between two writes may leave an ordinal in two shares: the first one keeps it.
        mine = sorted(homeless.intersection(ordinals))
        shares[name] = mine
        homeless.difference_update(ordinals)
        at = known.get(name)
        if at is None:
            shares[name] = []
            homeless.update(mine)
        elif must_leave(wish, at) or _left_alone(wish, at, ordered):
            leaving |= dict.fromkeys(mine, name)
        elif mine and (wait := _until_lost(wish, at)) is not None:
            retry = wait if retry is None else min(retry, wait)
    counts = collections.Counter({name: len(ordinals) for name, ordinals in shares.items()})
    counts.subtract(leaving.values())
    verdicts = judge(wish, ordered, counts=counts)
    used = {each.name: dict(each.used) for each in ordered}
    picks: dict[int, str] = {}
    waiting: list[int] = []
    for ordinal in sorted(homeless | leaving.keys()):
        chosen = _choose(wish, ordered, counts=counts, used=used, may_wait=ordinal in leaving)
        if not chosen:
            if ordinal not in leaving:
                waiting.append(ordinal)
            continue
        picks[ordinal] = chosen
        counts[chosen] += 1
        resources.add(used[chosen], wish.requests)
    for ordinal, name in _in_blocks(picks).items():
        if ordinal in leaving:
            shares[leaving[ordinal]].remove(ordinal)
        shares.setdefault(name, []).append(ordinal)
    divided = {name: sorted(ordinals) for name, ordinals in shares.items()}
    return Division(shares=divided, verdicts=verdicts, waiting=waiting, retry=retry)


def drift(wish: Wish, *, placed: Mapping[str, Collection[int]], clusters: Collection[Candidate]) -> Division | None:
    """The division with one instance moved to where it would be much better off; None where none would.

    What is compared is the place that the instance has, without it, and the best other one: so a move that was made is
    not taken back by the next look.
    """
    if wish.keeps_data:
        return None
    known = {each.name: each for each in clusters}
    ordered = sorted(clusters, key=lambda each: each.name)
    best: tuple[float, str, str] | None = None
    for name, ordinals in sorted(placed.items()):
        if not ordinals or name not in known:
            continue
        counts = collections.Counter({other: len(found) for other, found in placed.items()})
        counts[name] -= 1
        without = dict(known[name].used)
        resources.add(without, wish.requests, sign=-1)
        places = [dataclasses.replace(each, used=without) if each.name == name else each for each in ordered]
        verdicts = {each.cluster: each for each in judge(wish, places, counts=counts)}
        here = verdicts[name]
        for other, there in verdicts.items():
            if other == name or there.obstacles:
                continue
            gain = there.score - here.score if not here.obstacles else _MUCH_BETTER
            if gain >= (_NEARER if wish.policy.weights else _MUCH_BETTER):
                rank = (-gain, name, other)
                best = rank if best is None else min(best, rank)
    if best is None:
        return None
    _, source, target = best
    shares = {name: sorted(ordinals) for name, ordinals in placed.items()}
    # The last one: the others keep their row without gaps.
    moved = shares[source].pop()
    shares[target] = sorted([*shares.get(target, []), moved])
    return Division(shares=shares, verdicts=judge(wish, ordered, counts=collections.Counter()))


def must_leave(wish: Wish, at: Candidate) -> bool:
    """Whether instances that are there have to go elsewhere as soon as somebody takes them."""
    if at.going or _rules(wish, at):
        return True
    if any(taint.effect == "NoExecute" and not _tolerated(wish, taint) for taint in at.taints):
        return True
    failover = wish.policy.failover
    return bool(at.fault) and failover.enabled and not wish.keeps_data and at.lost >= failover.afterSeconds


def judge(wish: Wish, clusters: Sequence[Candidate], *, counts: Mapping[str, int]) -> list[Verdict]:
    """What speaks against each Cluster, or how well it suits; `counts` are the Unit's instances by Cluster."""
    used = {each.name: each.used for each in clusters}
    found = []
    for each in clusters:
        obstacles = _obstacles(wish, each, clusters, counts=counts, used=used)
        if obstacles:
            found.append(Verdict(cluster=each.name, obstacles=obstacles))
            continue
        parts = _parts(wish, each, clusters, counts=counts, used=used)
        found.append(Verdict(cluster=each.name, score=sum(parts.values()), parts=parts))
    return found


def status_of(share: placement.Placement, existing: Collection[instances.Instance]) -> placement.PlacementStatus:
    """How far the instances of a share are."""
    ordinals = frozenset(share.spec.ordinals)
    mine = [each for each in existing if each.ordinal in ordinals and each.cluster in ("", share.spec.cluster)]
    return placement.PlacementStatus(
        observedGeneration=share.metadata.generation,
        replicas=len(mine),
        readyReplicas=sum(each.ready for each in mine),
    )


def _until_lost(wish: Wish, at: Candidate) -> float | None:
    """Seconds until the instances of a faulty Cluster may leave it; None when they may not."""
    failover = wish.policy.failover
    if not at.fault or not failover.enabled or wish.keeps_data:
        return None
    return max(0.0, failover.afterSeconds - at.lost)


def _choose(
    wish: Wish,
    clusters: Sequence[Candidate],
    *,
    counts: Mapping[str, int],
    used: Mapping[str, resources.Amounts],
    may_wait: bool,
) -> str:
    best: tuple[bool, bool, float, str] | None = None
    for each in clusters:
        if _placing_obstacles(wish, each, clusters, counts=counts):
            continue
        full = bool(_lack(wish, each, used[each.name]))
        if may_wait and (full or each.fault):
            continue
        value = _room(wish, each, used[each.name])
        if not full:
            value = sum(_parts(wish, each, clusters, counts=counts, used=used).values())
        # The smallest wins: well, with room, highest score, first name.
        rank = (bool(each.fault), full, -value, each.name)
        best = rank if best is None else min(best, rank)
    return best[3] if best is not None else ""


def _in_blocks(picks: Mapping[int, str]) -> dict[int, str]:
    """The same number for each Cluster, but neighbours together: engines number their instances without gaps."""
    counts = collections.Counter(picks.values())
    order = sorted(counts, key=lambda name: min(ordinal for ordinal, chosen in picks.items() if chosen == name))
    names = [name for name in order for _ in range(counts[name])]
    return dict(zip(sorted(picks), names, strict=True))


def _obstacles(
    wish: Wish,
    at: Candidate,
    clusters: Sequence[Candidate],
    *,
    counts: Mapping[str, int],
    used: Mapping[str, resources.Amounts],
) -> list[str]:
    found = _placing_obstacles(wish, at, clusters, counts=counts)
    if at.fault:
        found.append(at.fault)
    return found + _lack(wish, at, used[at.name])


def _placing_obstacles(
    wish: Wish, at: Candidate, clusters: Sequence[Candidate], *, counts: Mapping[str, int]
) -> list[str]:
    """What rules a Cluster out for a new instance, room aside."""
    found = _rules(wish, at)
    if found:
        # What is not meant at all need not be looked at further.
        return found
    if at.going:
        found.append("it is being deleted")
    if at.unschedulable:
        found.append("it is cordoned")
    repelled = [taint for taint in at.taints if taint.effect != "PreferNoSchedule" and not _tolerated(wish, taint)]
    found += [f"untolerated taint {{{taint.key}: {taint.value}}}" for taint in repelled[:1]]
    return (
        found
        + _neighbours(wish, at, clusters)
        + _uncoupled(wish, at, clusters)
        + _skew(wish, at, clusters, counts=counts)
    )


def _rules(wish: Wish, at: Candidate) -> list[str]:
    """What speaks against a Cluster as such, whoever else is there."""
    policy = wish.policy
    if at.closed:
        return [at.closed]
    if policy.clusters and at.name not in policy.clusters:
        return ["placement.clusters does not name it"]
    if policy.clusterSelector is not None and not disruption.matches(policy.clusterSelector, at.labels):
        return ["its labels do not match placement.clusterSelector"]
    if policy.weights and not _weight(wish, at):
        return ["placement.weights gives it no part"]
    if wish.shares and not at.shares:
        return ["its instances can share no memory: only clusters of hosts can"]
    return []


def _neighbours(wish: Wish, at: Candidate, clusters: Sequence[Candidate]) -> list[str]:
    found = [f"it runs Unit {name}, which is to be apart" for name in sorted(wish.apart & at.peers)]
    for name in wish.policy.near:
        if name in at.peers:
            continue
        if any(name in each.peers for each in clusters):
            found.append(f"it does not run Unit {name}, which is to be near")
        elif name in wish.first:
            found.append(f"Unit {name}, which is to be near, is not placed yet")
    return found


def _uncoupled(wish: Wish, at: Candidate, clusters: Sequence[Candidate]) -> list[str]:
    """What it consumes that nobody provides there."""
    found = []
    for name in wish.consumes:
        if name in at.provided:
            continue
        others = [each.name for each in clusters if name in each.provided]
        where = f"it is provided on {', '.join(others)}" if others else wish.providers.get(name, "")
        found.append(f"nobody provides {name} there ({where})")
    return found


def _left_alone(wish: Wish, at: Candidate, clusters: Sequence[Candidate]) -> bool:
    """Whether what it consumes is provided elsewhere only."""
    return any(name not in at.provided and any(name in each.provided for each in clusters) for name in wish.consumes)


def _skew(wish: Wish, at: Candidate, clusters: Sequence[Candidate], *, counts: Mapping[str, int]) -> list[str]:
    found = []
    for rule in wish.policy.spread:
        if rule.whenUnsatisfiable is not placement_policy.WhenUnsatisfiable.DO_NOT_SCHEDULE:
            continue
        own = _domain(rule, at)
        if own is None:
            found.append(f"it has no label {rule.topologyKey}, over which instances are spread")
            continue
        domains = _counted(wish, rule, clusters, counts=counts)
        if domains.get(own, 0) + 1 - min(domains.values(), default=0) > rule.maxSkew:
            what = f"{rule.topologyKey}={own}" if rule.topologyKey else "it"
            found.append(f"{what} has {domains.get(own, 0)} instances, more than maxSkew {rule.maxSkew} allows")
    return found


def _counted(
    wish: Wish, rule: placement_policy.Spread, clusters: Sequence[Candidate], *, counts: Mapping[str, int]
) -> collections.Counter[str]:
    """Instances by domain, those domains left out which nothing could go to."""
    found: collections.Counter[str] = collections.Counter()
    for each in clusters:
        domain = _domain(rule, each)
        if domain is not None and not _rules(wish, each) and not each.fault and not each.going:
            found[domain] += counts.get(each.name, 0)
    return found


def _domain(rule: placement_policy.Spread, at: Candidate) -> str | None:
    return at.labels.get(rule.topologyKey) if rule.topologyKey else at.name


def _lack(wish: Wish, at: Candidate, used: resources.Amounts) -> list[str]:
    if not at.offers:
        return []
    found = []
    for resource, wanted in wish.requests.items():
        free = at.offers.get(resource, 0) - used.get(resource, 0)
        if wanted > 0 and wanted > free:
            asks, has = resources.text_of(resource, wanted), resources.text_of(resource, max(0, free))
            found.append(f"insufficient {resource} (asks {asks}, free {has})")
    return found


def _parts(
    wish: Wish,
    at: Candidate,
    clusters: Sequence[Candidate],
    *,
    counts: Mapping[str, int],
    used: Mapping[str, resources.Amounts],
) -> dict[str, float]:
    """The parts of a Cluster's score; higher is better."""
    if wish.policy.weights:
        # By parts alone: who is furthest below his own comes next.
        return {"part": -(counts.get(at.name, 0) + 1) / _weight(wish, at)}
    room = _room(wish, at, used[at.name])
    parts = {"room": _WEIGHT_ROOM * room}
    match wish.policy.prefer:
        case placement_policy.Preference.FREE:
            parts["free"] = _WEIGHT_PREFERENCE * room
        case placement_policy.Preference.PACKED:
            parts["packed"] = _WEIGHT_PREFERENCE * (1 - room)
        case placement_policy.Preference.CHEAP:
            parts["cheap"] = _WEIGHT_PREFERENCE * _low(at.cost, [each.cost for each in clusters])
        case placement_policy.Preference.NEAR:
            parts["near"] = _WEIGHT_PREFERENCE * _low(at.latency, [each.latency for each in clusters])
    everyone = {name for each in clusters for name in each.peers}
    if everyone:
        parts["together"] = _WEIGHT_TOGETHER * len(at.peers) / len(everyone)
    avoided = sum(taint.effect == "PreferNoSchedule" and not _tolerated(wish, taint) for taint in at.taints)
    if avoided:
        parts["avoided"] = -_WEIGHT_PREFERENCE * avoided
    for rule in wish.policy.spread:
        domains = _counted(wish, rule, clusters, counts=counts)
        most = max(domains.values(), default=0)
        own = _domain(rule, at)
        if own is not None and most:
            # Before everything else: even where it need not be.
            parts["spread"] = parts.get("spread", 0.0) + 2 * _WEIGHT_TOGETHER * (1 - domains[own] / most)
    return parts


def _room(wish: Wish, at: Candidate, used: resources.Amounts) -> float:
    """How much would be free with one more instance, as a part of the whole; a half where that is not known."""
    free = [
        1 - (used.get(name, 0) + wish.requests.get(name, 0)) / at.offers[name]
        for name in _ROOM_OF
        if at.offers.get(name)
    ]
    return max(0.0, sum(free) / len(free)) if free else 0.5


def _low(value: float, all_values: Collection[float]) -> float:
    highest = max(all_values)
    return 1 - value / highest if highest > 0 else 1.0


def _weight(wish: Wish, at: Candidate) -> int:
    return next((each.weight for each in wish.policy.weights if each.cluster == at.name), 0)


def _tolerated(wish: Wish, taint: node.Taint) -> bool:
    return any(taints.tolerates(each, taint) for each in wish.policy.tolerations)
