"""What of a structural schema is found only by using it: wrong defaults, rules that do not compile."""

from typing import Any

from boxfleet.api import fields
from boxfleet.api import kind as kinds
from boxfleet.apiserver.custom import rules, shaping, values

Schema = dict[str, Any]
Errors = list[kinds.FieldError]


def errors(schema: Schema, path: str) -> Errors:
    """Everything wrong with the defaults and rules of a schema that is structural."""
    return _node(schema, path, correlatable=True)


def _node(schema: Schema, path: str, *, correlatable: bool) -> Errors:
    found = _default(schema, path)
    found += rules.stated_errors(schema, path, correlatable=correlatable)
    for name, inner in (schema.get("properties") or {}).items():
        found += _node(inner, f"{path}.properties[{name}]", correlatable=correlatable)
    others = schema.get("additionalProperties")
    if isinstance(others, dict):
        found += _node(others, f"{path}.additionalProperties", correlatable=correlatable)
    items = schema.get("items")
    if isinstance(items, dict):
        same = correlatable and schema.get("x-kubernetes-list-type") == "map"
        found += _node(items, f"{path}.items", correlatable=same)
    return found


def _default(schema: Schema, path: str) -> Errors:
    default = schema.get("default")
    if default is None:
        return []
    where = f"{path}.default"
    prune = shaping.pruner(schema)
    gone: list[str] = []
    if prune is not None:
        prune(_copied(default), "", gone)
    if gone:
        return [fields.invalid(where, default, f"must not have unknown fields: {', '.join(gone)}")]
    found: Errors = []
    values.compile(schema)(default, "", found)
    return [kinds.FieldError(where, error.message, error.reason) for error in found]


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value
