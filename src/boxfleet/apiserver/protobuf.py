"""Bodies in Kubernetes' protobuf form, as `kubectl create configmap` and its like send them.

The form is the four bytes ``k8s\\0`` and a runtime.Unknown message around the object; field numbers are those of
Kubernetes' published API definitions. Only kinds that kubectl writes this way are read, and a field that is not in
their tables is refused unless it is zero: nothing that was said is left out. Answers are always JSON.
"""

import base64
import datetime
from collections.abc import Iterator
from typing import Any

import msgspec

from boxfleet.apiserver import faults
from boxfleet.apiserver import protobuf_records as records
from boxfleet.kit import clock

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"

_VARINT, _BYTES = 0, 2
# What is written by hand has some hundreds; so many take a fifth of a second.
_FIELD_LIMIT = 50_000
# The year 10000 begins.
_TIME_LIMIT = 253402300800

Wire = int | bytes


def decode(body: bytes) -> dict[str, Any]:
    """The object as JSON data; raises Fault 400 when it is malformed and 415 when it has what is not read here."""
    if not body.startswith(_MAGIC):
        raise _malformed("it does not begin as Kubernetes' protobuf form does")
    whole = _Body()
    envelope = whole.message("Unknown", body[len(_MAGIC) :], 1, 2)
    about = whole.read("TypeMeta", _bytes(envelope.get(1, b"")))
    name = f"{about.get('apiVersion', '')}/{about.get('kind', '')}"
    if about.get("kind") == "DeleteOptions":
        # They belong to every group.
        name = "v1/DeleteOptions"
    if name not in records.RECORDS:
        raise faults.unsupported_media_type(["application/json"])
    return about | whole.read(name, _bytes(envelope.get(2, b"")))


class _Body:
    """A body that is read, as far as its fields are not too many: one of two bytes costs more time than JSON's do."""

    def __init__(self) -> None:
        self._left = _FIELD_LIMIT

    def read(self, record: str, data: bytes, into: dict[str, Any] | None = None) -> dict[str, Any]:
        """A message as JSON data, added to what was already read of it."""
        result: dict[str, Any] = {} if into is None else into
        known = records.RECORDS[record]
        for number, value in self._fields(data):
            field = known.get(number)
            if field is None:
                if value:
                    raise faults.unread_field(record, number)
            elif field.type.startswith("Unset"):
                self.read(field.type, _bytes(value))
            elif field.shape == "&":
                self.read(field.type, _bytes(value), result)
            elif field.shape == "*":
                result.setdefault(field.name, []).extend(self._items(field.type, value))
            elif field.shape == "{}":
                entry = self.message(f"an entry of {record}.{field.name}", _bytes(value), 1, 2)
                key = self._value("value", entry.get(1, b""))
                result.setdefault(field.name, {})[key] = self._value(field.type, entry.get(2, b""))
            elif field.type in records.RECORDS:
                self.read(field.type, _bytes(value), result.setdefault(field.name, {}))
            elif (read := self._value(field.type, value)) is None:
                result.pop(field.name, None)
            else:
                result[field.name] = read
        return result

    def message(self, name: str, data: bytes, *known: int) -> dict[int, Wire]:
        """The fields of a message that is no record; of one that is there twice the later counts."""
        found: dict[int, Wire] = {}
        for number, value in self._fields(data):
            if number in known:
                found[number] = value
            elif value:
                raise faults.unread_field(name, number)
        return found

    def _items(self, type_: str, value: Wire) -> Iterator[Any]:
        if type_ != "int" or isinstance(value, int):
            yield self._value(type_, value)
            return
        # Numbers may come packed.
        at = 0
        while at < len(value):
            self._count()
            number, at = _varint(value, at)
            yield self._value(type_, number)

    def _value(self, type_: str, value: Wire) -> Any:
        """What a field says; None: nothing, as Go writes what is not set."""
        match type_:
            case "text":
                return _text(value) or None
            case "value":
                return _text(value)
            case "int":
                return _int(value)
            case "count":
                return _int(value) or None
            case "bool":
                return bool(_int(value))
            case "flag":
                return bool(_int(value)) or None
            case "bytes":
                return base64.b64encode(_bytes(value)).decode()
            case "texts":
                return [
                    _text(each) for number, each in self._fields(_bytes(value)) if _is_first(number, each, "ExtraValue")
                ]
            case "quantity":
                return _text(self.message("Quantity", _bytes(value), 1).get(1, b""))
            case "number or text":
                return _number_or_text(self.message("IntOrString", _bytes(value), 1, 2, 3))
            case "time":
                return self._time(_bytes(value))
            case "json":
                return _json(_bytes(self.message("FieldsV1", _bytes(value), 1).get(1, b"")))
        return self.read(type_, _bytes(value))

    def _time(self, data: bytes) -> str | None:
        if not data:
            return None
        seconds = _int(self.message("Time", data, 1).get(1, 0))
        if not 0 <= seconds < _TIME_LIMIT:
            raise _malformed("a time is out of range")
        return clock.stamp(datetime.datetime.fromtimestamp(seconds, datetime.UTC))

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise _malformed(f"in protobuf form it may have {_FIELD_LIMIT} fields, and it has more")

    def _fields(self, data: bytes) -> Iterator[tuple[int, Wire]]:
        """Numbers and values of a message (protobuf encoding, protobuf.dev/programming-guides/encoding).

        Nothing that is read here has fields of a fixed size.
        """
        at = 0
        while at < len(data):
            self._count()
            tag, at = _varint(data, at)
            number, form = tag >> 3, tag & 7
            if not number or form not in (_VARINT, _BYTES):
                raise _malformed("it has a field of an unknown form")
            value, at = _varint(data, at)
            if form == _VARINT:
                yield number, value
                continue
            if at + value > len(data):
                raise _malformed("it ends too early")
            yield number, data[at : at + value]
            at += value


def _is_first(number: int, value: Wire, name: str) -> bool:
    if number != 1 and value:
        raise faults.unread_field(name, number)
    return number == 1


def _number_or_text(said: dict[int, Wire]) -> int | str:
    which = _int(said.get(1, 0))
    if which not in (0, 1):
        raise _malformed("a value is neither a number nor a text")
    return _text(said.get(3, b"")) if which else _int(said.get(2, 0))


def _json(data: bytes) -> Any:
    if not data:
        return None
    try:
        value = msgspec.json.decode(data)
        # Texts may be JSON and yet no text.
        msgspec.json.encode(value)
    except (msgspec.DecodeError, UnicodeError, ValueError, RecursionError):
        raise _malformed("a field is not valid JSON") from None
    return value


def _int(value: Wire) -> int:
    if not isinstance(value, int):
        raise _malformed("a number is not written as one")
    return value - 2**64 if value >= 2**63 else value


def _text(value: Wire) -> str:
    try:
        return _bytes(value).decode()
    except UnicodeDecodeError:
        raise _malformed("a text is not valid UTF-8") from None


def _bytes(value: Wire) -> bytes:
    if not isinstance(value, bytes):
        raise _malformed("a field has the wrong type")
    return value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise _malformed("it ends too early")
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if not byte & 0x80:
            if number >= 2**64:
                break
            return number, at
    raise _malformed("a number is too long")


def _malformed(cause: str) -> faults.Fault:
    return faults.bad_request(f"the body of the request is not valid: {cause}")
