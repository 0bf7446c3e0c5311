"""What an object counts for against quotas, by Kubernetes' rules (core/v1 ResourceQuota).

Amounts are whole numbers: CPU in thousandths of a core, everything else in bytes or pieces.
"""

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from boxfleet.api import kind as kinds
from boxfleet.api import pod_defaults
from boxfleet.kit import quantity

Amounts = dict[str, int]
Json = dict[str, Any]

# Counted by their plain names, too.
_PLAIN = frozenset({"configmaps", "secrets", "services", "resourcequotas", "replicationcontrollers"})
# A request for these is what the short name means.
_SHORT = ("cpu", "memory", "ephemeral-storage")
_BYTES = ("memory", "storage", "ephemeral-storage")
_FINAL = ("Succeeded", "Failed")


@functools.lru_cache(maxsize=4096)
def amount(name: str, text: str) -> int:
    """A quantity of a resource as a whole number."""
    return quantity.milli(text) if name.endswith("cpu") else quantity.whole(text)


@functools.lru_cache(maxsize=4096)
def text_of(name: str, value: int) -> str:
    """An amount as a quantity."""
    if name.endswith("cpu"):
        return quantity.canonical(f"{value}m")
    return quantity.from_bytes(value) if name.endswith(_BYTES) or "hugepages-" in name else quantity.canonical(value)


def of(kind: kinds.Kind, obj: Json) -> Amounts:
    """What an object counts for."""
    found = {f"count/{kind.qualified}": 1}
    if kind.group:
        return found
    if kind.plural == "pods":
        found.update(of_pod(obj))
    elif kind.plural == "persistentvolumeclaims":
        found.update(of_claim(obj))
    elif kind.plural in _PLAIN:
        found[kind.plural] = 1
    return found


def of_pod(obj: Json) -> Amounts:
    """A Pod's requests and limits, while it has not ended."""
    if is_final(obj):
        return {}
    spec = obj.get("spec") or {}
    found = {"pods": 1}
    requests, limits = (of_containers(spec, part) for part in ("requests", "limits"))
    for name, value in requests.items():
        if name in _SHORT or name.startswith("hugepages-"):
            found[name] = value
        found[f"requests.{name}"] = value
    for name, value in limits.items():
        if name in _SHORT:
            found[f"limits.{name}"] = value
    return found


def of_claim(obj: Json) -> Amounts:
    """A claim's storage, in all and by its class."""
    spec = obj.get("spec") or {}
    found = {"persistentvolumeclaims": 1}
    asked = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    size = amount("storage", str(asked)) if asked is not None else 0
    found["requests.storage"] = size
    if name := spec.get("storageClassName"):
        found[f"{name}.storageclass.storage.k8s.io/persistentvolumeclaims"] = 1
        found[f"{name}.storageclass.storage.k8s.io/requests.storage"] = size
    return found


def is_final(pod: Json) -> bool:
    """Whether a Pod has ended, and asks for nothing any more."""
    return (pod.get("status") or {}).get("phase") in _FINAL


def of_containers(spec: Json, part: str) -> Amounts:
    """The requests or limits of a Pod: of all that run at once, or of the largest that runs before."""
    total = _sum(_resources(each, part) for each in spec.get("containers") or ())
    sidecars: Amounts = {}
    largest: Amounts = {}
    for each in spec.get("initContainers") or ():
        own = _resources(each, part)
        if each.get("restartPolicy") == "Always":
            sidecars = _sum((sidecars, own))
            own = {}
        for name, value in _sum((sidecars, own)).items():
            largest[name] = max(largest.get(name, 0), value)
    total = _sum((total, sidecars))
    for name, value in largest.items():
        total[name] = max(total.get(name, 0), value)
    for name, text in (spec.get("overhead") or {}).items():
        if part == "requests" or name in total:
            total[name] = total.get(name, 0) + amount(name, str(text))
    return total


def quality(pod: Json) -> str:
    """The Pod's quality of service class."""
    return (pod.get("status") or {}).get("qosClass") or pod_defaults.qos_class(pod.get("spec") or {})


def less(after: Mapping[str, int], before: Mapping[str, int]) -> Amounts:
    """What has to be added to one to have the other; nothing of what is the same."""
    return {
        name: change for name in after.keys() | before.keys() if (change := after.get(name, 0) - before.get(name, 0))
    }


def total(many: Iterable[Mapping[str, int]]) -> Amounts:
    """All together."""
    return _sum(many)


def _resources(container: Json, part: str) -> Amounts:
    resources = container.get("resources") or {}
    return {name: amount(name, str(text)) for name, text in (resources.get(part) or {}).items()}


def _sum(many: Iterable[Mapping[str, int]]) -> Amounts:
    result: Amounts = {}
    for each in many:
        for name, value in each.items():
            result[name] = result.get(name, 0) + value
    return result
