"""Rules for taints of nodes and tolerations of instances."""

from collections.abc import Collection
from typing import Any

from boxfleet.api import fields, kind, names

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
OPERATORS = ("Exists", "Equal")


def tolerations(found: Collection[dict[str, Any]], path: str) -> list[kind.FieldError]:
    """What an instance puts up with."""
    errors: list[kind.FieldError] = []
    for index, toleration in enumerate(found):
        at = f"{path}[{index}]"
        key, operator = toleration.get("key", ""), toleration.get("operator") or "Equal"
        if key and (fault := names.label_key(key)):
            errors.append(fields.invalid(f"{at}.key", key, fault))
        errors += fields.one_of(f"{at}.operator", operator, OPERATORS)
        if not key and operator != "Exists":
            errors.append(
                fields.invalid(f"{at}.operator", operator, "must be Exists when key is empty, which means every taint")
            )
        if operator == "Exists" and toleration.get("value"):
            errors.append(fields.invalid(f"{at}.value", toleration["value"], "must be empty when operator is Exists"))
        if toleration.get("effect"):
            errors += fields.one_of(f"{at}.effect", toleration["effect"], EFFECTS)
        if toleration.get("tolerationSeconds") is not None and toleration.get("effect") != "NoExecute":
            errors.append(
                fields.invalid(
                    f"{at}.effect", toleration.get("effect", ""), "must be NoExecute when tolerationSeconds is set"
                )
            )
    return errors


def taints(found: Collection[dict[str, Any]], path: str) -> list[kind.FieldError]:
    """What keeps instances off a node."""
    errors: list[kind.FieldError] = []
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(found):
        at = f"{path}[{index}]"
        key, effect = taint.get("key", ""), taint.get("effect", "")
        if fault := names.label_key(key):
            errors.append(fields.invalid(f"{at}.key", key, fault))
        if fault := names.label_value(taint.get("value", "")):
            errors.append(fields.invalid(f"{at}.value", taint["value"], fault))
        if not effect:
            errors.append(fields.required(f"{at}.effect"))
        else:
            errors += fields.one_of(f"{at}.effect", effect, EFFECTS)
        if (key, effect) in seen:
            errors.append(fields.duplicate(at, f"{key}:{effect}"))
        seen.add((key, effect))
    return errors
