"""ResourceQuotas: which objects one is about, and what its status becomes by a write."""

from typing import Any

from boxfleet.api import kind as kinds
from boxfleet.planning import usage

Json = dict[str, Any]

_COMPUTE = frozenset(
    {"cpu", "memory"} | {f"{part}.{name}" for part in ("requests", "limits") for name in ("cpu", "memory")}
)


def requirements(spec: Json) -> list[Json]:
    """The quota's scopes and its selector as one list of conditions."""
    plain = [{"scopeName": scope, "operator": "Exists"} for scope in spec.get("scopes") or ()]
    return plain + list((spec.get("scopeSelector") or {}).get("matchExpressions") or ())


def counted(spec: Json, kind: kinds.Kind, obj: Json | None) -> usage.Amounts:
    """What an object counts for in a quota: of what it limits, when the object is in its scope."""
    if obj is None:
        return {}
    wanted = requirements(spec)
    if wanted and (kind.qualified != "pods" or not all(_matches(each, obj) for each in wanted)):
        return {}
    hard = spec.get("hard") or {}
    return {name: value for name, value in usage.of(kind, obj).items() if name in hard}


def unsaid(spec: Json, pod: Json) -> str:
    """What a new Pod must say because the quota limits it: ``must specify limits.cpu for: main``; empty when all."""
    if not all(_matches(each, pod) for each in requirements(spec)):
        return ""
    missing: dict[str, set[str]] = {}
    parts = pod.get("spec") or {}
    for container in (*(parts.get("containers") or ()), *(parts.get("initContainers") or ())):
        resources = container.get("resources") or {}
        requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
        said = {*requests, *(f"requests.{name}" for name in requests), *(f"limits.{name}" for name in limits)}
        for name in _COMPUTE & (spec.get("hard") or {}).keys() - said:
            missing.setdefault(name, set()).add(container.get("name", ""))
    if not missing:
        return ""
    return "must specify " + "; ".join(f"{name} for: {','.join(sorted(missing[name]))}" for name in sorted(missing))


def _matches(wanted: Json, pod: Json) -> bool:
    scope, operator = wanted.get("scopeName"), wanted.get("operator")
    spec = pod.get("spec") or {}
    match scope:
        case "Terminating":
            return spec.get("activeDeadlineSeconds") is not None
        case "NotTerminating":
            return spec.get("activeDeadlineSeconds") is None
        case "BestEffort":
            return usage.quality(pod) == "BestEffort"
        case "NotBestEffort":
            return usage.quality(pod) != "BestEffort"
        case "PriorityClass":
            return _has_class(wanted, operator, spec.get("priorityClassName") or "")
        case _:
            return _reaches_out(spec)


def _has_class(wanted: Json, operator: Any, name: str) -> bool:
    values: list[str] = wanted.get("values") or []
    if operator == "In":
        return name in values
    if operator == "NotIn":
        return name not in values
    return bool(name) is (operator == "Exists")


def _reaches_out(spec: Json) -> bool:
    """Whether a Pod's affinity names Pods of other namespaces (scope CrossNamespacePodAffinity)."""
    affinity = spec.get("affinity") or {}
    terms: list[Json] = []
    for sort in ("podAffinity", "podAntiAffinity"):
        found = affinity.get(sort) or {}
        terms += found.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
        terms += [
            each.get("podAffinityTerm") or {}
            for each in found.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        ]
    return any(each.get("namespaces") or each.get("namespaceSelector") is not None for each in terms)
