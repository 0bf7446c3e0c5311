"""The life of an object as pure rules: what a create, an update and a deletion make of it.

Nothing here does I/O; time and identity are handed in.
"""

import dataclasses
import datetime
import re
from typing import Any

from boxfleet.api import kind as kinds
from boxfleet.apiserver import faults, metadata, standard
from boxfleet.kit import clock

JsonObject = dict[str, Any]

# What an update takes from metadata as it is given.
_NOT_FREE = metadata.SYSTEM_FIELDS | {"name", "namespace"}
# What it leaves as it is.
_KEPT = _NOT_FREE - {"managedFields", "selfLink"}


def ordered(kind: kinds.Kind, obj: JsonObject) -> JsonObject:
    """The object with its type said first, as people expect it."""
    first = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": obj["metadata"]}
    # Those three stay where they are, and as they are.
    return first | obj | first


def check_type(kind: kinds.Kind, obj: JsonObject) -> None:
    """Hold apiVersion and kind against the route; what is missing is filled in. Raises Fault 400."""
    if obj.get("kind") == kind.kind and obj.get("apiVersion") == kind.api_version:
        return
    given_version = obj.get("apiVersion") or kind.api_version
    given_kind = obj.get("kind") or kind.kind
    if given_kind != kind.kind or given_version != kind.api_version:
        raise faults.bad_request(
            f'{given_kind} in version "{given_version}" cannot be handled as a {kind.kind}: '
            f"no kind {faults.shown(given_kind)} is registered for version {faults.shown(given_version)} at this path"
        )
    obj["apiVersion"] = kind.api_version
    obj["kind"] = kind.kind


def prepare_create(
    kind: kinds.Kind, obj: JsonObject, *, namespace: str, now: datetime.datetime, uid: str
) -> JsonObject:
    """A fresh object from what a client sent; raises Fault 400."""
    given: JsonObject = obj.get("metadata") or {}
    if given.get("resourceVersion") not in (None, "", "0"):
        raise faults.bad_request("resourceVersion should not be set on objects to be created")
    given_namespace = given.get("namespace") or ""
    if given_namespace not in ("", namespace):
        raise faults.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    made = obj["metadata"] = {"name": given.get("name", "")}
    if "generateName" in given:
        made["generateName"] = given["generateName"]
    if kind.namespaced:
        made["namespace"] = namespace
    made["uid"] = uid
    made["resourceVersion"] = ""
    if _counts_generations(kind):
        made["generation"] = 1
    made["creationTimestamp"] = clock.stamp(now)
    for key, value in given.items():
        if key not in _NOT_FREE:
            made[key] = value
    if kind.status and not standard.registers_with_status(kind):
        obj.pop("status", None)
    standard.on_create(kind, obj)
    kind.default(obj)
    return ordered(kind, obj)


def prepare_update(kind: kinds.Kind, new: JsonObject, old: JsonObject, *, subresource: str = "") -> JsonObject:
    """What an update makes of the stored object; raises Fault 400, 409 and 422."""
    given: JsonObject = new.get("metadata") or {}
    was: JsonObject = old["metadata"]
    name = was["name"]
    if given.get("name") not in (None, "", name):
        raise faults.bad_request(
            f"the name of the object ({given['name']}) does not match the name on the URL ({name})"
        )
    if given.get("namespace") not in (None, "", was.get("namespace", "")):
        raise faults.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if given.get("uid") not in (None, "", was["uid"]):
        raise faults.conflict(
            kind,
            name,
            f"Precondition failed: UID in precondition: {given['uid']}, UID in object meta: {was['uid']}",
        )
    check_revision(kind, name, given, was)
    new["metadata"] = _metadata(given, was)
    if subresource == "status":
        new = _status_only(kind, new, old)
    elif kind.status and subresource != "binding":
        new.pop("status", None)
        if "status" in old:
            new["status"] = old["status"]
    if subresource != "finalize":
        standard.on_update(kind, new, old)
    kind.default(new)
    if "generation" in was and _substance(new) != _substance(old):
        new["metadata"]["generation"] = was["generation"] + 1
    return ordered(kind, new)


def check_revision(kind: kinds.Kind, name: str, given: JsonObject, was: JsonObject) -> None:
    """Hold a client's resourceVersion against the stored one; raises Fault 409 or 422."""
    revision = given.get("resourceVersion") or ""
    if revision in ("", was["resourceVersion"]):
        return
    if not isinstance(revision, str) or re.fullmatch(r"\d{1,18}", revision) is None:
        raise faults.invalid(
            kind,
            name,
            [
                kinds.FieldError(
                    "metadata.resourceVersion",
                    f"Invalid value: {faults.shown(revision)}: must be a resourceVersion that the server gave",
                )
            ],
        )
    if revision != "0":
        raise faults.modified(kind, name)


def finalizer_errors(new: JsonObject, old: JsonObject) -> list[kinds.FieldError]:
    """An object on its way out takes no further finalizers."""
    if "deletionTimestamp" not in old["metadata"]:
        return []
    before = old["metadata"].get("finalizers") or []
    added = [one for one in new["metadata"].get("finalizers") or [] if one not in before]
    if not added:
        return []
    listed = ", ".join(faults.shown(one) for one in added)
    return [
        kinds.FieldError(
            "metadata.finalizers",
            "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers "
            f"[]string{{{listed}}}",
            kinds.Reason.FORBIDDEN,
        )
    ]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """What a deletion comes to: the object goes now, stays in a changed form, or stays as it is."""

    obj: JsonObject
    gone: bool
    changed: bool


def delete(
    kind: kinds.Kind,
    old: JsonObject,
    *,
    now: datetime.datetime,
    grace_seconds: int | None,
    propagation: str,
) -> Deletion:
    """Mark an object for deletion, or find that nothing holds it any more."""
    was: JsonObject = old["metadata"]
    obj = {**old, "metadata": dict(was)}
    new = obj["metadata"]
    finalizers = _propagated(was.get("finalizers") or [], propagation)
    if finalizers:
        new["finalizers"] = finalizers
    else:
        new.pop("finalizers", None)
    grace = _grace(kind, old, grace_seconds)
    deleting = "deletionTimestamp" in was
    if deleting:
        left = was.get("deletionGracePeriodSeconds") or 0
        if grace < left:
            # Only ever shorter: the holder may already count on the end.
            moment = clock.parse(was["deletionTimestamp"]) - datetime.timedelta(seconds=left - grace)
            new["deletionTimestamp"] = clock.stamp(moment)
            new["deletionGracePeriodSeconds"] = grace
        else:
            grace = left
    else:
        new["deletionTimestamp"] = clock.stamp(now + datetime.timedelta(seconds=grace))
        new["deletionGracePeriodSeconds"] = grace
        standard.on_delete(kind, obj)
    if not held(kind, obj):
        return Deletion(obj=obj, gone=True, changed=True)
    if not deleting and "generation" in was:
        new["generation"] = was["generation"] + 1
    return Deletion(obj=obj, gone=False, changed=obj != old)


def held(kind: kinds.Kind, obj: JsonObject) -> bool:
    """Whether an object that is marked for deletion still has to stay."""
    data = obj["metadata"]
    return bool(data.get("finalizers")) or bool(data.get("deletionGracePeriodSeconds")) or standard.holds(kind, obj)


def _grace(kind: kinds.Kind, obj: JsonObject, wanted: int | None) -> int:
    usual = kind.grace(obj) if kind.grace is not None else None
    if not usual:
        return 0
    return usual if wanted is None else wanted


def _metadata(given: JsonObject, was: JsonObject) -> JsonObject:
    """What an update makes of metadata: the members that stay are in the order in which they were."""
    free = {key: value for key, value in given.items() if key not in _NOT_FREE and value is not None}
    if was.keys() <= _KEPT:
        return was | free
    return {key: value for key, value in was.items() if key in _KEPT or key in free} | free


def _propagated(finalizers: list[str], propagation: str) -> list[str]:
    if not propagation:
        return finalizers
    kept = [one for one in finalizers if one not in (metadata.FOREGROUND, metadata.ORPHAN)]
    extra = {"Foreground": [metadata.FOREGROUND], "Orphan": [metadata.ORPHAN]}.get(propagation, [])
    return kept + extra


def _status_only(kind: kinds.Kind, new: JsonObject, old: JsonObject) -> JsonObject:
    """Through the status subresource only the status changes; standard kinds let labels and annotations through."""
    result = {**old, "metadata": dict(old["metadata"])}
    if kind.model:
        for field in ("labels", "annotations", "finalizers"):
            result["metadata"].pop(field, None)
            if field in new["metadata"]:
                result["metadata"][field] = new["metadata"][field]
    result.pop("status", None)
    if "status" in new:
        result["status"] = new["status"]
    return result


def _counts_generations(kind: kinds.Kind) -> bool:
    """Own kinds do, as custom resources do; of the standard ones hardly any."""
    return not kind.model or kind.generations


def _substance(obj: JsonObject) -> JsonObject:
    return {key: value for key, value in obj.items() if key not in ("metadata", "status", "kind", "apiVersion")}
