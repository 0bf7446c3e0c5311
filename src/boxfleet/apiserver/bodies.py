"""Reading request bodies within limits: size, text, depth."""

import collections
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from boxfleet.apiserver import faults, negotiate, protobuf, route

SIZE_LIMIT = 3 * 2**20
# The deepest standard schema is about 20 levels deep.
DEPTH_LIMIT = 100
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_SPACED_END = re.compile(rb'"[ \t\r\n]+:')
_NAME_END = re.compile(rb'"[ \t\r\n]*:')


async def read(call: route.Call) -> bytes:
    """The whole body; raises Fault 413 beyond the limit."""
    length = call.headers.get("content-length", "")
    if length.isdigit() and int(length) > SIZE_LIMIT:
        raise faults.too_large(SIZE_LIMIT)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await call.receive()
        if message["type"] == "http.disconnect":
            raise faults.bad_request("the client went away before the body was complete")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > SIZE_LIMIT:
            raise faults.too_large(SIZE_LIMIT)
        if not message.get("more_body"):
            return b"".join([*chunks, chunk]) if chunks else bytes(chunk)
        chunks.append(chunk)


def decode(body: bytes) -> Any:
    """The JSON value of a body; raises Fault 400."""
    value = _decode(body)
    if not _is_flat(body):
        _names(value)
    return value


def decode_strictly(body: bytes) -> tuple[Any, list[str]]:
    """The JSON value of a body, and the paths of fields that it says twice, of which the later one counts.

    Raises Fault 400.
    """
    value = _decode(body)
    if _is_flat(body) and msgspec.json.encode(value) == body:
        # What would be written just so says nothing twice. Programs write no spaces, so that this is the usual case.
        return value, []
    names = _names(value)
    # What could be a name's end is counted, also within texts. To read a body a second time, with its names, takes as
    # long as all other checks of a small object together.
    ends = body.count(b'":') if _SPACED_END.search(body) is None else len(_NAME_END.findall(body))
    return value, [] if ends == names else _duplicates(body)


def _decode(body: bytes) -> Any:
    try:
        value = msgspec.json.decode(body)
        if b"\\" in body and _SURROGATE.search(body) is not None:
            # Alone they are JSON but no text; they could not be written again.
            msgspec.json.encode(value)
    except RecursionError:
        raise too_deep() from None
    except (msgspec.DecodeError, UnicodeError, ValueError) as error:
        raise faults.bad_request(f"the body of the request is not valid JSON: {error}") from None
    return value


def _is_flat(body: bytes) -> bool:
    """Whether a body has too few brackets, also within texts, to be nested too deeply."""
    # Counting them looks at every byte by itself, which takes twice as long as to split.
    objects, lists = body.split(b"{", DEPTH_LIMIT), body.split(b"[", DEPTH_LIMIT)
    return len(objects) + len(lists) - 2 < DEPTH_LIMIT


def _names(value: Any, *, levels: int = DEPTH_LIMIT) -> int:
    """How many names there are in all objects of a value; raises Fault 400 when it is nested too deeply."""
    count = 0
    inside: Iterable[Any] = ()
    if type(value) is dict:
        count, inside = len(value), value.values()
    elif type(value) is list:
        inside = value
    for inner in inside:
        if type(inner) is dict or type(inner) is list:
            if levels <= 1:
                raise too_deep()
            count += _names(inner, levels=levels - 1)
    return count


class _Doubled(dict[str, Any]):
    """An object in which some names came more than once."""

    names: tuple[str, ...] = ()


def _duplicates(body: bytes) -> list[str]:
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
        decoded = protobuf.decode(body)
        _names(decoded)
        return decoded
    if media != negotiate.JSON:
        raise faults.unsupported_media_type([negotiate.JSON])
    value, duplicates = decode_strictly(body)
    if not isinstance(value, dict):
        raise faults.bad_request("the body of the request is not a JSON object")
    if duplicates and call.one("fieldValidation") != "Ignore":
        call.duplicates = duplicates
    return value


def too_deep() -> faults.Fault:
    """400: nested beyond the limit."""
    return faults.bad_request(f"the body of the request is nested more than {DEPTH_LIMIT} levels deep")
