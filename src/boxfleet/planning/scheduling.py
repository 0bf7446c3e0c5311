"""The engine that picks a place: a node for an instance, a cluster for a share.

A place is anything with free amounts, labels and taints. Places that cannot take the ask are counted by reason,
the others are scored; equal scores go to the first name, so that the same question has the same answer.
"""

import collections
import dataclasses
from collections.abc import Iterable

from boxfleet.api import labels, node, pod, pod_affinity
from boxfleet.planning import resources, taints

# Weights of the scores, each between 0 and 1.
_WEIGHT_FREE = 1.0
# Members of one Unit stay apart while there is any room elsewhere.
_WEIGHT_SPREAD = 2.0
_WEIGHT_IMAGES = 0.5

Port = tuple[str, str, int]


@dataclasses.dataclass(slots=True, kw_only=True)
class Ask:
    """What an instance needs of its place."""

    requests: resources.Amounts
    ports: tuple[Port, ...] = ()
    selector: dict[str, str] = dataclasses.field(default_factory=dict)
    affinity: pod_affinity.NodeSelector | None = None
    tolerations: tuple[pod_affinity.Toleration, ...] = ()
    images: tuple[str, ...] = ()
    # Instances with the same group are spread.
    group: str = ""
    # Only places of this cluster, unless empty.
    cluster: str = ""
    # Only this place, because its storage is there, unless empty.
    pinned: str = ""


@dataclasses.dataclass(slots=True, kw_only=True)
class Place:
    """A node or a cluster with what is used of it."""

    name: str
    labels: dict[str, str] = dataclasses.field(default_factory=dict)
    taints: tuple[node.Taint, ...] = ()
    unschedulable: bool = False
    ready: bool = True
    cluster: str = ""
    offers: resources.Amounts = dataclasses.field(default_factory=dict)
    used: resources.Amounts = dataclasses.field(default_factory=dict)
    ports: collections.Counter[Port] = dataclasses.field(default_factory=collections.Counter)
    images: frozenset[str] = frozenset()
    groups: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)

    def take(self, ask: Ask, *, sign: int = 1) -> None:
        """Count an instance as running here; sign -1 takes it back."""
        resources.add(self.used, ask.requests, sign=sign)
        for port in ask.ports:
            self.ports[port] += sign
        if ask.group:
            self.groups[ask.group] += sign


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """The place, or empty and why none will do."""

    place: str
    why_not: str = ""


def ask_of(subject: pod.Pod, *, pinned: str = "") -> Ask:
    """What a Pod needs; raises ValueError when a quantity in it is none."""
    spec = subject.spec
    affinity = spec.affinity.nodeAffinity if spec.affinity else None
    ports = [port for container in spec.containers for port in container.ports]
    unit = subject.metadata.labels.get(labels.UNIT, "")
    return Ask(
        requests=resources.requests_of(spec),
        ports=tuple((p.hostIP or "0.0.0.0", p.protocol, p.hostPort) for p in ports if p.hostPort),  # noqa: S104
        selector=spec.nodeSelector,
        affinity=affinity.requiredDuringSchedulingIgnoredDuringExecution if affinity else None,
        tolerations=tuple(spec.tolerations),
        images=tuple(container.image for container in spec.containers),
        group=f"{subject.metadata.namespace}/{unit}" if unit else "",
        cluster=subject.metadata.labels.get(labels.CLUSTER, ""),
        pinned=pinned,
    )


def choose(ask: Ask, places: Iterable[Place]) -> Choice:
    """The best place for an ask."""
    reasons: collections.Counter[str] = collections.Counter()
    best: tuple[float, str] | None = None
    total = 0
    for place in places:
        total += 1
        if found := obstacles(ask, place):
            reasons.update(found)
            continue
        # The smallest pair wins: highest score first, then the first name.
        rank = (-score(ask, place), place.name)
        if best is None or rank < best:
            best = rank
    if best is not None:
        return Choice(best[1])
    if not total:
        return Choice("", "no nodes are available: start an agent on a host, see `boxfleet doctor`")
    detail = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    return Choice("", f"0/{total} nodes are available: {detail}.")


def obstacles(ask: Ask, place: Place) -> list[str]:
    """Why a place cannot take an ask, in Kubernetes' words; empty when it can."""
    if ask.cluster and place.cluster != ask.cluster:
        return [f"node(s) didn't belong to cluster {ask.cluster}"]
    if ask.pinned and place.name != ask.pinned:
        return [f"node(s) had volume node affinity conflict (the data is on {ask.pinned})"]
    if not _matches(ask, place):
        return ["node(s) didn't match Pod's node affinity/selector"]
    found = []
    if place.unschedulable:
        found.append("node(s) were unschedulable (cordoned)")
    repelled = next((taint for taint in place.taints if not _tolerated(ask, taint)), None)
    if repelled is not None:
        found.append(f"node(s) had untolerated taint {{{repelled.key}: {repelled.value}}}")
    elif not place.ready:
        found.append("node(s) were not ready")
    if any(_taken(port, place.ports) for port in ask.ports):
        wanted = ", ".join(str(port[2]) for port in ask.ports if _taken(port, place.ports))
        found.append(f"node(s) didn't have free ports for the requested pod ports (host port {wanted})")
    for resource, wanted_amount in ask.requests.items():
        free = place.offers.get(resource, 0) - place.used.get(resource, 0)
        if wanted_amount > 0 and wanted_amount > free:
            found.append(_insufficient(resource, wanted_amount, free))
    return found


def score(ask: Ask, place: Place) -> float:
    """How well a place suits: free room after it, few of its own kind, image already there."""
    free = [
        1 - (place.used.get(name, 0) + ask.requests.get(name, 0)) / place.offers[name]
        for name in ("cpu", "memory", "pods")
        if place.offers.get(name)
    ]
    room = sum(free) / len(free) if free else 0.0
    apart = 1 / (1 + place.groups.get(ask.group, 0)) if ask.group else 1.0
    present = sum(1 for image in ask.images if image in place.images) / len(ask.images) if ask.images else 0.0
    return _WEIGHT_FREE * room + _WEIGHT_SPREAD * apart + _WEIGHT_IMAGES * present


def _insufficient(resource: str, wanted: int, free: int) -> str:
    if resource == "pods":
        return "Too many pods"
    asks, has = resources.text_of(resource, wanted), resources.text_of(resource, max(0, free))
    return f"Insufficient {resource} (asks {asks}, free {has})"


def _taken(port: Port, used: collections.Counter[Port]) -> bool:
    """Ports clash when protocol and number are the same and either listens on every address."""
    ip, protocol, number = port
    return any(
        count > 0 and other[1:] == (protocol, number) and (other[0] == ip or "0.0.0.0" in (ip, other[0]))  # noqa: S104
        for other, count in used.items()
    )


def _tolerated(ask: Ask, taint: node.Taint) -> bool:
    if taint.effect == "PreferNoSchedule":
        return True
    return any(taints.tolerates(each, taint) for each in ask.tolerations)


def _matches(ask: Ask, place: Place) -> bool:
    if any(place.labels.get(key) != value for key, value in ask.selector.items()):
        return False
    if ask.affinity is None:
        return True
    # Terms are alternatives; one without expressions matches nothing.
    return any(
        (term.matchExpressions or term.matchFields)
        and all(_holds(each, place.labels) for each in term.matchExpressions)
        and all(_holds(each, {"metadata.name": place.name}) for each in term.matchFields)
        for term in ask.affinity.nodeSelectorTerms
    )


def _holds(rule: pod_affinity.NodeSelectorRequirement, values: dict[str, str]) -> bool:
    value = values.get(rule.key)
    match rule.operator:
        case "In":
            return value in rule.values
        case "NotIn":
            return value not in rule.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            try:
                left, right = int(value or ""), int(rule.values[0])
            except (ValueError, IndexError):
                return False
            return left > right if rule.operator == "Gt" else left < right
    return False
