"""Defaults of and rules for ResourceQuotas, with Kubernetes' paths and words."""

from typing import Any

from boxfleet.api import fields, kind, names, pod_defaults, resource_names

SCOPES = ("Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity")
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")
_OPPOSITES = (("Terminating", "NotTerminating"), ("BestEffort", "NotBestEffort"))

Errors = list[kind.FieldError]
Json = dict[str, Any]


def default(quota: Json) -> None:
    """Quantities in their canonical form."""
    for part in ("spec", "status"):
        for key in ("hard", "used"):
            pod_defaults.canonical_quantities((quota.get(part) or {}).get(key))


def validate(new: Json, old: Json | None) -> Errors:
    """A quota as it is written; its scopes stay as they are."""
    spec = new.get("spec") or {}
    hard = spec.get("hard") or {}
    errors: Errors = []
    for name, value in hard.items():
        path = f"spec.hard[{name}]"
        errors += resource_names.quota_errors(path, name) + resource_names.quantity_errors(path, name, value)
    errors += _scopes(spec, hard)
    errors += _selector(spec.get("scopeSelector") or {}, hard)
    if old is not None:
        before = old.get("spec") or {}
        for key in ("scopes", "scopeSelector"):
            if (spec.get(key) or None) != (before.get(key) or None):
                errors.append(fields.invalid(f"spec.{key}", spec.get(key), "field is immutable"))
    return errors


def _scopes(spec: Json, hard: Json) -> Errors:
    scopes: list[str] = spec.get("scopes") or []
    errors: Errors = []
    for index, scope in enumerate(scopes):
        path = f"spec.scopes[{index}]"
        if scope not in SCOPES:
            errors.append(fields.invalid(path, scope, "unsupported scope"))
        errors += _fitting(path, scope, hard)
    for pair in _OPPOSITES:
        if set(pair) <= set(scopes):
            errors.append(fields.invalid("spec.scopes", scopes, "conflicting scopes"))
    return errors


def _selector(selector: Json, hard: Json) -> Errors:
    errors: Errors = []
    for index, each in enumerate(selector.get("matchExpressions") or ()):
        path = f"spec.scopeSelector.matchExpressions[{index}]"
        scope, operator, values = each.get("scopeName", ""), each.get("operator", ""), each.get("values") or []
        if scope not in SCOPES:
            errors.append(fields.invalid(f"{path}.scopeName", scope, "unsupported scope"))
        if operator not in _OPERATORS:
            errors.append(fields.invalid(f"{path}.operator", operator, "not a valid selector operator"))
        elif scope != "PriorityClass" and operator != "Exists":
            text = f"must be 'Exist' when scope is any of {', '.join(SCOPES[:4])} and {SCOPES[5]}"
            errors.append(fields.invalid(f"{path}.operator", operator, text))
        elif operator in ("In", "NotIn") and not values:
            errors.append(
                fields.required(f"{path}.values", "must be at least one value when `operator` is 'In' or 'NotIn'")
            )
        elif operator in ("Exists", "DoesNotExist") and values:
            text = "must be no value when `operator` is 'Exist' or 'DoesNotExist'"
            errors.append(fields.invalid(f"{path}.values", values, text))
        errors += [
            fields.invalid(f"{path}.values[{place}]", value, fault)
            for place, value in enumerate(values)
            if (fault := names.subdomain(value))
        ]
        errors += _fitting(path, scope, hard)
    return errors


def _fitting(path: str, scope: str, hard: Json) -> Errors:
    """Scopes are about Pods, and those without requests can only be counted."""
    allowed = frozenset({"pods"}) if scope == "BestEffort" else resource_names.POD_RESOURCES
    return [
        fields.invalid(path, scope, f"unsupported scope applied to resource {name}")
        for name in hard
        if name not in allowed and not (name in ("count/pods",) or name.startswith("requests."))
    ]
