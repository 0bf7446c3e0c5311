"""Defaults of and rules for PersistentVolumeClaims and the templates that make them."""

from typing import Any

from boxfleet.api import fields, kind, pod_defaults
from boxfleet.kit import quantity

ACCESS_MODES = ("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod")

Errors = list[kind.FieldError]
Json = dict[str, Any]


def default(claim: kind.JsonObject) -> None:
    """A claim waits for its storage, which is a file system, not a device."""
    found = claim.setdefault("spec", {})
    found.setdefault("volumeMode", "Filesystem")
    # A folder on one host has one way to be used; Kubernetes itself would ask.
    found.setdefault("accessModes", ["ReadWriteOnce"])
    pod_defaults.canonical_quantities((found.get("resources") or {}).get("requests"))
    pod_defaults.canonical_quantities((found.get("resources") or {}).get("limits"))
    claim.setdefault("status", {}).setdefault("phase", "Pending")


def validate(new: Json, old: Json | None) -> Errors:
    """A claim as it is written; afterwards it may only grow, and be bound once."""
    after, before = new.get("spec") or {}, (old or {}).get("spec") or {}
    if old is None:
        return spec(after, "spec")
    if after == before:
        return []
    fixed = dict(before)
    if not before.get("volumeName"):
        fixed["volumeName"] = after.get("volumeName", "")
    changed = sorted(
        key for key in fixed.keys() | after.keys() if key != "resources" and fixed.get(key, "") != after.get(key, "")
    )
    errors = [
        fields.forbidden(
            f"spec.{key}", "a claim cannot be changed after creation, but for resources.requests, which may grow"
        )
        for key in changed
    ]
    errors += spec(after, "spec")
    wanted, had = _size(after), _size(before)
    if wanted is not None and had is not None and quantity.parse(wanted) < quantity.parse(had):
        errors.append(fields.forbidden("spec.resources.requests.storage", "may not be less than it was: " + str(had)))
    return errors


def spec(found: Json, path: str) -> Errors:
    """The wanted storage: a size above nothing, and known access modes."""
    errors: Errors = []
    at = f"{path}.resources.requests[storage]"
    size = _size(found)
    if size is None:
        errors.append(fields.required(at, "say how much storage is wanted, for example 1Gi"))
    elif quantity.parse(size) <= 0:
        errors.append(fields.invalid(at, size, "must be greater than zero"))
    modes = found.get("accessModes") or ()
    for index, mode in enumerate(modes):
        errors += fields.one_of(f"{path}.accessModes[{index}]", mode, ACCESS_MODES)
    return errors


def _size(found: Json) -> Any:
    return ((found.get("resources") or {}).get("requests") or {}).get("storage")
