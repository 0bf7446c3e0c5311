"""Names of resources as quotas and limits use them, and rules for their quantities (core/v1 ResourceName)."""

import re
from typing import Any

from boxfleet.api import fields, kind, names
from boxfleet.kit import quantity

# Resources of containers by their short names, which mean requests.
_SHORT = ("cpu", "memory", "ephemeral-storage")
_COUNTED = (
    "pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps", "persistentvolumeclaims",
    "services.nodeports", "services.loadbalancers",
)  # fmt: skip
QUOTA_STANDARD = frozenset(
    {
        *_SHORT,
        *_COUNTED,
        "requests.storage",
        *(f"requests.{each}" for each in _SHORT),
        *(f"limits.{each}" for each in _SHORT),
    }
)
# What a quota with a scope may hold: scopes are about Pods.
POD_RESOURCES = frozenset(
    {"pods", *_SHORT, *(f"requests.{each}" for each in _SHORT), *(f"limits.{each}" for each in _SHORT)}
)
_LIMIT_STANDARD = frozenset({*_SHORT, "storage"})
_WHOLE = frozenset(_COUNTED)
_HUGE = re.compile(r"(requests\.)?hugepages-\S+")

# Devices, and thousandths of one device that is shared.
GPU = "nvidia.com/gpu"
GPU_SHARE = "boxfleet.dev/gpu-milli"

Errors = list[kind.FieldError]


def quota_errors(path: str, name: str) -> Errors:
    """A name that a quota may limit."""
    return _errors(path, name, QUOTA_STANDARD, what="a standard resource for quota")


def limit_errors(path: str, name: str) -> Errors:
    """A name that a LimitRange may limit."""
    return _errors(path, name, _LIMIT_STANDARD, what="a standard resource type")


def quantity_errors(path: str, name: str, value: Any) -> Errors:
    """An amount of a resource: a quantity, not negative, and a whole number of what is counted."""
    try:
        amount = quantity.parse(value)
    except ValueError as error:
        return [fields.invalid(path, value, str(error))]
    if amount < 0:
        return [fields.invalid(path, str(value), "must be greater than or equal to 0")]
    if (name in _WHOLE or name.startswith("count/")) and amount != int(amount):
        return [fields.invalid(path, str(value), "must be an integer")]
    return []


def _errors(path: str, name: str, standard: frozenset[str], *, what: str) -> Errors:
    if fault := names.label_key(name):
        return [fields.invalid(path, name, fault)]
    if "/" in name or name in standard or _HUGE.fullmatch(name):
        return []
    return [fields.invalid(path, name, f"must be {what}")]
