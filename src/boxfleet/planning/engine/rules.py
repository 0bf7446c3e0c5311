"""The rules of one place and one ask, plainly: what rules a place out, in Kubernetes' words, and what makes it good.

What arrays work out for many places at once (table.py) is held against these by tests, and explanations are theirs.
"""

from collections.abc import Mapping

from boxfleet.api import node, pod_affinity
from boxfleet.planning import resources, taints
from boxfleet.planning.engine import asks, places, policies

EVERY_ADDRESS = "0.0.0.0"  # noqa: S104
# What counts for free room.
ROOM = ("cpu", "memory", "pods")

NOT_SELECTED = "node(s) didn't match Pod's node affinity/selector"
CORDONED = "node(s) were unschedulable (cordoned)"
NOT_READY = "node(s) were not ready"
TROUBLES: dict[asks.Trouble, str] = {
    "spread-label": "node(s) didn't match pod topology spread constraints (missing required label)",
    "spread": "node(s) didn't match pod topology spread constraints",
    "near": "node(s) didn't match pod affinity rules",
    "apart": "node(s) didn't match pod anti-affinity rules",
    "repelled": "node(s) didn't satisfy existing pods anti-affinity rules",
}


def elsewhere(cluster: str) -> str:
    """Why a place of another cluster is none."""
    return f"node(s) didn't belong to cluster {cluster}"


def pinned_elsewhere(name: str) -> str:
    """Why a place without the data is none."""
    return f"node(s) had volume node affinity conflict (the data is on {name})"


def no_provider(name: str) -> str:
    """Why a place where nobody shares this memory is none."""
    return f"node(s) had no ready provider of {name}"


def tainted(taint: node.Taint) -> str:
    """Why a taint keeps away."""
    return f"node(s) had untolerated taint {{{taint.key}: {taint.value}}}"


def ports_taken(numbers: list[int]) -> str:
    """Why host ports keep away."""
    wanted = ", ".join(str(each) for each in numbers)
    return f"node(s) didn't have free ports for the requested pod ports (host port {wanted})"


def insufficient(resource: str, wanted: int, free: int, *, several: bool = False) -> str:
    """Why an amount does not fit; `several` places have this much at most."""
    if resource == "pods":
        return "Too many pods"
    asked, has = resources.text_of(_plain(resource), wanted), resources.text_of(_plain(resource), max(0, free))
    return f"Insufficient {resource} (asks {asked}, free {'at most ' if several else ''}{has})"


def too_few_gpus(wanted: asks.Gpus) -> str:
    """Why devices do not fit."""
    share = "" if wanted.milli == asks.WHOLE else f" of {wanted.milli}/{asks.WHOLE} each"
    models = f" (model {' or '.join(sorted(wanted.models))})" if wanted.models else ""
    return f"Insufficient GPUs (asks {wanted.count}{share}){models}"


def obstacles(ask: asks.Ask, place: places.Place) -> list[str]:
    """Why a place cannot take an ask, as far as the place alone shows; empty when it can."""
    if ask.cluster and place.cluster != ask.cluster:
        return [elsewhere(ask.cluster)]
    if ask.pinned and place.name != ask.pinned:
        return [pinned_elsewhere(ask.pinned)]
    if not selected(ask, place):
        return [NOT_SELECTED]
    if ask.among is not None and (why := ask.among.why_not(place.name)):
        return [why]
    found = []
    if place.unschedulable:
        found.append(CORDONED)
    repelled = untolerated(ask.tolerations, place.taints)
    if repelled is not None:
        found.append(tainted(repelled))
    elif not place.ready:
        found.append(NOT_READY)
    if wanted := [port[2] for port in ask.ports if taken(port, place.ports)]:
        found.append(ports_taken(wanted))
    for resource, amount in ask.requests.items():
        free = place.offers.get(resource, 0) - place.used.get(resource, 0)
        if amount > 0 and amount > free:
            found.append(insufficient(resource, amount, free))
    for resource, amount in ask.limits.items():
        name = places.LIMITS + resource
        if name in place.offers and amount > 0 and amount > (free := place.offers[name] - place.used.get(name, 0)):
            found.append(insufficient(name, amount, free))
    if ask.gpus is not None and not devices_fit(ask.gpus, place.gpu_model, place.gpus):
        found.append(too_few_gpus(ask.gpus))
    return found


def parts(ask: asks.Ask, place: places.Place, policy: policies.Policy) -> dict[str, float]:
    """What a place is good for, each part with its weight, as far as the place alone shows."""
    free = [
        1 - (place.used.get(name, 0) + ask.requests.get(name, 0)) / place.offers[name]
        for name in ROOM
        if place.offers.get(name)
    ]
    return {
        "room": policy.room * (sum(free) / len(free) if free else 0.0),
        "apart": policy.apart * (1 / (1 + place.groups.get(ask.group, 0)) if ask.group else 1.0),
        "images": policy.images * images(ask, place.images),
        "affinity": policy.affinity * liked(ask, place),
        "taints": policy.taints / (1 + disliked(ask.tolerations, place.taints)),
    }


def images(ask: asks.Ask, present: frozenset[str]) -> float:
    """The share of images that are there."""
    return sum(1 for image in ask.images if image in present) / len(ask.images) if ask.images else 0.0


def liked(ask: asks.Ask, place: places.Place) -> float:
    """The share, by weight, of preferred terms that hold."""
    whole = sum(each.weight for each in ask.preferred)
    return sum(each.weight for each in ask.preferred if term_holds(each.preference, place)) / whole if whole else 0.0


def untolerated(tolerations: tuple[pod_affinity.Toleration, ...], many: tuple[node.Taint, ...]) -> node.Taint | None:
    """The first taint that keeps such an instance away."""
    return next(
        (each for each in many if each.effect != "PreferNoSchedule" and not _tolerated(tolerations, each)), None
    )


def disliked(tolerations: tuple[pod_affinity.Toleration, ...], many: tuple[node.Taint, ...]) -> int:
    """How many taints would rather not have such an instance."""
    return sum(1 for each in many if each.effect == "PreferNoSchedule" and not _tolerated(tolerations, each))


def taken(port: asks.Port, used: Mapping[asks.Port, int]) -> bool:
    """Ports clash when protocol and number are the same and either listens on every address."""
    ip, protocol, number = port
    return any(
        count > 0 and other[1:] == (protocol, number) and (other[0] == ip or EVERY_ADDRESS in (ip, other[0]))
        for other, count in used.items()
    )


def devices_fit(wanted: asks.Gpus, model: str, free: tuple[int, ...]) -> bool:
    """Whether so many devices have so much free."""
    if wanted.models and model not in wanted.models:
        return False
    return sum(1 for each in free if each >= wanted.milli) >= wanted.count


def selected(ask: asks.Ask, place: places.Place) -> bool:
    """Whether selector and required affinity mean the place."""
    if any(place.labels.get(key) != value for key, value in ask.selector.items()):
        return False
    # Terms are alternatives.
    return ask.affinity is None or any(term_holds(term, place) for term in ask.affinity.nodeSelectorTerms)


def term_holds(term: pod_affinity.NodeSelectorTerm, place: places.Place) -> bool:
    """Whether all expressions hold; a term without any means nothing."""
    return bool(term.matchExpressions or term.matchFields) and (
        all(holds(each, place.labels.get(each.key)) for each in term.matchExpressions)
        and all(holds(each, field(each.key, place.name)) for each in term.matchFields)
    )


def field(key: str, name: str) -> str | None:
    """The one field of a node that may be asked for."""
    return name if key == "metadata.name" else None


def holds(rule: pod_affinity.NodeSelectorRequirement, value: str | None) -> bool:
    """Whether an expression holds for the value that a place has, or None."""
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


def _tolerated(tolerations: tuple[pod_affinity.Toleration, ...], taint: node.Taint) -> bool:
    return any(taints.tolerates(each, taint) for each in tolerations)


def _plain(resource: str) -> str:
    return resource.removeprefix(places.LIMITS)
