"""OpenAPI v2 from v3, and its protobuf."""

from typing import Any

import pytest

from boxfleet.apiserver import faults, openapi_proto, openapi_v2

V3: dict[str, Any] = {
    "info": {"title": "t", "version": "v1"},
    "components": {
        "schemas": {
            "A": {
                "type": "object",
                "properties": {
                    "b": {"allOf": [{"$ref": "#/components/schemas/B"}], "description": "b"},
                    "m": {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/B"}},
                    "l": {"type": "array", "items": {"type": "string"}, "minItems": 1},
                },
            },
            "B": {"oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"},
        }
    },
    "paths": {
        "/a/{name}": {
            "put": {
                "description": "put A",
                "parameters": [{"name": "dryRun", "in": "query", "schema": {"type": "string"}}],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/A"}}}},
                "responses": {"200": {"description": "OK"}},
                "x-kubernetes-action": "put",
            },
            "parameters": [{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}],
        }
    },
}


def test_schemas_and_operations() -> None:
    merged = openapi_v2.merge([V3])
    properties = merged["definitions"]["A"]["properties"]
    assert properties["b"] == {"$ref": "#/definitions/B", "description": "b"}
    assert properties["m"]["additionalProperties"] == {"$ref": "#/definitions/B"}
    assert merged["definitions"]["B"] == {"type": "string", "format": "int-or-string"}
    put = merged["paths"]["/a/{name}"]["put"]
    assert put["operationId"] == "putAName"
    assert put["parameters"][0]["schema"] == {"$ref": "#/definitions/A"}
    assert put["parameters"][1] == {"name": "dryRun", "in": "query", "type": "string", "uniqueItems": True}
    assert put["consumes"] == ["application/json"]


def test_protobuf_is_well_formed() -> None:
    numbers = [number for number, _ in _fields(openapi_proto.encode(openapi_v2.merge([V3])))]
    assert numbers == [1, 2, 8, 9]


def _fields(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(data):
        key, at = _varint(data, at)
        assert key & 7 == 2
        size, at = _varint(data, at)
        found.append((key >> 3, data[at : at + size]))
        at += size
    assert at == len(data)
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 0x80:
            return value, at


def test_what_is_accepted() -> None:
    for header, media in (
        ("", "application/json"),
        ("text/html, */*", "application/json"),
        (openapi_v2.PROTOBUF[0], openapi_v2.PROTOBUF[1]),
        (f"{openapi_v2.PROTOBUF[1]};q=1,application/json", openapi_v2.PROTOBUF[1]),
    ):
        assert openapi_v2.accepted(header) == media
    with pytest.raises(faults.Fault):
        openapi_v2.accepted("text/html")
