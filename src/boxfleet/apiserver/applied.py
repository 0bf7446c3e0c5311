"""What a server-side apply sends: an object with just the fields that its applier has an opinion on."""

from typing import Any

from boxfleet.api import kind as kinds
from boxfleet.apiserver import bodies, faults, options, route, schema, yaml_bodies

JsonObject = dict[str, Any]

MEDIA_TYPES = ("application/apply-patch+yaml", "application/apply-patch+json")


async def read(
    call: route.Call, kind: kinds.Kind, *, schemas: schema.Schemas, wanted: options.WriteOptions, subresource: str
) -> JsonObject:
    """The applied object, as far as this path may write it; raises Fault 400, 409, 413 and 422.

    What it leaves out is no fault, even where the schema requires it: somebody else may have said it.
    """
    body, doubled = yaml_bodies.decode(await bodies.read(call))
    if not isinstance(body, dict):
        raise faults.bad_request("the body of an apply is not an object")
    _check_type(kind, body)
    metadata = body.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise faults.untyped(kind, {}, ".metadata: expected map")
    metadata = metadata or {}
    name = metadata.get("name")
    if not name:
        raise faults.bad_request("name must be provided")
    if name != call.params["name"]:
        raise faults.bad_request(
            f"the name of the object ({name} based on the object) does not match the name on the URL "
            f"({call.params['name']})"
        )
    if metadata.get("managedFields") is not None:
        raise faults.bad_request("metadata.managedFields must be nil")
    if doubled and wanted.validation == "Strict":
        listed = ", ".join(f'key "{path}" already set in map' for path in doubled)
        raise faults.bad_request(f"error strict decoding YAML: {listed}")
    if wanted.validation == "Warn":
        call.warnings.extend(f'key "{path}" already set in map' for path in doubled)
    checked = schemas.check(kind, body)
    if checked.unknown:
        lines = [f".{path}: field not declared in schema" for path in checked.unknown]
        text = lines[0] if len(lines) == 1 else "errors:\n" + "\n".join(f"  {line}" for line in lines)
        raise faults.untyped(kind, body, text)
    errors = [error for error in checked.errors if error.reason != kinds.Reason.REQUIRED]
    if errors:
        raise faults.invalid(kind, str(name), errors, obj=body)
    if checked.prunable:
        schemas.prune(kind, body)
    return _restricted(kind, body, subresource)


def _check_type(kind: kinds.Kind, body: JsonObject) -> None:
    """An apply says what it is about; raises Fault 400."""
    for field in ("kind", "apiVersion"):
        if not body.get(field):
            raise faults.bad_request(f"error decoding YAML: Object '{field}' is missing: an apply names it")
    if body["apiVersion"] != kind.api_version:
        raise faults.bad_request(
            f"Incorrect version specified in apply patch. Specified patch version: {body['apiVersion']}, "
            f"expected: {kind.api_version}"
        )
    if body["kind"] != kind.kind:
        raise faults.bad_request(f"{body['kind']} in version {body['apiVersion']!r} cannot be handled as {kind.kind}")


def _restricted(kind: kinds.Kind, body: JsonObject, subresource: str) -> JsonObject:
    """Without what is written through another path: nobody can own what they cannot write."""
    if not kind.status:
        return body
    if not subresource:
        return {key: item for key, item in body.items() if key != "status"}
    if subresource != "status":
        return body
    kept = {"name", "namespace", "uid", "resourceVersion"}
    if kind.model:
        kept |= {"labels", "annotations", "finalizers"}
    rest: JsonObject = {key: body[key] for key in ("kind", "apiVersion", "status") if key in body}
    rest["metadata"] = {key: item for key, item in body["metadata"].items() if key in kept}
    return rest
