"""OpenAPI v2 (``/openapi/v2``), made from the documents of OpenAPI v3: for old clients and for generators.

One document holds everything. What v2 cannot say (alternatives, references with neighbours) is said as Kubernetes
says it there.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec

from boxfleet.apiserver import faults, negotiate, openapi, openapi_proto

Json = dict[str, Any]

# As kubectl asks for it: until 1.26, and since.
PROTOBUF = (
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
)
_OPERATIONS = ("get", "put", "post", "patch", "delete")
_V3 = "#/components/schemas/"
_V2 = "#/definitions/"


class Documents:
    """The document in both encodings, made anew when the ones that it is made of change."""

    def __init__(self, source: openapi.Documents) -> None:
        self._source = source
        self._of = b""
        self._built: dict[bool, openapi.Document] = {}

    def document(self, *, protobuf: bool) -> openapi.Document:
        """The document as JSON or in protobuf. The first call takes some tenths of a second."""
        index = self._source.index()
        if index != self._of:
            self._of = index
            self._built.clear()
        built = self._built.get(protobuf)
        if built is None:
            paths = sorted(msgspec.json.decode(index)["paths"])
            found = [self._source.document(path) for path in paths]
            merged = merge(msgspec.json.decode(each.body) for each in found if each is not None)
            body = openapi_proto.encode(merged) if protobuf else msgspec.json.encode(merged)
            built = self._built[protobuf] = openapi.Document(body, hashlib.sha256(body).hexdigest()[:32].upper())
        return built


def accepted(header: str) -> str:
    """The media type of the answer: what an Accept header asks for first; raises Fault 406."""
    if not header.strip():
        return negotiate.JSON
    for part in header.split(","):
        media = part.partition(";")[0].strip()
        if media in PROTOBUF:
            # The older name is none that a Content-Type may have.
            return PROTOBUF[-1]
        if media in (negotiate.JSON, "*/*", "application/*"):
            return negotiate.JSON
    raise faults.not_acceptable([negotiate.JSON, *PROTOBUF])


def merge(documents: Iterable[Json]) -> Json:
    """One v2 document of all v3 documents."""
    paths: Json = {}
    definitions: Json = {}
    info: Json = {}
    for document in documents:
        info = document["info"]
        for name, schema in document["components"]["schemas"].items():
            definitions.setdefault(name, _schema(schema))
        for path, item in document["paths"].items():
            paths[path] = _path(path, item)
    return {
        "swagger": "2.0",
        "info": info,
        "paths": dict(sorted(paths.items())),
        "definitions": dict(sorted(definitions.items())),
        "securityDefinitions": {
            "BearerToken": {
                "description": "Bearer Token authentication",
                "type": "apiKey",
                "name": "authorization",
                "in": "header",
            }
        },
        "security": [{"BearerToken": []}],
    }


def _schema(schema: Json) -> Json:
    result: Json = {}
    for key, value in schema.items():
        if key == "$ref":
            result["$ref"] = value.replace(_V3, _V2)
        elif key == "allOf":
            # A reference with a description beside it, which v2's readers take as it is.
            result |= _schema(value[0])
        elif key == "oneOf":
            # An amount or a port: v2 calls it text, and its readers let numbers pass there.
            result["type"] = "string"
        elif key == "properties":
            result[key] = {name: _schema(inner) for name, inner in value.items()}
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            result[key] = _schema(value)
        else:
            result[key] = value
    return result


def _path(path: str, item: Json) -> Json:
    result: Json = {name: _operation(path, item[name]) for name in _OPERATIONS if name in item}
    if "parameters" in item:
        result["parameters"] = [_parameter(each) for each in item["parameters"]]
    return result


def _operation(path: str, operation: Json) -> Json:
    result: Json = {key: value for key, value in operation.items() if key == "description" or key.startswith("x-")}
    result["operationId"] = _identity(path, operation)
    result["schemes"] = ["https"]
    result["produces"] = ["application/json"]
    parameters = [_parameter(each) for each in operation.get("parameters", ())]
    content = operation.get("requestBody", {}).get("content", {})
    result["consumes"] = list(content) or ["*/*"]
    if content:
        body = _schema(next(iter(content.values()))["schema"])
        parameters.insert(0, {"name": "body", "in": "body", "required": True, "schema": body})
    result["parameters"] = parameters
    result["responses"] = {code: _response(answer) for code, answer in operation["responses"].items()}
    return result


def _parameter(parameter: Json) -> Json:
    rest: Json = {key: value for key, value in parameter.items() if key != "schema"}
    return {**rest, **parameter["schema"], "uniqueItems": True}


def _response(answer: Json) -> Json:
    result = {"description": answer["description"]}
    for content in answer.get("content", {}).values():
        result["schema"] = _schema(content["schema"])
    return result


def _identity(path: str, operation: Json) -> str:
    """A name for the operation that no other has: what it does, and where."""
    words = [word.strip("{}") for word in path.replace(".", "/").replace("-", "/").split("/") if word]
    return "".join([operation["x-kubernetes-action"], *(word[:1].upper() + word[1:] for word in words)])
