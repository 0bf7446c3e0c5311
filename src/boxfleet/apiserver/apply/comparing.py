"""What a write changes: the fields that are new or other, and those that are gone."""

import itertools
import operator
from collections.abc import Iterator
from typing import Any, NamedTuple

from boxfleet.apiserver.apply import claims, fieldsets, shapes

Tree = fieldsets.Tree
# What is not there, which is like no value.
_NOTHING = object()


class Comparison(NamedTuple):
    """`changed`: added or modified; `removed`: no longer there."""

    changed: Tree
    removed: Tree


def compare(shape: shapes.Shape | None, old: Any, new: Any) -> Comparison:
    """Hold two values of one shape against each other. The order of lists with keys is nobody's."""
    changed: Tree = {}
    removed: Tree = {}
    if isinstance(shape, shapes.Record) and type(old) is dict and type(new) is dict:
        # Of whole objects, with every write.
        _members(shape, old, new, changed, removed)
    else:
        _compare(shape, old, new, changed, removed)
    return Comparison(changed, removed)


def _compare(shape: shapes.Shape | None, old: Any, new: Any, changed: Tree, removed: Tree) -> bool:
    """Collect the differences below a value; False when it is one field as a whole."""
    if isinstance(shape, shapes.Record):
        if not isinstance(old, dict) or not isinstance(new, dict):
            return False
        _members(shape, old, new, changed, removed)
        return True
    if isinstance(shape, shapes.FREE_KEYS):
        if not isinstance(old, dict) or not isinstance(new, dict):
            return False
        _entries(shape.values, old, new, changed, removed, mark="f:")
        return True
    if shape is None or not isinstance(old, list) or not isinstance(new, list):
        return False
    if not _in_step(shape, old, new, changed, removed):
        _entries(shape.items, _by_element(shape, old), _by_element(shape, new), changed, removed, mark="")
    return True


def _members(shape: shapes.Record, old: dict[str, Any], new: dict[str, Any], changed: Tree, removed: Tree) -> None:
    member_of = shape.member
    for key, item in _unlike(old, new):
        member = member_of(key)
        if member is None:
            continue
        if key not in old:
            claims.add_member(changed, member, item, fresh=False)
        elif member.shape is None:
            changed[member.element] = {}
        else:
            _differing(member.shape, old[key], item, member.element, changed, removed)
    if old.keys() <= new.keys():
        return
    for key, was in old.items():
        if key not in new and (member := member_of(key)) is not None:
            claims.add_member(removed, member, was, fresh=False)


def _unlike(old: dict[str, Any], new: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The items of the new one that the old one has not, or not so; without a step of ours for all the others."""
    unlike = map(operator.ne, new.values(), map(old.get, new, itertools.repeat(_NOTHING)))
    return itertools.compress(new.items(), unlike)


def _entries(
    shape: shapes.Shape | None,
    old: dict[str, Any],
    new: dict[str, Any],
    changed: Tree,
    removed: Tree,
    *,
    mark: str,
) -> None:
    """Compare items of maps and lists by their key; path elements begin with the mark."""
    for key, item in _unlike(old, new):
        if shape is None:
            changed[mark + key] = {}
        elif key not in old:
            changed[mark + key] = fieldsets.with_self(claims.whole(shape, item))
        else:
            _differing(shape, old[key], item, mark + key, changed, removed)
    if old.keys() <= new.keys():
        return
    for key, was in old.items():
        if key not in new:
            removed[mark + key] = {} if shape is None else fieldsets.with_self(claims.whole(shape, was))


def _in_step(shape: shapes.Keyed | shapes.Values, old: list[Any], new: list[Any], changed: Tree, removed: Tree) -> bool:
    """Compare lists that have the same items at the same places, as most do; False when they have not."""
    if len(old) != len(new):
        return False
    pairs = []
    for was, item in zip(old, new, strict=True):
        if was != item:
            element = shape.element(item)
            if element is None or not shape.alike(was, item):
                return False
            pairs.append((element, was, item))
    for element, was, item in pairs:
        _differing(shape.items, was, item, element, changed, removed)
    return True


def _differing(shape: shapes.Shape | None, was: Any, item: Any, element: str, changed: Tree, removed: Tree) -> None:
    """Two unlike values at one place."""
    deeper: Tree = {}
    gone: Tree = {}
    if not _compare(shape, was, item, deeper, gone):
        changed[element] = {}
        return
    if deeper:
        changed[element] = deeper
    if gone:
        removed[element] = gone


def _by_element(shape: shapes.Keyed | shapes.Values, items: list[Any]) -> dict[str, Any]:
    return {element: item for item in items if (element := shape.element(item)) is not None}
