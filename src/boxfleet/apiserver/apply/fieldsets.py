"""Sets of fields, in the very form that ``metadata.managedFields`` has (API type FieldsV1).

A set is a tree of dicts. Its keys are path elements: ``f:NAME`` a member of an object, ``k:{...}`` a list's item by its
keys, ``v:VALUE`` an item of a list that is a set, ``i:N`` one by its index. A node is itself in the set when it holds
``.`` or is empty. The root is never in the set, so an empty root is the empty set. Arguments are never changed.
"""

import functools
from collections.abc import Iterator
from typing import Any

import msgspec

Tree = dict[str, Any]

SELF = "."
# Deeper than any object may be (see `bodies.DEPTH_LIMIT`).
_DEPTH_LIMIT = 100


def is_member(node: Tree) -> bool:
    """Whether a node itself, not only something below it, is in its set."""
    return not node or SELF in node


def with_self(node: Tree) -> Tree:
    """The node with itself in the set."""
    return node if not node or SELF in node else {SELF: {}, **node}


def union(one: Tree, other: Tree) -> Tree:
    """What is in either."""
    if not one or not other:
        return one or other
    result = dict(one)
    for key, node in other.items():
        own = result.get(key)
        if own is None:
            result[key] = node
        elif own != node:
            result[key] = _join(own, node)
    return result


def difference(one: Tree, other: Tree) -> Tree:
    """What is in the first and not in the other."""
    if not one or not other:
        return one
    result: Tree = {}
    for key, node in one.items():
        taken = other.get(key)
        if taken is None:
            result[key] = node
        elif key != SELF:
            left = _minus(node, taken)
            if left is not None:
                result[key] = left
    return result


def intersection(one: Tree, other: Tree) -> Tree:
    """What is in both."""
    result: Tree = {}
    for key, node in one.items():
        twin = other.get(key)
        if twin is not None and key != SELF:
            both = _both(node, twin)
            if both is not None:
                result[key] = both
    return result


def covers(one: Tree, other: Tree) -> bool:
    """Whether all of the other is in the first."""
    for key, node in other.items():
        if key == SELF:
            continue
        own = one.get(key)
        if own is None:
            return False
        if not node or SELF in node:
            # `is_member` of both, without the calls.
            if own and SELF not in own:
                return False
            if not node:
                continue
        if not covers(own, node):
            return False
    return True


def paths(tree: Tree) -> Iterator[tuple[str, ...]]:
    """All members, each as its path elements."""
    for key, node in tree.items():
        if key == SELF:
            continue
        if is_member(node):
            yield (key,)
        for path in paths(node):
            yield (key, *path)


def is_well_formed(tree: Any, *, depth: int = _DEPTH_LIMIT) -> bool:
    """Whether data that a client sent is such a tree."""
    if not isinstance(tree, dict) or not depth:
        return False
    return all(
        (key == SELF and node == {}) or (_is_element(key) and is_well_formed(node, depth=depth - 1))
        for key, node in tree.items()
    )


def shown(path: tuple[str, ...]) -> str:
    """A path as Kubernetes writes it: ``.spec.containers[name="web"].image``."""
    return "".join(map(_shown_element, path))


@functools.lru_cache(maxsize=4096, typed=True)
def key_element(keys: tuple[str, ...], *values: str | int | float | bool) -> str:
    """The path element of an item that is known by the values of some of its fields; the same few come always again."""
    return f"k:{_json(dict(sorted(zip(keys, values, strict=True))))}"


def value_element(value: Any) -> str:
    """The path element of an item of a set."""
    return f"v:{_json(value)}"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _join(one: Tree, other: Tree) -> Tree:
    if not one or not other:
        return with_self(one or other)
    return union(one, other)


def _minus(node: Tree, taken: Tree) -> Tree | None:
    """What is left of a node; None when nothing is."""
    if not node:
        return None if is_member(taken) else node
    rest = difference(node, taken or {SELF: {}})
    if not rest:
        return None
    return {} if rest.keys() == {SELF} else rest


def _both(one: Tree, other: Tree) -> Tree | None:
    below = intersection(one, other)
    if is_member(one) and is_member(other):
        return {SELF: {}, **below} if below else {}
    return below or None


def _is_element(key: str) -> bool:
    mark, colon, rest = key.partition(":")
    if not colon:
        return False
    if mark == "f":
        return True
    try:
        value = msgspec.json.decode(rest)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return {"k": isinstance(value, dict) and bool(value), "v": True, "i": isinstance(value, int)}.get(mark, False)


def _shown_element(element: str) -> str:
    mark, _, rest = element.partition(":")
    if mark == "f":
        return f".{rest}"
    if mark == "k":
        keys = msgspec.json.decode(rest)
        return "[" + ",".join(f"{key}={_json(value)}" for key, value in sorted(keys.items())) + "]"
    return f"[={rest}]" if mark == "v" else f"[{rest}]"
