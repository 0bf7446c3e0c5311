"""Defaults of and rules for LimitRanges, with Kubernetes' paths and words."""

from typing import Any

from boxfleet.api import fields, kind, pod_defaults, resource_names
from boxfleet.kit import quantity

_KEYS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
_FIXED = ("Pod", "Container", "PersistentVolumeClaim")

Errors = list[kind.FieldError]
Json = dict[str, Any]


def default(found: Json) -> None:
    """Of containers: what is not limited by default is limited by the most, and asked for like its limit."""
    for item in (found.get("spec") or {}).get("limits") or ():
        for key in _KEYS:
            pod_defaults.canonical_quantities(item.get(key))
        if item.get("type") != "Container":
            continue
        limits = {**(item.get("max") or {}), **(item.get("default") or {})}
        requests = {**(item.get("min") or {}), **limits, **(item.get("defaultRequest") or {})}
        if limits:
            item["default"] = limits
        if requests:
            item["defaultRequest"] = requests


def validate(new: Json, old: Json | None) -> Errors:
    """A LimitRange as it is written."""
    return limits((new.get("spec") or {}).get("limits") or [], "spec.limits")


def limits(items: list[Json], at: str) -> Errors:
    """The limits of one namespace: one item for each type, and no amount beyond another."""
    errors: Errors = []
    seen: set[str] = set()
    for index, item in enumerate(items):
        path, sort = f"{at}[{index}]", item.get("type") or ""
        if not sort:
            errors.append(fields.required(f"{path}.type"))
        elif sort not in _FIXED and "/" not in sort:
            errors.append(fields.invalid(f"{path}.type", sort, "must be a standard limit type or fully qualified"))
        if sort in seen:
            errors.append(fields.duplicate(f"{path}.type", sort))
        seen.add(sort)
        errors += _item(item, path, sort)
    return errors


def _item(item: Json, path: str, sort: str) -> Errors:
    errors: Errors = []
    amounts: dict[str, dict[str, Any]] = {}
    for key in _KEYS:
        given = item.get(key) or {}
        amounts[key] = {}
        for name, value in given.items():
            found = resource_names.limit_errors(f"{path}.{key}[{name}]", name)
            found += resource_names.quantity_errors(f"{path}.{key}[{name}]", name, value)
            errors += found
            if not found:
                amounts[key][name] = quantity.parse(value)
    if sort == "Pod":
        errors += [
            fields.forbidden(f"{path}.{key}", "may not be specified when `type` is 'Pod'")
            for key in ("default", "defaultRequest")
            if item.get(key)
        ]
    if sort == "PersistentVolumeClaim" and not any("storage" in (item.get(key) or {}) for key in ("min", "max")):
        text = "either minimum or maximum storage value is required, but neither was provided"
        errors.append(fields.required(f"{path}.limits", text))
    for low, high, words in _ORDER:
        for name in sorted(amounts[low].keys() & amounts[high].keys()):
            if amounts[low][name] > amounts[high][name]:
                shown = item[low][name], item[high][name]
                errors.append(fields.invalid(f"{path}.{low}[{name}]", str(shown[0]), words.format(shown[0], shown[1])))
    for name, ratio in amounts["maxLimitRequestRatio"].items():
        if ratio < 1:
            given = item["maxLimitRequestRatio"][name]
            errors.append(
                fields.invalid(f"{path}.maxLimitRequestRatio[{name}]", str(given), f"ratio {given} is less than 1")
            )
        least, most = amounts["min"].get(name), amounts["max"].get(name)
        if least and most and ratio > most / least:
            given = item["maxLimitRequestRatio"][name]
            text = f"ratio {given} is greater than max/min = {float(most / least):f}"
            errors.append(fields.invalid(f"{path}.maxLimitRequestRatio[{name}]", str(given), text))
    return errors


_ORDER = (
    ("min", "max", "min value {} is greater than max value {}"),
    ("min", "defaultRequest", "min value {} is greater than default request value {}"),
    ("defaultRequest", "max", "default request value {} is greater than max value {}"),
    ("defaultRequest", "default", "default request value {} is greater than default limit value {}"),
    ("min", "default", "min value {} is greater than default value {}"),
    ("default", "max", "default value {} is greater than max value {}"),
)
