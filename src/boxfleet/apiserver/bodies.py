"""Reading request bodies within limits: size, text, depth."""

import collections
import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from boxfleet.apiserver import faults, negotiate, protobuf, route

SIZE_LIMIT = 3 * 2**20
# The deepest standard schema is about 20 levels deep.
DEPTH_LIMIT = 100
_NESTED = (dict, list)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_NAME_END = re.compile(rb'"[ \t\r\n]*:')


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
        if _SURROGATE.search(body) is not None:
            # Alone they are JSON but no text; they could not be written again.
            msgspec.json.encode(value)
    except RecursionError:
        raise too_deep() from None
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


def duplicates(body: bytes, value: Any) -> list[str]:
    """Paths of fields that a JSON body says twice, given what it decodes to; of two values the later one counts."""
    if not _may_repeat(body, value):
        return []
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

    whole = json.loads(body, object_pairs_hook=collect)
    return list(_doubled_paths(whole, "")) if found else []


def _may_repeat(body: bytes, value: Any) -> bool:
    """Whether a name may come twice: what could be a name's end is counted, also within texts, against the names kept.

    Reading a body a second time for this takes as long as all other checks of a small object together.
    """
    kept = 0
    level = [value]
    while level:
        one = level.pop()
        if isinstance(one, dict):
            kept += len(one)
            level += [inner for inner in one.values() if isinstance(inner, _NESTED)]
        elif isinstance(one, list):
            level += [inner for inner in one if isinstance(inner, _NESTED)]
    return len(_NAME_END.findall(body)) != kept


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
        call.duplicates = duplicates(body, obj)
    return obj


def _check_depth(value: Any) -> None:
    level: list[Any] = [value]
    for _ in range(DEPTH_LIMIT):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, _NESTED)
        ]
        if not level:
            return
    raise too_deep()


def too_deep() -> faults.Fault:
    """400: nested beyond the limit."""
    return faults.bad_request(f"the body of the request is nested more than {DEPTH_LIMIT} levels deep")
