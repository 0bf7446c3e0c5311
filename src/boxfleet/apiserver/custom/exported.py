"""Kinds of ours as CustomResourceDefinitions, for a Kubernetes cluster whose API server is to hold them.

What a definition cannot say is left out: computed columns show what is nearest by a path, and rules that look at more
than one field are the controllers' to bear. Only the newest version is served: to serve another, a Kubernetes API
server asks a webhook for every object.
"""

from collections.abc import Iterable
from typing import Any

from boxfleet.api import kind as kinds
from boxfleet.api import meta
from boxfleet.apiserver.schema import models, nodes, schemas

Json = dict[str, Any]

_META = models.component("meta_v1.ObjectMeta")
# What templates say of metadata. All else there is bookkeeping of objects: clients send it as null or empty, and a
# member that no schema names is dropped, where a null would be refused.
_TEMPLATE_META = ("annotations", "finalizers", "generateName", "labels", "name", "namespace", "ownerReferences")
_BORN = ".metadata.creationTimestamp"
_KEEP = "x-kubernetes-preserve-unknown-fields"
_NAME_LIMIT = 253
# As generators of definitions write amounts.
_AMOUNT = r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"  # fmt: skip  # noqa: E501


def definitions(types: Iterable[type[meta.Object]], *, selectable: bool) -> list[Json]:
    """A definition for each type; `selectable`: the server knows selectable fields (Kubernetes 1.31 and later)."""
    listed = list(types)
    known = schemas.Schemas(listed)
    return [_definition(each.KIND, known, selectable=selectable) for each in listed]


def _definition(kind: kinds.Kind, known: schemas.Schemas, *, selectable: bool) -> Json:
    # All that is below a kind is read along with it.
    known.check(kind, {})
    stated = _record(known.record(known.root(kind)), known, above=())
    stated["properties"] |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": _metadata(kind)}
    version: Json = {"name": kind.version, "served": True, "storage": True, "schema": {"openAPIV3Schema": stated}}
    if subresources := _subresources(kind):
        version["subresources"] = subresources
    if columns := [_column(each) for each in kind.columns if each.path]:
        version["additionalPrinterColumns"] = columns
    if selectable and kind.selectable:
        version["selectableFields"] = [{"jsonPath": f".{path}"} for path in kind.selectable]
    names: Json = {"plural": kind.plural, "singular": kind.singular, "kind": kind.kind, "listKind": kind.listed}
    if kind.short_names:
        names["shortNames"] = list(kind.short_names)
    if kind.categories:
        names["categories"] = list(kind.categories)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.qualified},
        "spec": {
            "group": kind.group,
            "names": names,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "versions": [version],
        },
    }


def _metadata(kind: kinds.Kind) -> Json:
    """Of metadata a definition may restrict names alone."""
    if kind.name_limit >= _NAME_LIMIT:
        return {"type": "object"}
    return {"type": "object", "properties": {"name": {"type": "string", "maxLength": kind.name_limit}}}


def _subresources(kind: kinds.Kind) -> Json:
    found: Json = {"status": {}} if kind.status else {}
    if kind.scale is not None:
        found["scale"] = {
            "specReplicasPath": kind.scale.spec_replicas,
            "statusReplicasPath": kind.scale.status_replicas,
            "labelSelectorPath": kind.scale.selector,
        }
    return found


def _column(column: kinds.Column) -> Json:
    found: Json = {
        "name": column.name,
        "type": "date" if column.path == _BORN else column.type,
        "jsonPath": column.path,
    }
    if column.description:
        found["description"] = column.description
    if column.format:
        found["format"] = column.format
    if column.priority:
        found["priority"] = column.priority
    return found


def _record(record: nodes.Record, known: schemas.Schemas, *, above: tuple[str, ...]) -> Json:
    """A record with everything below it in place: definitions know no references."""
    if record.name in above:
        return {"type": "object", _KEEP: True}
    above = (*above, record.name)
    fields = record.fields
    if record.name == _META:
        fields = {name: field for name, field in fields.items() if name in _TEMPLATE_META}
    found: Json = {"type": "object"}
    # Kubernetes' own words are most of the text of a pod template: they are told by `kubectl explain pod`.
    if record.description and not models.is_standard(record.name):
        found["description"] = record.description
    found["properties"] = {name: _field(field, known, above) for name, field in fields.items()}
    if required := [name for name, field in fields.items() if field.required]:
        found["required"] = required
    if record.map_type:
        found["x-kubernetes-map-type"] = record.map_type
    if record.open:
        found[_KEEP] = True
    return found


def _field(field: nodes.Field, known: schemas.Schemas, above: tuple[str, ...]) -> Json:
    found = _schema(field.node, known, above)
    if field.description:
        found["description"] = field.description
    if field.default is not None:
        found["default"] = field.default
    return found


def _without_defaults(items: Json) -> None:
    """What a list holds is kept as it was written, as by our own server.

    `kubectl apply` compares whole lists of custom kinds, and would find them changed each time.
    """
    for inner in (items.get("properties") or {}).values():
        inner.pop("default", None)
        _without_defaults(inner)


def _schema(node: nodes.Node, known: schemas.Schemas, above: tuple[str, ...]) -> Json:
    match node:
        case nodes.Ref():
            return _record(known.record(node.name), known, above=above)
        case nodes.Quantity():
            return _either() | {"pattern": _AMOUNT}
        case nodes.IntOrString():
            return _either()
        case nodes.Array():
            return _array(node, known, above)
        case nodes.Mapping():
            found: Json = {"type": "object", "additionalProperties": _schema(node.values, known, above)}
            return found | _set({"x-kubernetes-map-type": node.map_type or None})
        case nodes.RefOr():
            return {_KEEP: True}
        case nodes.Anything():
            return ({"type": "object"} if node.object_only else {}) | {_KEEP: True}
        case nodes.Scalar():
            bounds = {
                "format": node.format or None,
                "enum": list(node.enum) or None,
                "minimum": node.minimum,
                "maximum": node.maximum,
                "pattern": node.pattern or None,
                "minLength": node.min_length,
                "maxLength": node.max_length,
            }
            return {"type": node.type} | _set(bounds)


def _array(node: nodes.Array, known: schemas.Schemas, above: tuple[str, ...]) -> Json:
    items = _schema(node.items, known, above)
    keys, typed = node.map_keys, node.list_type
    if any(items["properties"][key].get("default") is not None for key in keys):
        # Such a key would have to be filled in: the list is owned as a whole instead (ports of containers).
        keys, typed = (), nodes.ATOMIC
    _without_defaults(items)
    # Without its key an item is none of a map; the standard types do not say so of all.
    if lacking := [key for key in keys if key not in items.get("required", ())]:
        items.setdefault("required", []).extend(lacking)
    stated = {
        "minItems": node.min_items,
        "maxItems": node.max_items,
        "x-kubernetes-list-type": typed or None,
        "x-kubernetes-list-map-keys": list(keys) or None,
    }
    return {"type": "array", "items": items} | _set(stated)


def _either() -> Json:
    return {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}


def _set(values: Json) -> Json:
    return {key: value for key, value in values.items() if value is not None}
