"""OpenAPI v3: the index (``/openapi/v3``) and one document per group and version.

kubectl reads the schemas for ``explain`` and for strategic merges, and the query parameters of each kind's PATCH
operation to learn whether the server validates fields itself (`fieldValidation`) and knows `dryRun`.
Documents are built when first asked for and kept as bytes.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from boxfleet.api import kind as kinds
from boxfleet.apiserver import discovery
from boxfleet.apiserver.schema import models, nodes, schemas

_REF = "#/components/schemas/"
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
_LIST_META = models.component("meta_v1.ListMeta")
_DELETE_OPTIONS = models.component("meta_v1.DeleteOptions")
_STATUS = models.component("meta_v1.Status")
_OBJECT_META = models.component("meta_v1.ObjectMeta")
_GVK = "x-kubernetes-group-version-kind"
_ACTION = "x-kubernetes-action"

_LEAVES: dict[str, dict[str, Any]] = {
    _QUANTITY: {
        "description": "A number with a suffix: decimal (n, u, m, k, M, G, T, P, E), binary (Ki, Mi, Gi, Ti, Pi, Ei) "
        "or an exponent. Examples: 500m is half a CPU, 128Mi is 128 times 2^20 bytes.",
        "oneOf": [{"type": "string"}, {"type": "number"}],
    },
    _INT_OR_STRING: {
        "description": "An integer or a string, such as a port by number or by name.",
        "format": "int-or-string",
        "oneOf": [{"type": "integer"}, {"type": "string"}],
    },
}


@dataclasses.dataclass(frozen=True, slots=True)
class Document:
    """An encoded document and the hash that its URL in the index carries."""

    body: bytes
    hash: str


class Documents:
    """All OpenAPI documents of a server, built lazily."""

    def __init__(self, served: Sequence[kinds.Kind], known: schemas.Schemas, *, version: str) -> None:
        """`version` is the Kubernetes version that the server reports."""
        self._schemas = known
        self._version = version
        self._served = served
        # Documents with the kinds that they are about.
        self._built: dict[str, tuple[list[kinds.Kind], Document]] = {}

    def index(self) -> bytes:
        """The answer to ``/openapi/v3``: where each document is, with a hash so that clients may keep it."""
        paths = {
            path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={self._document(path, served).hash}"}
            for path, served in sorted(self._groups().items())
        }
        return msgspec.json.encode({"paths": paths})

    def document(self, path: str) -> Document | None:
        """The document of ``api/v1`` or ``apis/GROUP/VERSION``; None when there is none."""
        served = self._groups().get(path)
        return self._document(path, served) if served is not None else None

    def _groups(self) -> dict[str, list[kinds.Kind]]:
        groups: dict[str, list[kinds.Kind]] = {}
        for kind in list(self._served):
            path = f"apis/{kind.group}/{kind.version}" if kind.group else f"api/{kind.version}"
            groups.setdefault(path, []).append(kind)
        return groups

    def _document(self, path: str, served: list[kinds.Kind]) -> Document:
        """The document, made anew when its kinds changed: a custom kind is another one after every change."""
        kept = self._built.get(path)
        if kept is not None and kept[0] == served:
            return kept[1]
        body = msgspec.json.encode(self._build(path, served))
        built = Document(body, hashlib.sha256(body).hexdigest()[:32].upper())
        self._built[path] = (served, built)
        return built

    def _build(self, path: str, served: list[kinds.Kind]) -> dict[str, Any]:
        library = models.Library()
        components: dict[str, Any] = {}
        paths: dict[str, Any] = {}
        for kind in served:
            root = self._schemas.root(kind)
            custom = self._schemas.custom(kind)
            if custom is not None:
                self._component(_OBJECT_META, components, library)
                components[root] = _published(custom.stated)
            else:
                self._component(root, components, library)
            components[root][_GVK] = [_gvk(kind)]
            if not kind.model and custom is None:
                _borrow_descriptions(components[root])
            if "list" in kind.verbs:
                self._list(kind, root, components, library)
            if kind.scale is not None:
                scale = models.component("autoscaling_v1.Scale")
                self._component(scale, components, library)
                components[scale][_GVK] = [{"group": "autoscaling", "kind": "Scale", "version": "v1"}]
            paths |= _paths(f"/{path}", kind, root)
        for name in (_DELETE_OPTIONS, _STATUS):
            self._component(name, components, library)
        return {
            "openapi": "3.0.0",
            "info": {"title": "Boxfleet", "version": self._version},
            "paths": dict(sorted(paths.items())),
            "components": {"schemas": dict(sorted(components.items()))},
        }

    def _list(self, kind: kinds.Kind, root: str, components: dict[str, Any], library: models.Library) -> None:
        self._component(_LIST_META, components, library)
        components[root.removesuffix(kind.kind) + kind.listed] = {
            "description": f"A list of {kind.kind} objects.",
            "type": "object",
            "required": ["items"],
            "properties": {
                "apiVersion": {"type": "string", "description": _DESCRIPTIONS["apiVersion"]},
                "kind": {"type": "string", "description": _DESCRIPTIONS["kind"]},
                "metadata": {"allOf": [{"$ref": _REF + _LIST_META}], "description": "Standard list metadata."},
                "items": {"type": "array", "items": {"$ref": _REF + root}, "description": "The objects."},
            },
            _GVK: [{**_gvk(kind), "kind": kind.listed}],
        }

    def _component(self, name: str, components: dict[str, Any], library: models.Library) -> None:
        """Add a component and all that it refers to."""
        if name in components:
            return
        if name in _LEAVES:
            components[name] = _LEAVES[name]
            return
        record = self._schemas.described(name, library)
        entry: dict[str, Any] = {"type": "object"}
        components[name] = entry
        if record.description:
            entry["description"] = record.description
        if record.map_type:
            entry["x-kubernetes-map-type"] = record.map_type
        properties: dict[str, Any] = {}
        below: set[str] = set()
        for key, field in record.fields.items():
            properties[key] = _property(field, below)
        for other in sorted(below):
            self._component(other, components, library)
        for key, field in record.fields.items():
            # A field without words of its own has those of its type.
            inner = _ref_of(field.node)
            if "description" not in properties[key] and inner is not None:
                properties[key]["description"] = components[inner].get("description", "")
        if properties:
            entry["properties"] = properties
        required = [key for key, field in record.fields.items() if field.required]
        if required:
            entry["required"] = required


def _published(stated: dict[str, Any]) -> dict[str, Any]:
    """The schema of a custom kind with what every object has."""
    own: dict[str, Any] = {
        "apiVersion": {"type": "string", "description": _DESCRIPTIONS["apiVersion"]},
        "kind": {"type": "string", "description": _DESCRIPTIONS["kind"]},
        "metadata": {"allOf": [{"$ref": _REF + _OBJECT_META}], "description": _DESCRIPTIONS["metadata"]},
    }
    rest = {name: inner for name, inner in (stated.get("properties") or {}).items() if name not in own}
    return {**stated, "properties": own | rest}


_DESCRIPTIONS = {
    "apiVersion": "APIVersion defines the versioned schema of this representation of an object: group/version.",
    "kind": "Kind names the type of this object, in CamelCase. Cannot be changed.",
    "metadata": "Standard object's metadata: name, namespace, labels, annotations and bookkeeping.",
}


def _borrow_descriptions(component: dict[str, Any]) -> None:
    """What every object has needs no words in our own types."""
    for key, description in _DESCRIPTIONS.items():
        component["properties"][key]["description"] = description


def _property(field: nodes.Field, below: set[str]) -> dict[str, Any]:
    entry = _schema(field.node, below)
    if "$ref" in entry:
        # A reference may have no neighbours in OpenAPI 3.0.
        entry = {"allOf": [entry]}
    if field.description:
        entry["description"] = field.description
    if field.default is not None:
        entry["default"] = field.default
    if field.strategy:
        entry["x-kubernetes-patch-strategy"] = field.strategy
    if field.merge_key:
        entry["x-kubernetes-patch-merge-key"] = field.merge_key
    return entry


def _schema(node: nodes.Node, below: set[str]) -> dict[str, Any]:
    match node:
        case nodes.Ref():
            below.add(node.name)
            return {"$ref": _REF + node.name}
        case nodes.Quantity():
            below.add(_QUANTITY)
            return {"$ref": _REF + _QUANTITY}
        case nodes.IntOrString():
            below.add(_INT_OR_STRING)
            return {"$ref": _REF + _INT_OR_STRING}
        case nodes.Array():
            sizes = {"minItems": node.min_items, "maxItems": node.max_items}
            typed = {
                "x-kubernetes-list-type": node.list_type or None,
                "x-kubernetes-list-map-keys": list(node.map_keys) or None,
            }
            return {"type": "array", "items": _schema(node.items, below)} | _set(sizes) | _set(typed)
        case nodes.Mapping():
            atomic = _set({"x-kubernetes-map-type": node.map_type or None})
            return {"type": "object", "additionalProperties": _schema(node.values, below)} | atomic
        case nodes.RefOr():
            # Kubernetes publishes these without a word on what they hold.
            return {"x-kubernetes-preserve-unknown-fields": True}
        case nodes.Anything():
            entry: dict[str, Any] = {"x-kubernetes-preserve-unknown-fields": True}
            return ({"type": "object"} if node.object_only else {}) | entry
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


def _set(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _ref_of(node: nodes.Node) -> str | None:
    while isinstance(node, nodes.Array | nodes.Mapping):
        node = node.items if isinstance(node, nodes.Array) else node.values
    return node.name if isinstance(node, nodes.Ref) else None


def _gvk(kind: kinds.Kind) -> dict[str, str]:
    return {"group": kind.group, "kind": kind.kind, "version": kind.version}


def _paths(base: str, kind: kinds.Kind, root: str) -> dict[str, Any]:
    """Operations of a kind by path."""
    scope = f"{base}/namespaces/{{namespace}}" if kind.namespaced else base
    where = [_in_path("namespace")] if kind.namespaced else []
    named = [*where, _in_path("name")]
    item = f"{scope}/{kind.plural}/{{name}}"
    maker = _Operations(kind)
    if kind.computed:
        listed = {"get": maker.read("list", root.removesuffix(kind.kind) + kind.listed, _LIST_QUERY)}
        return {
            f"{scope}/{kind.plural}": listed | _set({"parameters": where or None}),
            item: {"get": maker.read("get", root, ()), "parameters": [*where, _in_path("name")]},
        }
    if not kind.stored:
        post: dict[str, Any] = {"post": maker.write("post", root, _WRITE_QUERY)}
        return {f"{scope}/{kind.plural}": post | _set({"parameters": where or None})}
    paths: dict[str, Any] = {
        f"{scope}/{kind.plural}": {
            "get": maker.read("list", root.removesuffix(kind.kind) + kind.listed, _LIST_QUERY),
            "post": maker.write("post", root, _WRITE_QUERY),
            "delete": maker.write("deletecollection", _DELETE_OPTIONS, (*_LIST_QUERY, *_DELETE_QUERY), answer=_STATUS),
        }
        | _set({"parameters": where or None}),
        item: {
            "get": maker.read("get", root, ()),
            "put": maker.write("put", root, _WRITE_QUERY),
            "patch": maker.patch(root),
            "delete": maker.write("delete", _DELETE_OPTIONS, _DELETE_QUERY, answer=_STATUS),
            "parameters": named,
        },
    }
    if "deletecollection" not in kind.verbs:
        del paths[f"{scope}/{kind.plural}"]["delete"]
    if kind.namespaced:
        paths[f"{base}/{kind.plural}"] = {
            "get": maker.read("list", root.removesuffix(kind.kind) + kind.listed, _LIST_QUERY)
        }
    for part in discovery.subresources(kind):
        if part.name not in ("status", "scale"):
            continue
        scale = models.component("autoscaling_v1.Scale")
        maker = _Operations(kind, part)
        schema = scale if part.name == "scale" else root
        paths[f"{item}/{part.name}"] = {
            "get": maker.read("get", schema, ()),
            "put": maker.write("put", schema, _WRITE_QUERY),
            "patch": maker.patch(schema),
            "parameters": named,
        }
    return paths


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _in_query(name: str, type_: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": {"type": type_}}


_WRITE_QUERY = (
    _in_query("dryRun", "string", "All: go through every step but storing."),
    _in_query("fieldManager", "string", "Who changes the object."),
    _in_query("fieldValidation", "string", "Ignore, Warn or Strict: what happens to unknown and duplicate fields."),
)
_DELETE_QUERY = (
    _in_query("dryRun", "string", "All: go through every step but storing."),
    _in_query("gracePeriodSeconds", "integer", "Seconds until the object is removed; zero is at once."),
    _in_query("propagationPolicy", "string", "Orphan, Background or Foreground: what happens to dependents."),
)
_LIST_QUERY = (
    _in_query("labelSelector", "string", "Only objects whose labels match."),
    _in_query("fieldSelector", "string", "Only objects whose fields match."),
    _in_query("limit", "integer", "At most so many objects; the answer says how to go on."),
    _in_query("continue", "string", "Go on with a list that was cut by limit."),
    _in_query("resourceVersion", "string", "Not older than this state."),
    _in_query("resourceVersionMatch", "string", "How resourceVersion is meant: Exact or NotOlderThan."),
    _in_query("timeoutSeconds", "integer", "How long the call may take."),
    _in_query("watch", "boolean", "Stay and report changes."),
    _in_query("allowWatchBookmarks", "boolean", "Report progress while nothing changes."),
    _in_query("sendInitialEvents", "boolean", "Begin a watch with the objects that are there."),
)
_PATCHES = ("application/json-patch+json", "application/merge-patch+json")
_STRATEGIC = "application/strategic-merge-patch+json"
_APPLY = "application/apply-patch+yaml"
_FORCE = _in_query("force", "boolean", "Take fields from their managers; for apply patches only.")


class _Operations:
    """Makes the operations of one kind, or of one of its subresources."""

    def __init__(self, kind: kinds.Kind, part: discovery.Subresource | None = None) -> None:
        self._kind = kind
        self._part = part
        self._gvk = _gvk(kind)
        if part is not None:
            self._gvk = {"group": part.group, "kind": part.kind, "version": part.version}

    def read(self, action: str, answer: str, query: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return self._operation(action, answer, query)

    def write(self, action: str, body: str, query: Sequence[dict[str, Any]], *, answer: str = "") -> dict[str, Any]:
        content = {"application/json": {"schema": {"$ref": _REF + body}}}
        operation = self._operation(action, answer or body, query)
        return operation | {"requestBody": {"content": content}}

    def patch(self, answer: str) -> dict[str, Any]:
        types = (*_PATCHES, *([_STRATEGIC] if self._kind.strategic else []), _APPLY)
        content = {type_: {"schema": {"type": "object"}} for type_ in types}
        return self._operation("patch", answer, (*_WRITE_QUERY, _FORCE)) | {"requestBody": {"content": content}}

    def _operation(self, action: str, answer: str, query: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return {
            "description": f"{action} {self._kind.kind}{f' ({self._part.name})' if self._part else ''}",
            "parameters": list(query),
            "responses": {
                "200": {"description": "OK", "content": {"application/json": {"schema": {"$ref": _REF + answer}}}},
                "401": {"description": "Unauthorized"},
            },
            _ACTION: action,
            _GVK: self._gvk,
        }
