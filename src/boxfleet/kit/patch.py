"""JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7386) on plain JSON values.

Neither changes what it is given. As Kubernetes does, ``replace`` of a missing map key adds it, and null values
in an array of a merge patch are kept. As there, too, an index below zero counts from the end of an array.
"""

import re
from collections.abc import Sequence
from typing import Any

# A patch may not do endless work: each operation can copy what it moves.
OPERATIONS_LIMIT = 10_000
# Copies may not grow a document without end.
_COPIED_LIMIT = 100_000
_INDEX = re.compile(r"0|-?[1-9]\d{0,8}")


class PatchError(ValueError):
    """The patch itself is malformed."""


class TooManyOperations(PatchError):
    """The patch has more operations than are taken."""


class PathError(ValueError):
    """The patch does not fit the document: a path is missing or a test fails."""


def merge(target: Any, patch: Any) -> Any:
    """Apply a merge patch: objects merge, null removes, everything else replaces."""
    if not isinstance(patch, dict):
        return _copy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = merge(result.get(key), value)
        else:
            result[key] = _copy(value)
    return result


def apply(document: Any, operations: Any) -> Any:
    """Apply a JSON patch; raises PatchError or PathError, naming the operation."""
    if not isinstance(operations, list):
        raise PatchError("a JSON patch is an array of operations")
    if len(operations) > OPERATIONS_LIMIT:
        raise TooManyOperations(
            f"The allowed maximum operations in a JSON patch is {OPERATIONS_LIMIT}, got {len(operations)}"
        )
    result = _copy(document)
    budget = [_COPIED_LIMIT]
    for number, operation in enumerate(operations):
        if not isinstance(operation, dict):
            raise PatchError(f"operation {number} is not an object")
        try:
            result = _operate(result, operation, budget)
        except PatchError as error:
            raise PatchError(f"operation {number}: {error}") from None
        except PathError as error:
            raise PathError(f"operation {number}: {error}") from None
    return result


def _operate(document: Any, operation: dict[str, Any], budget: list[int]) -> Any:
    name = operation.get("op")
    path = _pointer(operation, "path")
    if name in ("add", "replace", "test"):
        if "value" not in operation:
            raise PatchError(f"{name} needs a value")
        value = _copy(operation["value"])
        if name == "add":
            return _add(document, path, value)
        if name == "replace":
            return _replace(document, path, value)
        if not _same(_get(document, path), value):
            raise PathError(f"test failed: {operation['path']} has another value")
        return document
    if name == "remove":
        return _remove(document, path)
    if name in ("move", "copy"):
        source = _pointer(operation, "from")
        value = _get(document, source)
        if name == "copy":
            budget[0] -= _weight(value)
            if budget[0] < 0:
                raise PatchError("the patch copies too much")
            return _add(document, path, _copy(value))
        if path[: len(source)] == source and path != source:
            raise PathError("a value cannot move into itself")
        return _add(_remove(document, source), path, value)
    raise PatchError(f"op {name!r} is none of add, remove, replace, move, copy, test")


def _pointer(operation: dict[str, Any], field: str) -> list[str]:
    text = operation.get(field)
    if not isinstance(text, str):
        raise PatchError(f"{field} is missing")
    if text and not text.startswith("/"):
        raise PatchError(f"{field} {text!r} does not begin with a slash")
    return [step.replace("~1", "/").replace("~0", "~") for step in text.split("/")[1:]]


def _get(document: Any, path: Sequence[str]) -> Any:
    for step in path:
        if isinstance(document, dict) and step in document:
            document = document[step]
        elif isinstance(document, list):
            document = document[_index(document, step, extend=False)]
        else:
            raise PathError(f"there is no {'/'.join(('', *path))}")
    return document


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    holder = _get(document, path[:-1])
    if isinstance(holder, dict):
        holder[path[-1]] = value
    elif isinstance(holder, list):
        holder.insert(_index(holder, path[-1], extend=True), value)
    else:
        raise PathError(f"{'/'.join(('', *path[:-1]))} is neither an object nor an array")
    return document


def _replace(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    holder = _get(document, path[:-1])
    if isinstance(holder, dict):
        holder[path[-1]] = value
    elif isinstance(holder, list):
        holder[_index(holder, path[-1], extend=False)] = value
    else:
        raise PathError(f"{'/'.join(('', *path[:-1]))} is neither an object nor an array")
    return document


def _remove(document: Any, path: list[str]) -> Any:
    if not path:
        return None
    holder = _get(document, path[:-1])
    if isinstance(holder, dict) and path[-1] in holder:
        del holder[path[-1]]
    elif isinstance(holder, list):
        del holder[_index(holder, path[-1], extend=False)]
    else:
        raise PathError(f"there is no {'/'.join(('', *path))} to remove")
    return document


def _index(holder: list[Any], step: str, *, extend: bool) -> int:
    if extend and step == "-":
        return len(holder)
    if _INDEX.fullmatch(step) is None:
        raise PathError(f"{step!r} is no array index")
    index = int(step)
    size = len(holder) + extend
    if not -size <= index < size:
        raise PathError(f"array index {index} is out of bounds")
    return index % size


def _copy(value: Any) -> Any:
    """A copy of JSON data, much faster than one of just anything."""
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value


def _same(one: Any, other: Any) -> bool:
    """Equality of JSON, in which true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _weight(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(_weight(inner) for inner in value.values())
    if isinstance(value, list):
        return 1 + sum(_weight(inner) for inner in value)
    return 1 + len(value) // 100 if isinstance(value, str) else 1
