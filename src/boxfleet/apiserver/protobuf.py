"""Bodies in Kubernetes' protobuf form, as `kubectl create configmap` and its like send them.

The form is the four bytes ``k8s\\0`` and a runtime.Unknown message around the object; field numbers are those of
Kubernetes' published API definitions. Only kinds that kubectl writes this way are read; answers are always JSON.
"""

import base64
import datetime
from collections.abc import Iterator
from typing import Any

from boxfleet.apiserver import faults
from boxfleet.apiserver import protobuf_records as records
from boxfleet.kit import clock

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WORDS = {_FIXED64: 8, _FIXED32: 4}

Wire = int | bytes


def decode(body: bytes) -> dict[str, Any]:
    """The object as JSON data; raises Fault 400 when it is malformed and 415 when its kind is not read here."""
    if not body.startswith(_MAGIC):
        raise _malformed("it does not begin as Kubernetes' protobuf form does")
    envelope = dict(_fields(body[len(_MAGIC) :]))
    about = _read("TypeMeta", _bytes(envelope.get(1, b"")))
    name = f"{about.get('apiVersion', '')}/{about.get('kind', '')}"
    if about.get("kind") == "DeleteOptions":
        # They belong to every group.
        name = "v1/DeleteOptions"
    if "/" not in name or name not in records.RECORDS:
        raise faults.unsupported_media_type(["application/json"])
    return about | _read(name, _bytes(envelope.get(2, b"")))


def _read(record: str, data: bytes) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for number, value in _fields(data):
        field = records.RECORDS[record].get(number)
        if field is None:
            continue
        if field.shape == "map":
            entry = dict(_fields(_bytes(value)))
            key = _value("text", entry.get(1, b""))
            result.setdefault(field.name, {})[key] = _value(field.type, entry.get(2, b""))
        elif field.shape == "list":
            result.setdefault(field.name, []).append(_value(field.type, value))
        else:
            result[field.name] = _value(field.type, value)
    # Go writes empty texts and unset times; in JSON they are left out.
    return {key: value for key, value in result.items() if value not in ("", None)}


def _value(type_: str, value: Wire) -> Any:
    if type_ == "int" or type_ == "bool":
        if not isinstance(value, int):
            raise _malformed("a number is not written as one")
        signed = value - 2**64 if value >= 2**63 else value
        return bool(value) if type_ == "bool" else signed
    data = _bytes(value)
    if type_ == "text":
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise _malformed("a text is not valid UTF-8") from None
    if type_ == "texts":
        return [_value("text", each) for number, each in _fields(data) if number == 1]
    if type_ == "bytes":
        return base64.b64encode(data).decode()
    if type_ == "quantity":
        return _value("text", dict(_fields(data)).get(1, b""))
    if type_ == "number or text":
        said = dict(_fields(data))
        return _value("text", said.get(3, b"")) if said.get(1) == 1 else _value("int", said.get(2, 0))
    if type_ == "time":
        seconds = dict(_fields(data)).get(1, 0)
        if not isinstance(seconds, int) or not 0 < seconds < 2**37:
            return None
        return clock.stamp(datetime.datetime.fromtimestamp(seconds, datetime.UTC))
    return _read(type_, data)


def _bytes(value: Wire) -> bytes:
    if not isinstance(value, bytes):
        raise _malformed("a field has the wrong type")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, Wire]]:
    """Numbers and values of a message (protobuf encoding, protobuf.dev/programming-guides/encoding)."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == _VARINT:
            number, at = _varint(data, at)
            yield tag >> 3, number
            continue
        if kind == _BYTES:
            length, at = _varint(data, at)
        elif kind in _WORDS:
            length = _WORDS[kind]
        else:
            raise _malformed("it has a field of an unknown form")
        if at + length > len(data):
            raise _malformed("it ends too early")
        yield tag >> 3, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise _malformed("it ends too early")
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return number, at
    raise _malformed("a number is too long")


def _malformed(cause: str) -> faults.Fault:
    return faults.bad_request(f"the body of the request is not valid: {cause}")
