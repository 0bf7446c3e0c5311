"""Kubernetes' protobuf form written from the tables it is read by, and objects to write."""

import base64
import functools
from typing import Any

import msgspec
from hypothesis import strategies

from boxfleet.apiserver import protobuf_records as records

_texts = strategies.text(strategies.characters(codec="utf-8"), max_size=8)
_numbers = strategies.integers(-(2**63), 2**63 - 1)
_SIMPLE: dict[str, strategies.SearchStrategy[Any]] = {
    "text": _texts.filter(bool),
    "value": _texts,
    "int": _numbers,
    "count": _numbers.filter(bool),
    "bool": strategies.booleans(),
    "flag": strategies.just(True),
    "bytes": strategies.binary(max_size=8).map(lambda data: base64.b64encode(data).decode()),
    "texts": strategies.lists(_texts, max_size=3),
    "quantity": strategies.sampled_from(["1", "250m", "1Gi"]),
    "number or text": strategies.integers(-(2**31), 2**31 - 1) | _texts,
    "time": strategies.sampled_from(["1970-01-01T00:00:00Z", "2023-11-14T22:13:20Z"]),
    "json": strategies.dictionaries(_texts, strategies.just({}), min_size=1, max_size=2),
}
_TIMES = {"1970-01-01T00:00:00Z": 0, "2023-11-14T22:13:20Z": 1700000000}


def field(number: int, value: bytes | str | int) -> bytes:
    """One field of a message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(number: int) -> bytes:
    """A number; a negative one as Go writes it."""
    number %= 2**64
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    """A whole body."""
    return b"k8s\x00" + field(1, field(1, api_version) + field(2, kind)) + field(2, raw) + field(3, "") + field(4, "")


def body(obj: dict[str, Any]) -> bytes:
    """A whole object."""
    return envelope(obj["apiVersion"], obj["kind"], message(f"{obj['apiVersion']}/{obj['kind']}", obj))


def message(record: str, obj: dict[str, Any]) -> bytes:
    """An object's fields as a record; what is not set is left out."""
    return b"".join(_field(number, each, obj) for number, each in records.RECORDS[record].items())


@functools.cache
def objects(record: str) -> strategies.SearchStrategy[dict[str, Any]]:
    """Objects of a record with a few of its fields."""
    found = _named(record)
    if not found:
        return strategies.just({})
    chosen = strategies.sets(strategies.sampled_from(sorted(found)), max_size=5)
    return chosen.flatmap(lambda names: strategies.fixed_dictionaries({name: found[name] for name in sorted(names)}))


def _named(record: str) -> dict[str, strategies.SearchStrategy[Any]]:
    found: dict[str, strategies.SearchStrategy[Any]] = {}
    for each in records.RECORDS[record].values():
        if each.type.startswith("Unset"):
            continue
        if each.shape == "&":
            found |= _named(each.type)
            continue
        one = _SIMPLE[each.type] if each.type in _SIMPLE else objects(each.type)
        if each.shape == "*":
            one = strategies.lists(one, min_size=1, max_size=2)
        elif each.shape == "{}":
            one = strategies.dictionaries(_texts, one, min_size=1, max_size=2)
        found[each.name] = one
    return found


def _field(number: int, told: records.Field, obj: dict[str, Any]) -> bytes:
    if told.type.startswith("Unset"):
        return field(number, b"")
    if told.shape == "&":
        return field(number, message(told.type, obj))
    if told.name not in obj:
        # Go writes zeros for much of what is not set.
        return {"text": field(number, ""), "time": field(number, b"")}.get(told.type) or (
            field(number, 0) if told.type in ("count", "flag") else b""
        )
    value = obj[told.name]
    if told.shape == "*":
        return b"".join(field(number, _value(told.type, each)) for each in value)
    if told.shape == "{}":
        return b"".join(field(number, field(1, key) + field(2, _value(told.type, each))) for key, each in value.items())
    return field(number, _value(told.type, value))


def _value(type_: str, value: Any) -> bytes | str | int:
    match type_:
        case "text" | "value":
            return str(value)
        case "int" | "count" | "bool" | "flag":
            return int(value)
        case "bytes":
            return base64.b64decode(value)
        case "texts":
            return b"".join(field(1, each) for each in value)
        case "quantity":
            return field(1, value)
        case "number or text":
            is_text = isinstance(value, str)
            return field(1, int(is_text)) + field(2, 0 if is_text else value) + field(3, value if is_text else "")
        case "time":
            return field(1, _TIMES[value]) + field(2, 0)
        case "json":
            return field(1, msgspec.json.encode(value))
    return message(type_, value)
