"""Strategic merge patch, by the rules of the Kubernetes API conventions.

Maps are merged, lists are replaced or merged as the schema says, and directives in the patch delete, replace and
order: ``$patch``, ``$retainKeys``, ``$setElementOrder/FIELD``, ``$deleteFromPrimitiveList/FIELD``.
"""

from collections.abc import Callable
from typing import Any

from boxfleet.apiserver.schema import nodes

_PATCH = "$patch"
_RETAIN = "$retainKeys"
_ORDER = "$setElementOrder/"
_REMOVE = "$deleteFromPrimitiveList/"

Records = Callable[[str], nodes.Record]
_ANYTHING = nodes.Anything()


class PatchError(ValueError):
    """A patch that cannot be applied to this object: a fault of the client."""


def merge(records: Records, name: str, current: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """`current` with `patch` applied, by the record of that name; neither is changed."""
    merged = _merge_map(records, nodes.Ref(name), current, patch, path="")
    return {} if merged is None else merged


def _merge_map(
    records: Records, node: nodes.Node, current: dict[str, Any], patch: dict[str, Any], *, path: str
) -> dict[str, Any] | None:
    """The merged map, or None when the patch deletes it."""
    directive = patch.get(_PATCH)
    if directive == "delete":
        return None
    if directive == "replace":
        return {key: item for key, item in patch.items() if key != _PATCH}
    if directive not in (None, "merge"):
        raise PatchError(f"{_at(path)}$patch: {directive!r} is no directive: use replace, delete or merge")
    result = _retained(current, patch, path=path)
    for key, change in patch.items():
        if key in (_PATCH, _RETAIN) or key.startswith((_ORDER, _REMOVE)):
            continue
        if change is None:
            result.pop(key, None)
            continue
        field = _field(records, node, key)
        below = f"{path}.{key}" if path else key
        merged = _merge_value(records, field, result.get(key), change, path=below)
        if merged is None:
            result.pop(key, None)
        else:
            result[key] = merged
    for key, listed in patch.items():
        if key.startswith(_REMOVE):
            name = key.removeprefix(_REMOVE)
            gone = _list_of(listed, key, path=path)
            if isinstance(result.get(name), list):
                result[name] = [item for item in result[name] if item not in gone]
    for key, listed in patch.items():
        if key.startswith(_ORDER):
            name = key.removeprefix(_ORDER)
            order = _list_of(listed, key, path=path)
            if isinstance(result.get(name), list):
                result[name] = _ordered(
                    result[name],
                    order,
                    _field(records, node, name),
                    before=current.get(name) or [],
                    patched=patch.get(name) or [],
                    path=f"{path}.{name}" if path else name,
                )
    return result


def _retained(current: dict[str, Any], patch: dict[str, Any], *, path: str) -> dict[str, Any]:
    """What of the current map stays, by $retainKeys: a union's old member must go when another is set."""
    if _RETAIN not in patch:
        return dict(current)
    keep = _list_of(patch[_RETAIN], _RETAIN, path=path)
    strange = [
        key for key, change in patch.items() if not key.startswith("$") and change is not None and key not in keep
    ]
    if strange:
        raise PatchError(f"{_at(path)}$retainKeys does not name {strange[0]!r}, which the patch sets")
    return {key: item for key, item in current.items() if key in keep}


def _field(records: Records, node: nodes.Node, key: str) -> nodes.Field:
    """The schema of a member; of anything where no schema knows it."""
    if isinstance(node, nodes.Ref):
        return records(node.name).fields.get(key) or nodes.Field(node=_ANYTHING)
    return nodes.Field(node=node.values if isinstance(node, nodes.Mapping) else _ANYTHING)


def _merge_value(records: Records, field: nodes.Field, current: Any, change: Any, *, path: str) -> Any:
    if isinstance(change, dict):
        base = current if isinstance(current, dict) else {}
        return _merge_map(records, field.node, base, change, path=path)
    if isinstance(change, list):
        return _merge_list(records, field, current if isinstance(current, list) else [], change, path=path)
    return change


def _merge_list(records: Records, field: nodes.Field, current: list[Any], change: list[Any], *, path: str) -> list[Any]:
    items = [item for item in change if not (isinstance(item, dict) and item.keys() == {_PATCH})]
    for item in change:
        if isinstance(item, dict) and item.keys() == {_PATCH}:
            if item[_PATCH] == "replace":
                return items
            if item[_PATCH] == "delete":
                raise PatchError(f"{path}: $patch: delete must name the item by its merge key")
            if item[_PATCH] == "merge":
                raise PatchError(f"{path}: $patch: merge is for objects: a list is merged anyway, or replaced")
            raise PatchError(f"{_at(path)}$patch: {item[_PATCH]!r} is no directive: use replace, delete or merge")
    if not field.strategy.startswith(nodes.MERGE):
        return items
    if not field.merge_key:
        return current + [item for index, item in enumerate(items) if item not in current + items[:index]]
    return _merge_items(records, field, current, items, path=path)


def _merge_items(records: Records, field: nodes.Field, current: list[Any], items: list[Any], *, path: str) -> list[Any]:
    """Merge a list of objects by their key; new ones go to the end, in the order of the patch."""
    assert isinstance(field.node, nodes.Array)
    result = list(current)
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            raise PatchError(f"{path}[{index}]: must be an object with the merge key {field.merge_key!r}")
        key = item.get(field.merge_key)
        if key is None:
            raise PatchError(f"{path}[{index}]: has no {field.merge_key!r}, the merge key of this list")
        places = [
            place for place, old in enumerate(result) if isinstance(old, dict) and old.get(field.merge_key) == key
        ]
        if item.get(_PATCH) == "delete":
            result = [old for place, old in enumerate(result) if place not in places]
            continue
        if not places:
            merged = _merge_map(records, field.node.items, {}, item, path=f"{path}[{index}]")
            assert merged is not None
            result.append(merged)
            continue
        merged = _merge_map(records, field.node.items, result[places[0]], item, path=f"{path}[{index}]")
        assert merged is not None
        result[places[0]] = merged
    return result


def _ordered(
    merged: list[Any], order: list[Any], field: nodes.Field, *, before: list[Any], patched: list[Any], path: str
) -> list[Any]:
    """Bring a list into the order of the patch; items that only the server has keep their place among the others.

    Rule of $setElementOrder: both orders hold within themselves, and an item of the server's goes before the first
    listed item that followed it on the server.
    """
    if not field.strategy.startswith(nodes.MERGE):
        return merged

    def key_of(item: Any) -> Any:
        return item.get(field.merge_key) if field.merge_key and isinstance(item, dict) else item

    if field.merge_key and not all(isinstance(item, dict) and field.merge_key in item for item in order):
        raise PatchError(f"{path}: $setElementOrder lists objects by their merge key {field.merge_key!r} alone")
    # kubectl does so: {"name": "web"}.
    wanted = [key_of(item) for item in order]
    strange = [
        key_of(item)
        for item in patched
        if not (isinstance(item, dict) and _PATCH in item) and key_of(item) not in wanted
    ]
    if strange:
        raise PatchError(f"{path}: $setElementOrder does not list {strange[0]!r}, which the patch sets")
    listed = sorted((item for item in merged if key_of(item) in wanted), key=lambda item: wanted.index(key_of(item)))
    own = [item for item in merged if key_of(item) not in wanted]
    places = [key_of(item) for item in before]
    result: list[Any] = []
    for item in listed:
        while own and _precedes(key_of(own[0]), key_of(item), places):
            result.append(own.pop(0))
        result.append(item)
    return result + own


def _precedes(left: Any, right: Any, places: list[Any]) -> bool:
    return left in places and right in places and places.index(left) < places.index(right)


def _list_of(value: Any, name: str, *, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise PatchError(f"{_at(path)}{name}: must be a list")
    return value


def _at(path: str) -> str:
    return f"{path}." if path else ""
