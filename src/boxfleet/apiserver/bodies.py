"""Reading request bodies within limits: size, text, depth."""

import collections
import json
from collections.abc import Iterator
from typing import Any

import msgspec

from boxfleet.apiserver import faults, negotiate, protobuf, route

SIZE_LIMIT = 3 * 2**20
# The deepest standard schema is about 20 levels deep.
DEPTH_LIMIT = 100


async def read(call: route.Call) -> bytes:
    """The whole body; raises Fault 413 beyond the limit."""
    length = call.headers.get("content-length", "")
    if length.isdigit() and int(length) > SIZE_LIMIT:
        raise faults.too_large(SIZE_LIMIT)
    chunks = []
    size = 0
    while True:
        message = await call.receive()
        if message["type"] == "http.disconnect":
            raise faults.bad_request("the client went away before the body was complete")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > SIZE_LIMIT:
            raise faults.too_large(SIZE_LIMIT)
        chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks)


def decode(body: bytes) -> Any:
    """The JSON value of a body; raises Fault 400."""
    try:
        value = msgspec.json.decode(body)
        # Lone surrogates are JSON but no text; they could not be written again.
        msgspec.json.encode(value)
    except RecursionError:
        raise _too_deep() from None
    except (msgspec.DecodeError, UnicodeError, ValueError) as error:
        raise faults.bad_request(f"the body of the request is not valid JSON: {error}") from None
    if body.count(b"{") + body.count(b"[") > DEPTH_LIMIT:
        _check_depth(value)
    return value


def decode_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body; raises Fault 400."""
    value = decode(body)
    if not isinstance(value, dict):
        raise faults.bad_request("the body of the request is not a JSON object")
    return value


class _Doubled(dict[str, Any]):
    """An object in which some names came more than once."""

    names: tuple[str, ...] = ()


def duplicates(body: bytes) -> list[str]:
    """Paths of fields that a JSON body says twice; of two values the later one counts."""
    found = False

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal found
        plain = dict(pairs)
        if len(plain) == len(pairs):
            return plain
        found = True
        doubled = _Doubled(plain)
        counts = collections.Counter(name for name, _ in pairs)
        doubled.names = tuple(name for name, count in counts.items() if count > 1)
        return doubled

    value = json.loads(body, object_pairs_hook=collect)
    return list(_doubled_paths(value, "")) if found else []


def _doubled_paths(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, _Doubled):
        yield from (f"{path}.{name}".lstrip(".") for name in value.names)
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _doubled_paths(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _doubled_paths(inner, f"{path}[{number}]")


def decode_as(call: route.Call, body: bytes) -> dict[str, Any]:
    """The object of a body in the form that its Content-Type says; raises Fault 400 and 415."""
    media = negotiate.content_type(call.headers.get("content-type", ""))
    if media == protobuf.MEDIA_TYPE:
        return protobuf.decode(body)
    if media != negotiate.JSON:
        raise faults.unsupported_media_type([negotiate.JSON])
    obj = decode_object(body)
    if call.one("fieldValidation") != "Ignore":
        call.duplicates = duplicates(body)
    return obj


def _check_depth(value: Any) -> None:
    level: list[Any] = [value]
    for _ in range(DEPTH_LIMIT):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise _too_deep()


def _too_deep() -> faults.Fault:
    return faults.bad_request(f"the body of the request is nested more than {DEPTH_LIMIT} levels deep")
