"""Custom schemas in the form that all kinds' schemas have: server-side apply merges by it."""

from typing import Any

from boxfleet.apiserver.schema import models, nodes

Schema = dict[str, Any]

_META = nodes.Ref(models.component("meta_v1.ObjectMeta"))
_TEXT = nodes.Scalar(type="string")


def component(group: str, version: str, kind: str) -> str:
    """The OpenAPI component name of a custom kind: ``com.example.stable.v1.CronTab``."""
    return ".".join((*reversed(group.split(".")), version, kind))


def records(name: str, schema: Schema) -> dict[str, nodes.Record]:
    """The records of a root schema by name; the root's is `name`."""
    found: dict[str, nodes.Record] = {}
    _record(name, schema, found, whole_object=True)
    return found


def _record(name: str, schema: Schema, found: dict[str, nodes.Record], *, whole_object: bool = False) -> nodes.Ref:
    fields: dict[str, nodes.Field] = {}
    found[name] = nodes.Record(
        name=name,
        description=schema.get("description") or "",
        fields=fields,
        map_type=schema.get("x-kubernetes-map-type") or "",
        open=bool(schema.get("x-kubernetes-preserve-unknown-fields")),
    )
    required = schema.get("required") or []
    if whole_object:
        fields |= {"apiVersion": nodes.Field(node=_TEXT), "kind": nodes.Field(node=_TEXT)}
        fields["metadata"] = nodes.Field(node=_META)
    for key, inner in (schema.get("properties") or {}).items():
        if whole_object and key in ("apiVersion", "kind", "metadata"):
            continue
        fields[key] = nodes.Field(
            node=_node(f"{name}.{key}", inner, found),
            required=key in required,
            description=inner.get("description") or "",
            default=inner.get("default"),
        )
    return nodes.Ref(name)


def _node(name: str, schema: Schema, found: dict[str, nodes.Record]) -> nodes.Node:
    if schema.get("x-kubernetes-int-or-string"):
        return nodes.IntOrString()
    match schema.get("type"):
        case "object":
            others = schema.get("additionalProperties")
            if isinstance(others, dict) and others:
                values = _node(f"{name}.*", others, found)
                return nodes.Mapping(values=values, map_type=schema.get("x-kubernetes-map-type") or "")
            embedded = bool(schema.get("x-kubernetes-embedded-resource"))
            if schema.get("properties") or embedded:
                return _record(name, schema, found, whole_object=embedded)
            return nodes.Anything(object_only=True)
        case "array":
            return nodes.Array(
                items=_node(f"{name}[]", schema.get("items") or {}, found),
                list_type=schema.get("x-kubernetes-list-type") or nodes.ATOMIC,
                map_keys=tuple(schema.get("x-kubernetes-list-map-keys") or ()),
            )
        case "string" | "boolean":
            return nodes.Scalar(type=schema["type"])
        case "integer":
            return nodes.Scalar(type="integer", format="int64")
        case "number":
            return nodes.Scalar(type="number", format="double")
    return nodes.Anything()
