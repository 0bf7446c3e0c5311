"""The fields that a value holds."""

from typing import Any

from boxfleet.apiserver.apply import fieldsets, shapes

Tree = fieldsets.Tree


class DuplicateItem(ValueError):
    """Two items of a list have the same key, or one has none: nobody could say which of them is meant."""


def whole(shape: shapes.Shape | None, value: Any, *, fresh: bool = True) -> Tree:
    """All fields of a value and of all objects and lists in it: what is new when the value is.

    `fresh`: the value itself is new, not only what is in it.
    """
    result: Tree = {}
    if isinstance(shape, shapes.Record):
        if isinstance(value, dict):
            member_of = shape.member
            # Of metadata hardly any: what is nobody's is passed over by the interpreter's own loop.
            for key in filter(member_of, value):
                member = member_of(key)
                assert member is not None
                add_member(result, member, value[key], fresh=fresh)
    elif isinstance(shape, shapes.FREE_KEYS):
        if isinstance(value, dict):
            below = shape.values
            if below is None:
                return {f"f:{key}": {} for key in value}
            for key, item in value.items():
                result[f"f:{key}"] = fieldsets.with_self(whole(below, item))
    elif shape is not None and isinstance(value, list):
        for item in value:
            element = shape.element(item)
            if element is not None:
                result[element] = {} if shape.items is None else fieldsets.with_self(whole(shape.items, item))
    return result


def add_member(fields: Tree, member: shapes.Member, value: Any, *, fresh: bool) -> None:
    """Add a named member with all its fields, which is new in a record that may be new itself."""
    if member.shape is None:
        fields[member.element] = {}
    elif fresh or not member.always:
        fields[member.element] = fieldsets.with_self(whole(member.shape, value))
    else:
        node = whole(member.shape, value, fresh=False)
        if node:
            fields[member.element] = node


def applied(shape: shapes.Shape | None, value: Any, *, path: str = "") -> Tree | None:
    """The fields that somebody claims who applies a value; None when it claims none.

    Objects with known members belong to nobody, only what is in them. Raises DuplicateItem.
    """
    if isinstance(shape, shapes.Record):
        if not isinstance(value, dict) or not value:
            return {}
        claimed = {}
        for key, item in value.items():
            member = shape.member(key)
            below = applied(member.shape, item, path=f"{path}.{key}") if member is not None else None
            if member is not None and below is not None:
                claimed[member.element] = below
        return claimed or None
    if isinstance(shape, shapes.FREE_KEYS):
        if not isinstance(value, dict):
            return {}
        return {
            f"f:{key}": fieldsets.with_self(applied(shape.values, item, path=f"{path}.{key}") or {})
            for key, item in value.items()
        }
    if shape is None or not isinstance(value, list):
        return {}
    return _applied_items(shape, value, path) or None


def _applied_items(shape: shapes.Keyed | shapes.Values, value: list[Any], path: str) -> Tree:
    claimed: Tree = {}
    for number, item in enumerate(value):
        element = shape.element(item)
        if element is None:
            if isinstance(shape, shapes.Values):
                raise DuplicateItem(f"{path}: element {number}: an item of a set must be a plain value")
            lacking = next((key for key in shape.keys if not isinstance(item, dict) or item.get(key) is None), "")
            raise DuplicateItem(
                f"{path}: element {number}: associative list with keys has an element that omits key field "
                f'"{lacking}" (and doesn\'t have default value)'
            )
        if element in claimed:
            shown = fieldsets.shown((element,))
            raise DuplicateItem(f"{path}: duplicate entries for key {shown}")
        at = path + fieldsets.shown((element,))
        claimed[element] = fieldsets.with_self(applied(shape.items, item, path=at) or {})
    return claimed
