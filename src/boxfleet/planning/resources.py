"""What instances ask for and what nodes offer, as whole numbers."""

import functools
from collections.abc import Iterable, Mapping

from boxfleet.api import pod
from boxfleet.kit import quantity

# By resource: CPU in thousandths of a core, everything else in whole units (bytes, pieces).
Amounts = dict[str, int]


@functools.lru_cache(maxsize=4096)
def _amount(resource: str, text: str) -> int:
    return quantity.milli(text) if resource == "cpu" else quantity.whole(text)


def amounts(quantities: Mapping[str, str | int]) -> Amounts:
    """Read quantities by resource; raises ValueError on one that is none."""
    return {resource: _amount(resource, str(text)) for resource, text in quantities.items()}


def text_of(resource: str, amount: int) -> str:
    """Write an amount as people do, rounded to what matters."""
    if resource == "cpu":
        return quantity.from_milli(amount)
    if resource == "pods" or amount < 1024:
        return str(amount)
    for suffix, size in (("Ti", 2**40), ("Gi", 2**30), ("Mi", 2**20), ("Ki", 2**10)):
        if amount >= size:
            return f"{amount / size:.1f}".removesuffix(".0") + suffix
    return str(amount)


def exact_text(resource: str, amount: int) -> str:
    """Write an amount as an exact quantity."""
    return quantity.from_milli(amount) if resource == "cpu" else quantity.from_bytes(amount)


def requests_of(spec: pod.PodSpec) -> Amounts:
    """What an instance sets aside on its node.

    By Kubernetes' rule: the sum over containers and sidecars, or the largest init container with the sidecars
    started before it, whichever is more; limits stand in for requests that are not given. One `pods` each.
    """
    containers = spec.containers
    # Nearly always it is one.
    total = _container(containers[0]) if len(containers) == 1 else _sum(map(_container, containers))
    if spec.initContainers:
        _start(spec.initContainers, total)
    total["pods"] = 1
    return total


def limits_of(spec: pod.PodSpec) -> Amounts:
    """What an instance may come to use of CPU and memory; nothing where a container has no limit."""
    found: Amounts = {}
    for resource in ("cpu", "memory"):
        values = [each.resources.limits.get(resource) for each in spec.containers]
        given = [_amount(resource, str(each)) for each in values if each is not None]
        if given and len(given) == len(values):
            found[resource] = sum(given)
    return found


def add(total: Amounts, more: Mapping[str, int], *, sign: int = 1) -> None:
    """Add amounts in place, or take them away with sign -1."""
    for resource, amount in more.items():
        total[resource] = total.get(resource, 0) + sign * amount


def _start(containers: Iterable[pod.Container], total: Amounts) -> None:
    """Take containers into account that are started before the others, in place."""
    sidecars: Amounts = {}
    largest: Amounts = {}
    for each in containers:
        own = _container(each)
        if each.is_sidecar:
            sidecars = _sum((sidecars, own))
            own = {}
        for resource, amount in _sum((sidecars, own)).items():
            largest[resource] = max(largest.get(resource, 0), amount)
    add(total, sidecars)
    for resource, amount in largest.items():
        total[resource] = max(total.get(resource, 0), amount)


def _container(container: pod.Container) -> Amounts:
    asked = container.resources
    return amounts({**asked.limits, **asked.requests} if asked.limits else asked.requests)


def _sum(many: Iterable[Mapping[str, int]]) -> Amounts:
    total: Amounts = {}
    for each in many:
        add(total, each)
    return total
