"""What makes a schema structural: the rules for ``openAPIV3Schema`` of a CustomResourceDefinition.

Source: the Kubernetes documentation, "Specifying a structural schema", and the API's own messages.
"""

from collections.abc import Iterator
from typing import Any

import re2

from boxfleet.api import fields
from boxfleet.api import kind as kinds

Schema = dict[str, Any]
Errors = list[kinds.FieldError]

TYPES = ("array", "boolean", "integer", "number", "object", "string")
_SCALARS = ("boolean", "integer", "number", "string")
_KEEP = "x-kubernetes-preserve-unknown-fields"
_EITHER = "x-kubernetes-int-or-string"
_EMBEDDED = "x-kubernetes-embedded-resource"
_LIST_TYPE = "x-kubernetes-list-type"
_KEYS = "x-kubernetes-list-map-keys"
_MAP_TYPE = "x-kubernetes-map-type"
_RULES = "x-kubernetes-validations"

# Never allowed, with the reason that the API gives.
_UNSUPPORTED = {
    "$ref": "$ref is not supported",
    "additionalItems": "additionalItems is not supported",
    "definitions": "definitions is not supported",
    "dependencies": "dependencies is not supported",
    "id": "id is not supported",
    "patternProperties": "patternProperties is not supported",
}
# What only stands where the structure is said, not in allOf, anyOf, oneOf and not.
_STRUCTURE = (
    "type", "default", "additionalProperties", "nullable", "title", "description", _KEEP, _EITHER, _EMBEDDED,
    _LIST_TYPE, _KEYS, _MAP_TYPE, _RULES,
)  # fmt: skip
_JUNCTIONS = ("allOf", "anyOf", "oneOf")
# Deeper nesting serves nobody and costs a stack.
_DEPTH = 64


def errors(schema: Schema, path: str) -> Errors:
    """Everything wrong with a root schema that is itself well-formed JSONSchemaProps."""
    found: Errors = []
    if not schema.get("type"):
        found.append(fields.required(f"{path}.type", "must not be empty at the root"))
    elif schema["type"] != "object":
        found.append(fields.invalid(f"{path}.type", schema["type"], "must be object at the root"))
    if schema.get("nullable"):
        found.append(_forbidden(f"{path}.nullable", "nullable cannot be true at the root"))
    if schema.get(_EMBEDDED):
        found.append(_forbidden(f"{path}.{_EMBEDDED}", "must not be specified at the root"))
    found += _structure(schema, path, 0, kind_of_parent="root")
    found += _metadata(schema, path)
    return found


def _forbidden(path: str, text: str) -> kinds.FieldError:
    return kinds.FieldError(path, f"Forbidden: {text}", kinds.Reason.FORBIDDEN)


def _metadata(schema: Schema, path: str) -> Errors:
    """Of metadata only the name may be restricted."""
    stated = (schema.get("properties") or {}).get("metadata")
    if not isinstance(stated, dict):
        return []
    where = f"{path}.properties[metadata]"
    found: Errors = []
    if stated.get("default") is not None:
        found.append(_forbidden(f"{where}.default", "must not be set in metadata"))
    allowed = {"type", "description", "title", "properties", "required", "x-kubernetes-map-type"}
    if any(stated.get(key) for key in stated.keys() - allowed) or (stated.get("properties") or {}).keys() - {
        "name",
        "generateName",
    }:
        found.append(
            _forbidden(
                where,
                "must not specify anything other than name and generateName, but metadata is implicitly specified",
            )
        )
    return found


def _structure(schema: Schema, path: str, depth: int, *, kind_of_parent: str) -> Errors:
    if depth > _DEPTH:
        return [fields.invalid(path, "...", f"must not be nested more than {_DEPTH} levels deep")]
    found = [_forbidden(f"{path}.{name}", text) for name, text in _UNSUPPORTED.items() if schema.get(name)]
    found += _types(schema, path, kind_of_parent)
    found += _children(schema, path, depth)
    found += _extensions(schema, path)
    found += _values(schema, path)
    for where, part in _parts(schema, path):
        found += _value_part(part, where, schema, depth + 1)
    return found


def _types(schema: Schema, path: str, kind_of_parent: str) -> Errors:
    type_ = schema.get("type") or ""
    if type_ and type_ not in TYPES:
        listed = ", ".join(f'"{one}"' for one in TYPES)
        text = f'Unsupported value: "{type_}": supported values: {listed}'
        return [kinds.FieldError(f"{path}.type", text, kinds.Reason.NOT_SUPPORTED)]
    if schema.get(_EITHER):
        if type_:
            return [fields.invalid(f"{path}.type", type_, f"must be empty if {_EITHER} is true")]
        return []
    if not type_ and kind_of_parent != "root" and not schema.get(_KEEP):
        return [fields.required(f"{path}.type", f"must not be empty for specified {kind_of_parent}")]
    return []


def _children(schema: Schema, path: str, depth: int) -> Errors:
    found: Errors = []
    properties = schema.get("properties") or {}
    others = schema.get("additionalProperties")
    for name, inner in properties.items():
        found += _structure(inner, f"{path}.properties[{name}]", depth + 1, kind_of_parent="object fields")
    if properties and others is not None and others is not False:
        text = "additionalProperties and properties are mutual exclusive"
        found.append(_forbidden(f"{path}.additionalProperties", text))
    elif others is False:
        found.append(_forbidden(f"{path}.additionalProperties", "additionalProperties cannot be set to false"))
    elif isinstance(others, dict):
        found += _structure(others, f"{path}.additionalProperties", depth + 1, kind_of_parent="object fields")
    items = schema.get("items")
    if isinstance(items, list):
        found.append(_forbidden(f"{path}.items", "items must be a schema object and not an array"))
    elif isinstance(items, dict):
        found += _structure(items, f"{path}.items", depth + 1, kind_of_parent="array items")
    elif schema.get("type") == "array":
        found.append(fields.required(f"{path}.items", "must be specified"))
    return found


def _extensions(schema: Schema, path: str) -> Errors:
    found: Errors = []
    if schema.get(_KEEP) is False:
        found.append(fields.invalid(f"{path}.{_KEEP}", schema[_KEEP], "must be true or undefined"))
    if schema.get(_EMBEDDED):
        if schema.get("type") != "object":
            found.append(
                fields.invalid(f"{path}.type", schema.get("type") or "", f"must be object if {_EMBEDDED} is true")
            )
        if not schema.get(_KEEP) and not schema.get("properties"):
            found.append(
                fields.required(f"{path}.properties", f"must not be empty if {_EMBEDDED} is true without {_KEEP}")
            )
    if schema.get("uniqueItems"):
        text = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        found.append(_forbidden(f"{path}.uniqueItems", text))
    map_type = schema.get(_MAP_TYPE)
    if map_type:
        if map_type not in ("granular", "atomic"):
            text = f'Unsupported value: "{map_type}": supported values: "granular", "atomic"'
            found.append(kinds.FieldError(f"{path}.{_MAP_TYPE}", text, kinds.Reason.NOT_SUPPORTED))
        if schema.get("type") != "object":
            text = f"must be object if {_MAP_TYPE} is specified"
            found.append(fields.invalid(f"{path}.type", schema.get("type") or "", text))
    return found + _list_type(schema, path)


def _list_type(schema: Schema, path: str) -> Errors:
    said, keys = schema.get(_LIST_TYPE), schema.get(_KEYS) or []
    where = f"{path}.{_LIST_TYPE}"
    found: Errors = []
    if said and said not in ("atomic", "set", "map"):
        text = f'Unsupported value: "{said}": supported values: "atomic", "map", "set"'
        return [kinds.FieldError(where, text, kinds.Reason.NOT_SUPPORTED)]
    if said and schema.get("type") != "array":
        return [fields.invalid(f"{path}.type", schema.get("type") or "", f"must be array if {_LIST_TYPE} is specified")]
    if keys and said != "map":
        found.append(fields.invalid(where, said, f"must be map if {_KEYS} is non-empty"))
    items = schema.get("items")
    items = items if isinstance(items, dict) else {}
    if said == "set" and items.get("nullable"):
        found.append(_forbidden(f"{path}.items.nullable", f"cannot be nullable when {_LIST_TYPE} is set"))
    if said == "set" and items.get("type") == "object" and items.get(_MAP_TYPE) != "atomic":
        text = f"must be atomic as item of a list with {_LIST_TYPE}=set"
        found.append(fields.invalid(f"{path}.items.{_MAP_TYPE}", items.get(_MAP_TYPE), text))
    if said == "set" and items.get("type") == "array" and items.get(_LIST_TYPE) not in (None, "atomic"):
        text = f"must be atomic as item of a list with {_LIST_TYPE}=set"
        found.append(fields.invalid(f"{path}.items.{_LIST_TYPE}", items.get(_LIST_TYPE), text))
    if said == "map":
        found += _map_keys(keys, items, schema, path)
    return found


def _map_keys(keys: list[str], items: Schema, schema: Schema, path: str) -> Errors:
    if not keys:
        return [fields.required(f"{path}.{_KEYS}", f"must not be empty if {_LIST_TYPE} is map")]
    found: Errors = []
    if items.get("type") != "object":
        text = f"must be object if parent array's {_LIST_TYPE} is map"
        found.append(fields.invalid(f"{path}.items.type", items.get("type") or "", text))
    properties = items.get("properties") or {}
    for number, key in enumerate(keys):
        inner = properties.get(key)
        if inner is None:
            text = "entries must all be names of item properties"
            found.append(fields.invalid(f"{path}.{_KEYS}[{number}]", key, text))
            continue
        if inner.get("type") not in _SCALARS:
            text = f"must be a scalar type if parent array's {_LIST_TYPE} is map"
            found.append(fields.invalid(f"{path}.items.properties[{key}].type", inner.get("type"), text))
        if key not in (items.get("required") or []) and inner.get("default") is None:
            text = f"this property is in {_KEYS}, so it must have a default or be a required property"
            found.append(fields.required(f"{path}.items.properties[{key}].default", text))
    if len(set(keys)) < len(keys):
        found.append(fields.invalid(f"{path}.{_KEYS}", keys, "must not have duplicate entries"))
    return found


def _values(schema: Schema, path: str) -> Errors:
    """Value validations that make no sense of themselves."""
    found: Errors = []
    pattern = schema.get("pattern")
    if pattern:
        try:
            re2.compile(pattern)
        except re2.error as error:
            found.append(
                fields.invalid(
                    f"{path}.pattern", pattern, f"must be a valid regular expression, but isn't: {_text(error)}"
                )
            )
    if schema.get("multipleOf") is not None and schema["multipleOf"] <= 0:
        found.append(fields.invalid(f"{path}.multipleOf", schema["multipleOf"], "must be greater than 0"))
    for name in ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"):
        if schema.get(name) is not None and schema[name] < 0:
            found.append(fields.invalid(f"{path}.{name}", schema[name], "must be greater than or equal to 0"))
    return found


def _text(error: Exception) -> str:
    cause = error.args[0] if error.args else ""
    return cause.decode(errors="replace") if isinstance(cause, bytes) else str(cause)


def _parts(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    for name in _JUNCTIONS:
        for number, part in enumerate(schema.get(name) or []):
            yield f"{path}.{name}[{number}]", part
    if isinstance(schema.get("not"), dict):
        yield f"{path}.not", schema["not"]


def _value_part(part: Schema, path: str, outside: Schema, depth: int) -> Errors:
    """A part in allOf, anyOf, oneOf or not: it says nothing of structure, and names nothing that is not there."""
    if depth > _DEPTH:
        return [fields.invalid(path, "...", f"must not be nested more than {_DEPTH} levels deep")]
    found: Errors = []
    either = bool(outside.get(_EITHER)) and part.get("type") in ("integer", "string")
    for name in _STRUCTURE:
        if part.get(name) and not (name == "type" and either):
            found.append(_forbidden(f"{path}.{name}", "must be empty to be structural"))
    found += [_forbidden(f"{path}.{name}", text) for name, text in _UNSUPPORTED.items() if part.get(name)]
    found += _values(part, path)
    known = outside.get("properties") or {}
    for name, inner in (part.get("properties") or {}).items():
        where = f"{path}.properties[{name}]"
        if name not in known and not isinstance(outside.get("additionalProperties"), dict) and not outside.get(_KEEP):
            outer = f"{_outer(path)}.properties[{name}]"
            found.append(fields.required(outer, f"because it is defined in {where}"))
        found += _value_part(inner, where, known.get(name) or {_KEEP: True}, depth + 1)
    if isinstance(part.get("items"), dict):
        stated = outside.get("items")
        inside: Schema = stated if isinstance(stated, dict) else {_KEEP: True}
        found += _value_part(part["items"], f"{path}.items", inside, depth + 1)
    for where, deeper in _parts(part, path):
        found += _value_part(deeper, where, outside, depth + 1)
    return found


def _outer(path: str) -> str:
    cuts = [path.find(f".{name}[") for name in _JUNCTIONS] + [path.find(".not")]
    return path[: min((cut for cut in cuts if cut >= 0), default=len(path))]
