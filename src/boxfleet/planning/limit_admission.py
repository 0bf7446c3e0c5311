"""Pods and claims beside the LimitRanges of their Namespace: what they ask for by default, and may ask for."""

from collections.abc import Iterator
from typing import Any

from boxfleet.api import admission, kind, limit_range, pod_defaults
from boxfleet.kit import quantity
from boxfleet.planning import usage

Json = dict[str, Any]

_ANNOTATION = "kubernetes.io/limit-ranger"


def default(new: kind.JsonObject, old: kind.JsonObject | None, look: admission.Look) -> None:
    """Give a new Pod's containers the requests and limits that they leave out."""
    if old is not None:
        return
    notes: list[str] = []
    for found in _of(new, look):
        items = [each for each in (found.get("spec") or {}).get("limits") or () if each.get("type") == "Container"]
        for item in items:
            notes += _fill(new.get("spec") or {}, item)
    if notes:
        annotations = new["metadata"].get("annotations") or {}
        new["metadata"]["annotations"] = annotations | {_ANNOTATION: f"LimitRanger plugin set: {'; '.join(notes)}"}
        status = new.setdefault("status", {})
        status["qosClass"] = pod_defaults.qos_class(new.get("spec") or {})


def refuse_pod(new: kind.JsonObject, old: kind.JsonObject | None, look: admission.Look) -> str:
    """Why a new Pod may not be; one that is there stays."""
    if old is not None:
        return ""
    spec = new.get("spec") or {}
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    found: list[str] = []
    for limits in _of(new, look):
        for item in (limits.get("spec") or {}).get("limits") or ():
            if item.get("type") == "Container":
                for each in containers:
                    resources = each.get("resources") or {}
                    found += _beyond(item, _amounts(resources.get("requests")), _amounts(resources.get("limits")))
            elif item.get("type") == "Pod":
                found += _beyond(item, usage.of_containers(spec, "requests"), usage.of_containers(spec, "limits"))
    return _joined(found)


def refuse_claim(new: kind.JsonObject, old: kind.JsonObject | None, look: admission.Look) -> str:
    """Why a claim may not ask for that much, or that little."""
    if old is not None and _storage(old) == _storage(new):
        return ""
    found: list[str] = []
    for limits in _of(new, look):
        for item in (limits.get("spec") or {}).get("limits") or ():
            if item.get("type") == "PersistentVolumeClaim":
                found += _beyond_storage(item, _storage(new))
    return _joined(found)


def _of(obj: Json, look: admission.Look) -> Iterator[Json]:
    return look.raw(limit_range.LimitRange, namespace=obj["metadata"]["namespace"])


def _fill(spec: Json, item: Json) -> Iterator[str]:
    wanted = (("requests", item.get("defaultRequest") or {}), ("limits", item.get("default") or {}))
    for list_, word in (("containers", "container"), ("initContainers", "init container")):
        for container in spec.get(list_) or ():
            for part, defaults in wanted:
                given = (container.get("resources") or {}).get(part) or {}
                missing = {name: value for name, value in defaults.items() if name not in given}
                if missing:
                    container["resources"] = {**(container.get("resources") or {}), part: given | missing}
                    names = ", ".join(sorted(missing))
                    yield f"{names} {part.removesuffix('s')} for {word} {container.get('name', '')}"


def _beyond(item: Json, requests: usage.Amounts, limits: usage.Amounts) -> Iterator[str]:
    """What is below the least, above the most, or too far apart, in Kubernetes' words."""
    sort = item.get("type", "")
    for name, least in (item.get("min") or {}).items():
        floor = usage.amount(name, str(least))
        start = f"minimum {name} usage per {sort} is {least}"
        if name not in requests:
            yield f"{start}.  No request is specified"
        elif requests[name] < floor:
            yield f"{start}, but request is {usage.text_of(name, requests[name])}"
        elif name in limits and limits[name] < floor:
            yield f"{start}, but limit is {usage.text_of(name, limits[name])}"
    for name, most in (item.get("max") or {}).items():
        ceiling = usage.amount(name, str(most))
        start = f"maximum {name} usage per {sort} is {most}"
        if name not in limits:
            yield f"{start}.  No limit is specified"
        elif limits[name] > ceiling:
            yield f"{start}, but limit is {usage.text_of(name, limits[name])}"
        elif requests.get(name, 0) > ceiling:
            yield f"{start}, but request is {usage.text_of(name, requests[name])}"
    for name, ratio in (item.get("maxLimitRequestRatio") or {}).items():
        start = f"{name} max limit to request ratio per {sort} is {ratio}"
        if not requests.get(name):
            yield f"{start}, but no request is specified or request is 0"
        elif not limits.get(name):
            yield f"{start}, but no limit is specified or limit is 0"
        elif limits[name] > quantity.parse(ratio) * requests[name]:
            yield f"{start}, but provided ratio is {limits[name] / requests[name]:f}"


def _beyond_storage(item: Json, size: int | None) -> Iterator[str]:
    for key, word in (("min", "minimum"), ("max", "maximum")):
        bound = (item.get(key) or {}).get("storage")
        if bound is None:
            continue
        start = f"{word} storage usage per PersistentVolumeClaim is {bound}"
        edge = usage.amount("storage", str(bound))
        if size is None:
            yield f"{start}.  No request is specified"
        elif (size < edge) if key == "min" else (size > edge):
            yield f"{start}, but request is {usage.text_of('storage', size)}"


def _storage(claim: Json) -> int | None:
    asked = (((claim.get("spec") or {}).get("resources") or {}).get("requests") or {}).get("storage")
    return usage.amount("storage", str(asked)) if asked is not None else None


def _amounts(given: Json | None) -> usage.Amounts:
    return {name: usage.amount(name, str(text)) for name, text in (given or {}).items()}


def _joined(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]" if texts else ""
