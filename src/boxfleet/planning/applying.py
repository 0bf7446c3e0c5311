"""What applying a manifest changes in the object that is there: a JSON merge patch (RFC 7386) of three ways.

As `kubectl apply` does: fields that the last applied manifest had and the new one has not are removed; fields that
others set are left alone. The manifest is kept in kubectl's own annotation, so that both can be used in turn.
"""

import copy
import json
from collections.abc import Mapping
from typing import Any

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def remembered(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with itself in the annotation, as it goes to the server."""
    plain = copy.deepcopy(dict(manifest))
    metadata = plain.setdefault("metadata", {})
    (metadata.get("annotations") or {}).pop(LAST_APPLIED, None)
    text = json.dumps(plain, separators=(",", ":"), sort_keys=True) + "\n"
    metadata["annotations"] = {**(metadata.get("annotations") or {}), LAST_APPLIED: text}
    return plain


def patch(manifest: Mapping[str, Any], present: Mapping[str, Any]) -> dict[str, Any]:
    """What to send so that the present object says what the manifest says; empty when it does already.

    `manifest` comes from `remembered`.
    """
    before: dict[str, Any] = {}
    text = (present.get("metadata", {}).get("annotations") or {}).get(LAST_APPLIED, "")
    if text:
        try:
            before = json.loads(text)
        except ValueError:
            before = {}
    found = _difference(manifest, before if isinstance(before, dict) else {}, present)
    return {key: value for key, value in found.items() if key not in ("apiVersion", "kind", "status")}


def _difference(new: Mapping[str, Any], before: Mapping[str, Any], present: Mapping[str, Any]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for key, value in new.items():
        there = present.get(key)
        if isinstance(value, Mapping) and isinstance(there, Mapping):
            last = before.get(key)
            inner = _difference(value, last if isinstance(last, Mapping) else {}, there)
            if inner:
                changes[key] = inner
        elif value != there and not (value is None and key not in present):
            changes[key] = copy.deepcopy(value)
    for key in before:
        if key not in new and key in present:
            changes[key] = None
    return changes
