"""The way from client-side to server-side apply.

Client-side apply keeps what it applied in an annotation. When the same user goes on with server-side apply, what the
annotation says and nobody changed since is theirs already, and the annotation follows, so that the way back stays open.
"""

from typing import Any

import msgspec

from boxfleet.apiserver.apply import claims, comparing, fieldsets, shapes

JsonObject = dict[str, Any]

ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
# Only kubectl's own name stands for both ways of applying.
MANAGER = "kubectl"
# Together with all others, an annotation may not be longer.
_SIZE_LIMIT = 256 * 1024


def unchanged(shape: shapes.Record, live: JsonObject) -> fieldsets.Tree:
    """The fields that client-side apply set and that still are as it set them."""
    text = _annotations(live).get(ANNOTATION)
    if not isinstance(text, str):
        return {}
    try:
        applied = msgspec.json.decode(text)
        claimed = claims.applied(shape, applied) if isinstance(applied, dict) else None
    except (msgspec.DecodeError, RecursionError, claims.DuplicateItem):
        # Anybody can write an annotation.
        return {}
    if not claimed:
        return {}
    changed, _ = comparing.compare(shape, live, applied)
    return fieldsets.difference(claimed, changed)


def follow(live: JsonObject, obj: JsonObject, applied: JsonObject) -> None:
    """Let the annotation of an object that has it say what was applied now, in place of `obj`'s own."""
    if ANNOTATION not in _annotations(live):
        return
    metadata = applied.get("metadata") or {}
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if key != ANNOTATION}
    stated = {**applied, "metadata": {**metadata, "annotations": annotations}}
    text = msgspec.json.encode(stated, order="sorted").decode() + "\n"
    if len(text) < _SIZE_LIMIT:
        kept = (obj.get("metadata") or {}).get("annotations") or {}
        obj["metadata"] = {**obj["metadata"], "annotations": {**kept, ANNOTATION: text}}


def _annotations(obj: JsonObject) -> dict[str, Any]:
    metadata = obj.get("metadata")
    found = metadata.get("annotations") if isinstance(metadata, dict) else None
    return found if isinstance(found, dict) else {}
