"""Patches: from a request's body to a function that makes the wanted object from the stored one."""

from collections.abc import Callable
from typing import Any

from boxfleet.api import kind as kinds
from boxfleet.apiserver import bodies, faults, negotiate, route, schema
from boxfleet.kit import patch

JsonObject = dict[str, Any]

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"

# Makes the wanted object from the stored one, which it leaves as it is; both may share parts.
Apply = Callable[[JsonObject], Any]


async def read(call: route.Call, kind: kinds.Kind, *, schemas: schema.Schemas) -> Apply:
    """The patch in the body as a function, which may raise Fault; raises Fault 400, 413 and 415."""
    media = negotiate.content_type(call.headers.get("content-type", ""))
    known = [JSON_PATCH, MERGE_PATCH, *([STRATEGIC_PATCH] if kind.strategic else [])]
    if media not in known:
        raise faults.unsupported_patch()
    body, duplicates = bodies.decode_strictly(await bodies.read(call))
    if duplicates and call.one("fieldValidation") != "Ignore":
        call.duplicates = duplicates
    if media == JSON_PATCH:
        return lambda current: _json(kind, current, body)
    if not isinstance(body, dict):
        raise faults.bad_request("the patch is not a JSON object")
    if media == MERGE_PATCH:
        return lambda current: patch.merge(current, body)
    return lambda current: _strategic(schemas, kind, current, body)


def _strategic(schemas: schema.Schemas, kind: kinds.Kind, current: JsonObject, body: JsonObject) -> JsonObject:
    try:
        return schemas.strategic_merge(kind, current, body)
    except schema.PatchError as error:
        raise faults.bad_request(str(error)) from None


def _json(kind: kinds.Kind, current: JsonObject, body: Any) -> Any:
    try:
        return patch.apply(current, body)
    except patch.TooManyOperations as error:
        raise faults.Fault(413, "RequestEntityTooLarge", f"Request entity too large: {error}") from None
    except patch.PatchError as error:
        raise faults.bad_request(f"the JSON patch is malformed: {error}") from None
    except patch.PathError as error:
        raise faults.Fault(
            422,
            "Invalid",
            f"the server rejected our request due to an error in our request: {error}",
            details={
                "name": current["metadata"]["name"],
                "kind": kind.kind,
                # kubectl shows of this Status nothing but its causes.
                "causes": [{"reason": "FieldValueInvalid", "message": str(error), "field": "patch"}],
            },
        ) from None
