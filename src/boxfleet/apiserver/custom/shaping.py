"""Pruning and defaulting of custom objects, compiled from their structural schema."""

import copy
from collections.abc import Callable
from typing import Any

Schema = dict[str, Any]
# Takes out of a value what its schema does not know, in place; adds the paths of what went to a list.
Prune = Callable[[Any, str, list[str]], None]
# Fills what is missing, in place.
Default = Callable[[Any], None]

# What every object has, also one within another (x-kubernetes-embedded-resource).
_ALWAYS = ("apiVersion", "kind", "metadata")


def pruner(schema: Schema, *, root: bool = False) -> Prune | None:
    """What prunes values of a schema; None when there is nothing to prune in them.

    A null goes silently where the schema takes none, as in Kubernetes.
    """
    if schema.get("type") in _SCALARS or schema.get("x-kubernetes-int-or-string"):
        return None
    if root or schema.get("x-kubernetes-embedded-resource"):
        properties: Schema = {**(schema.get("properties") or {}), **{name: {_KEEP: True} for name in _ALWAYS}}
        schema = {**schema, "properties": properties}
    fields: dict[str, Schema] = schema.get("properties") or {}
    known = {name: pruner(inner) for name, inner in fields.items()}
    deeper = {name: inner for name, inner in known.items() if inner is not None}
    solid = [name for name, inner in fields.items() if not inner.get("nullable")]
    others = schema.get("additionalProperties")
    rest = pruner(others) if isinstance(others, dict) else None
    solid_rest = isinstance(others, dict) and not others.get("nullable")
    free = bool(schema.get(_KEEP)) or bool(others)
    items = pruner(schema["items"]) if isinstance(schema.get("items"), dict) else None

    def prune_object(value: dict[str, Any], path: str, gone: list[str]) -> None:
        if not free:
            for name in [name for name in value if name not in known]:
                del value[name]
                gone.append(f"{path}.{name}" if path else name)
        for name in solid:
            if name in value and value[name] is None:
                del value[name]
        for name, inner in deeper.items():
            if name in value:
                inner(value[name], f"{path}.{name}" if path else name, gone)
        if not free or (rest is None and not solid_rest):
            return
        for name in [name for name in value if name not in known]:
            if solid_rest and value[name] is None:
                del value[name]
            elif rest is not None:
                rest(value[name], f"{path}.{name}" if path else name, gone)

    def prune(value: Any, path: str, gone: list[str]) -> None:
        if type(value) is dict:
            prune_object(value, path, gone)
        elif type(value) is list and items is not None:
            for index, item in enumerate(value):
                items(item, f"{path}[{index}]", gone)

    return prune


_SCALARS = ("string", "integer", "number", "boolean")
_KEEP = "x-kubernetes-preserve-unknown-fields"


def defaulter(schema: Schema) -> Default | None:
    """What fills defaults of a schema into values; None when there are none.

    A null counts as missing where the schema has a default and takes no null.
    """
    own = {
        name: (inner["default"], bool(inner.get("nullable")))
        for name, inner in (schema.get("properties") or {}).items()
        if inner.get("default") is not None
    }
    deeper = _present({name: defaulter(inner) for name, inner in (schema.get("properties") or {}).items()})
    names = frozenset(schema.get("properties") or {})
    others = schema.get("additionalProperties")
    rest = defaulter(others) if isinstance(others, dict) else None
    items = defaulter(schema["items"]) if isinstance(schema.get("items"), dict) else None
    if not own and not deeper and rest is None and items is None:
        return None

    def fill(value: Any) -> None:
        if type(value) is dict:
            for name, (default, nullable) in own.items():
                if name not in value or (value[name] is None and not nullable):
                    value[name] = copy.deepcopy(default)
            for name, inner in deeper.items():
                if name in value:
                    inner(value[name])
            if rest is not None:
                for name, item in value.items():
                    if name not in names:
                        rest(item)
        elif type(value) is list and items is not None:
            for item in value:
                items(item)

    return fill


def _present(found: dict[str, Default | None]) -> dict[str, Default]:
    return {name: inner for name, inner in found.items() if inner is not None}
