"""Bodies in Kubernetes' protobuf form, as `kubectl create configmap` and its like send them.

The form is the four bytes ``k8s\\0`` and a runtime.Unknown message around the object; field numbers are those of
Kubernetes' published API definitions. Only kinds that kubectl writes this way are read; answers are always JSON.
"""

import base64
import dataclasses
import datetime
from collections.abc import Iterator
from typing import Any

from boxfleet.apiserver import faults
from boxfleet.kit import clock

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WORDS = {_FIXED64: 8, _FIXED32: 4}

Wire = int | bytes


@dataclasses.dataclass(frozen=True, slots=True)
class _Field:
    """A field's JSON name; how one value is read (text, bytes, int, bool, time, or a record); whether it repeats."""

    name: str
    type: str = "text"
    shape: str = "one"


_Record = dict[int, _Field]

_OBJECT_REFERENCE: _Record = {
    number: _Field(name)
    for number, name in enumerate(
        ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"), start=1
    )
}
_RECORDS: dict[str, _Record] = {
    "ObjectMeta": {
        1: _Field("name"),
        2: _Field("generateName"),
        3: _Field("namespace"),
        5: _Field("uid"),
        6: _Field("resourceVersion"),
        7: _Field("generation", "int"),
        8: _Field("creationTimestamp", "time"),
        9: _Field("deletionTimestamp", "time"),
        10: _Field("deletionGracePeriodSeconds", "int"),
        11: _Field("labels", "text", "map"),
        12: _Field("annotations", "text", "map"),
        13: _Field("ownerReferences", "OwnerReference", "list"),
        14: _Field("finalizers", "text", "list"),
    },
    "OwnerReference": {
        1: _Field("kind"),
        3: _Field("name"),
        4: _Field("uid"),
        5: _Field("apiVersion"),
        6: _Field("controller", "bool"),
        7: _Field("blockOwnerDeletion", "bool"),
    },
    "ObjectReference": _OBJECT_REFERENCE,
    "LocalObjectReference": {1: _Field("name")},
    "NamespaceSpec": {1: _Field("finalizers", "text", "list")},
    "NamespaceStatus": {1: _Field("phase")},
    "Preconditions": {1: _Field("uid"), 2: _Field("resourceVersion")},
    "DeleteOptions": {
        1: _Field("gracePeriodSeconds", "int"),
        2: _Field("preconditions", "Preconditions"),
        3: _Field("orphanDependents", "bool"),
        4: _Field("propagationPolicy"),
        5: _Field("dryRun", "text", "list"),
    },
    "v1/ConfigMap": {
        1: _Field("metadata", "ObjectMeta"),
        2: _Field("data", "text", "map"),
        3: _Field("binaryData", "bytes", "map"),
        4: _Field("immutable", "bool"),
    },
    "v1/Secret": {
        1: _Field("metadata", "ObjectMeta"),
        2: _Field("data", "bytes", "map"),
        3: _Field("type"),
        4: _Field("stringData", "text", "map"),
        5: _Field("immutable", "bool"),
    },
    "v1/Namespace": {
        1: _Field("metadata", "ObjectMeta"),
        2: _Field("spec", "NamespaceSpec"),
        3: _Field("status", "NamespaceStatus"),
    },
    "v1/ServiceAccount": {
        1: _Field("metadata", "ObjectMeta"),
        2: _Field("secrets", "ObjectReference", "list"),
        3: _Field("imagePullSecrets", "LocalObjectReference", "list"),
        4: _Field("automountServiceAccountToken", "bool"),
    },
    "v1/Binding": {1: _Field("metadata", "ObjectMeta"), 2: _Field("target", "ObjectReference")},
    "policy/v1/Eviction": {1: _Field("metadata", "ObjectMeta"), 2: _Field("deleteOptions", "DeleteOptions")},
}
_RECORDS["v1/DeleteOptions"] = _RECORDS["meta.k8s.io/v1/DeleteOptions"] = _RECORDS["DeleteOptions"]
_TYPE_META: _Record = {1: _Field("apiVersion"), 2: _Field("kind")}
_RECORDS["TypeMeta"] = _TYPE_META


def decode(body: bytes) -> dict[str, Any]:
    """The object as JSON data; raises Fault 400 when it is malformed and 415 when its kind is not read here."""
    if not body.startswith(_MAGIC):
        raise _malformed("it does not begin as Kubernetes' protobuf form does")
    envelope = dict(_fields(body[len(_MAGIC) :]))
    about = _read("TypeMeta", _bytes(envelope.get(1, b"")))
    name = f"{about.get('apiVersion', '')}/{about.get('kind', '')}"
    if "/" not in name or name not in _RECORDS:
        raise faults.unsupported_media_type(["application/json"])
    return about | _read(name, _bytes(envelope.get(2, b"")))


def _read(record: str, data: bytes) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for number, value in _fields(data):
        field = _RECORDS[record].get(number)
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
    if type_ == "bytes":
        return base64.b64encode(data).decode()
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
