"""What an apply makes of an object: its own values laid over what is there, and taken away what it gave up."""

from typing import Any

from boxfleet.apiserver.apply import fieldsets, shapes

Tree = fieldsets.Tree


def merge(shape: shapes.Shape | None, live: Any, applied: Any) -> Any:
    """`applied` over `live`; neither is changed."""
    if isinstance(shape, shapes.Record | shapes.Mapping | shapes.Free):
        if not isinstance(live, dict) or not isinstance(applied, dict):
            return applied
        result = dict(live)
        for key, item in applied.items():
            result[key] = merge(_below(shape, key), live[key], item) if key in live else item
        return result
    if shape is None or not isinstance(live, list) or not isinstance(applied, list):
        return applied
    return _merge_items(shape, live, applied)


def remove(shape: shapes.Shape | None, value: Any, given_up: Tree, owned: Tree) -> Any:
    """`value` without what is in `given_up` and in nobody's `owned` fields.

    A member of a record goes with all that is in it when nobody owns any of it; an item of a map or a list goes when
    nobody owns the item itself, even if somebody has changed something in it.
    """
    if isinstance(shape, shapes.Record):
        return _remove_members(shape, value, given_up, owned) if isinstance(value, dict) else value
    if isinstance(shape, shapes.FREE_KEYS):
        if not isinstance(value, dict):
            return value
        kept = {}
        for key, item in value.items():
            stays, rest = _remove_item(shape.values, item, f"f:{key}", given_up, owned)
            if stays:
                kept[key] = rest
        return kept
    if shape is None or not isinstance(value, list):
        return value
    items = [
        (True, item)
        if (element := shape.element(item)) is None
        else _remove_item(shape.items, item, element, given_up, owned)
        for item in value
    ]
    return [rest for stays, rest in items if stays]


def _below(shape: shapes.Record | shapes.Mapping | shapes.Free, key: str) -> shapes.Shape | None:
    if isinstance(shape, shapes.Record):
        member = shape.member(key)
        return member.shape if member is not None else None
    return shape.values


def _merge_items(shape: shapes.Keyed | shapes.Values, live: list[Any], applied: list[Any]) -> list[Any]:
    """Items of both, those of the apply in its order; what only the server has keeps its place among the others."""
    before = {shape.element(item): item for item in live}
    wanted = {shape.element(item): item for item in applied}
    result = []
    waiting = iter(wanted.items())
    done: set[str | None] = set()

    def put_next() -> None:
        element, item = next(waiting)
        done.add(element)
        result.append(merge(shape.items, before[element], item) if element in before else item)

    for item in live:
        element = shape.element(item)
        if element is None or element not in wanted:
            result.append(item)
            continue
        while element not in done:
            put_next()
    while len(done) < len(wanted):
        put_next()
    return result


def _remove_members(shape: shapes.Record, value: dict[str, Any], given_up: Tree, owned: Tree) -> dict[str, Any]:
    kept = {}
    for key, item in value.items():
        member = shape.member(key)
        node = given_up.get(member.element) if member is not None else None
        if member is None or node is None:
            kept[key] = item
            continue
        own = owned.get(member.element)
        if own is not None:
            kept[key] = remove(member.shape, item, node, own)
    return kept


def _remove_item(shape: shapes.Shape | None, item: Any, element: str, given_up: Tree, owned: Tree) -> tuple[bool, Any]:
    """Whether an item of a map or list stays, and what is left of it."""
    node = given_up.get(element)
    if node is None:
        return True, item
    own = owned.get(element)
    if fieldsets.is_member(node) and (own is None or not fieldsets.is_member(own)):
        return False, None
    return True, remove(shape, item, node, own or {})
