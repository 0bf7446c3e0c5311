"""OpenAPI v2 in protobuf, the only form in which kubectl reads it.

Field numbers are those of gnostic's published OpenAPIv2.proto; the wire is protobuf's (protobuf.dev, Encoding).
"""

import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

Json = dict[str, Any]
# Makes the bytes of one field from its number and its JSON value.
_Writer = Callable[[int, Any], bytes]


def encode(swagger: Json) -> bytes:
    """The message Document."""
    paths = b"".join(_named(2, name, _message(_PATH_ITEM, item)) for name, item in swagger["paths"].items())
    definitions = b"".join(_named(1, name, _schema(value)) for name, value in swagger["definitions"].items())
    return b"".join(
        (
            _text(1, swagger["swagger"]),
            _bytes(2, _message(_INFO, swagger["info"])),
            _bytes(8, paths),
            _bytes(9, definitions),
        )
    )


def _message(fields: Mapping[str, tuple[int, _Writer]], value: Json, *, extensions: int = 0) -> bytes:
    """All fields of a message in their order; vendor extensions (``x-``) last, in the field of that number."""
    parts = [write(number, value[name]) for name, (number, write) in fields.items() if name in value]
    if extensions:
        parts += [
            _named(extensions, name, _any(inner)) for name, inner in sorted(value.items()) if name.startswith("x-")
        ]
    return b"".join(parts)


def _schema(value: Json) -> bytes:
    return _message(_SCHEMA, value, extensions=31)


def _operation(number: int, value: Json) -> bytes:
    return _bytes(number, _message(_OPERATION, value, extensions=13))


def _parameters(number: int, value: Iterable[Json]) -> bytes:
    return b"".join(_bytes(number, _bytes(1, _parameter(each))) for each in value)


def _parameter(value: Json) -> bytes:
    """The message Parameter: a body, or by its place one of the others."""
    if value["in"] == "body":
        return _bytes(1, _message(_BODY, value))
    kind, fields = (3, _QUERY) if value["in"] == "query" else (4, _IN_PATH)
    return _bytes(2, _bytes(kind, _message(fields, value)))


def _responses(number: int, value: Json) -> bytes:
    # Each is a ResponseValue that holds a Response; a Response's schema is a SchemaItem that holds a Schema.
    named = []
    for code, answer in value.items():
        response = _text(1, answer["description"])
        if "schema" in answer:
            response += _bytes(2, _bytes(1, _schema(answer["schema"])))
        named.append(_named(1, code, _bytes(1, response)))
    return _bytes(number, b"".join(named))


def _properties(number: int, value: Json) -> bytes:
    return _bytes(number, b"".join(_named(1, name, _schema(inner)) for name, inner in value.items()))


def _inner(number: int, value: Json) -> bytes:
    """A message whose only field is a schema: ItemsItem, AdditionalPropertiesItem."""
    return _bytes(number, _bytes(1, _schema(value)))


def _plain_schema(number: int, value: Json) -> bytes:
    return _bytes(number, _schema(value))


def _type_item(number: int, value: str) -> bytes:
    return _bytes(number, _text(1, value))


def _any(value: object) -> bytes:
    """The message Any, whose YAML readers look at; JSON is YAML."""
    return _text(2, msgspec.json.encode(value).decode())


def _any_field(number: int, value: object) -> bytes:
    return _bytes(number, _any(value))


def _anys(number: int, value: Iterable[object]) -> bytes:
    return b"".join(_bytes(number, _any(each)) for each in value)


def _named(number: int, name: str, payload: bytes) -> bytes:
    return _bytes(number, _text(1, name) + _bytes(2, payload))


def _texts(number: int, value: Iterable[str]) -> bytes:
    return b"".join(_text(number, each) for each in value)


def _text(number: int, value: str) -> bytes:
    return _bytes(number, value.encode())


def _bytes(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _flag(number: int, value: object) -> bytes:
    return _varint(number << 3) + (b"\1" if value else b"\0")


def _whole(number: int, value: int) -> bytes:
    # A negative number takes the ten bytes of its two's complement.
    return _varint(number << 3) + _varint(value & 0xFFFF_FFFF_FFFF_FFFF)


def _double(number: int, value: float) -> bytes:
    return _varint(number << 3 | 1) + struct.pack("<d", value)


def _varint(value: int) -> bytes:
    result = bytearray()
    while value > 0x7F:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)


_INFO: dict[str, tuple[int, _Writer]] = {"title": (1, _text), "version": (2, _text)}
_PATH_ITEM: dict[str, tuple[int, _Writer]] = {
    "get": (2, _operation),
    "put": (3, _operation),
    "post": (4, _operation),
    "delete": (5, _operation),
    "patch": (8, _operation),
    "parameters": (9, _parameters),
}
_OPERATION: dict[str, tuple[int, _Writer]] = {
    "description": (3, _text),
    "operationId": (5, _text),
    "produces": (6, _texts),
    "consumes": (7, _texts),
    "parameters": (8, _parameters),
    "responses": (9, _responses),
    "schemes": (10, _texts),
}
_BODY: dict[str, tuple[int, _Writer]] = {
    "name": (2, _text),
    "in": (3, _text),
    "required": (4, _flag),
    "schema": (5, _plain_schema),
}
_IN_PATH: dict[str, tuple[int, _Writer]] = {
    "required": (1, _flag),
    "in": (2, _text),
    "description": (3, _text),
    "name": (4, _text),
    "type": (5, _text),
}
_QUERY: dict[str, tuple[int, _Writer]] = {**_IN_PATH, "type": (6, _text)}
_SCHEMA: dict[str, tuple[int, _Writer]] = {
    "$ref": (1, _text),
    "format": (2, _text),
    "description": (4, _text),
    "default": (5, _any_field),
    "maximum": (7, _double),
    "minimum": (9, _double),
    "maxLength": (11, _whole),
    "minLength": (12, _whole),
    "pattern": (13, _text),
    "maxItems": (14, _whole),
    "minItems": (15, _whole),
    "required": (19, _texts),
    "enum": (20, _anys),
    "additionalProperties": (21, _inner),
    "type": (22, _type_item),
    "items": (23, _inner),
    "properties": (25, _properties),
}
