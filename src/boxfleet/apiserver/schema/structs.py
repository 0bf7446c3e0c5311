"""Records of our own kinds, read from their Structs."""

import dataclasses
import inspect
from typing import Any

import msgspec
import msgspec.inspect

from boxfleet.api import kind, meta
from boxfleet.apiserver.schema import models, nodes

# Our own ObjectMeta is a part of the standard one; objects may carry all of it.
_OBJECT_META = nodes.Ref(models.component("meta_v1.ObjectMeta"))


def component(struct: type[msgspec.Struct], *, version: str = kind.VERSION) -> str:
    """The OpenAPI component name of an own type: ``dev.boxfleet.v1.Box``."""
    return f"dev.boxfleet.{version}.{struct.__name__}"


class _Found(dict[str, nodes.Record]):
    """Records of one version by name."""

    def __init__(self, version: str) -> None:
        super().__init__()
        self.version = version


def records(struct: type[msgspec.Struct], *, version: str = kind.VERSION) -> list[nodes.Record]:
    """The record of an own type and of all own types below it."""
    found = _Found(version)
    _record(struct, found)
    return list(found.values())


def _record(struct: type[msgspec.Struct], found: _Found) -> nodes.Ref:
    name = component(struct, version=found.version)
    if name in found:
        return nodes.Ref(name)
    fields: dict[str, nodes.Field] = {}
    found[name] = nodes.Record(name=name, description=inspect.getdoc(struct) or "", fields=fields)
    info = msgspec.inspect.type_info(struct)
    assert isinstance(info, msgspec.inspect.StructType)
    for field in info.fields:
        node, described = _node(field.type, found)
        default = None if field.default in (msgspec.NODEFAULT, None, "", 0, False) else field.default
        fields[field.encode_name] = nodes.Field(
            node=node,
            required=field.required,
            description=described,
            default=str(default) if isinstance(default, str) else default,
        )
    return nodes.Ref(name)


def _node(info: msgspec.inspect.Type, found: _Found) -> tuple[nodes.Node, str]:
    """The schema of a type, and its description."""
    if isinstance(info, msgspec.inspect.Metadata):
        described = (info.extra_json_schema or {}).get("description", "")
        model = (info.extra or {}).get("model", "")
        if model:
            ref: nodes.Node = nodes.Ref(models.component(model))
            many = isinstance(info.type, msgspec.inspect.ListType)
            return (nodes.Array(items=ref) if many else ref), described
        node, inner = _node(info.type, found)
        keys = (info.extra or {}).get("map_keys", ())
        if keys and isinstance(node, nodes.Array):
            node = dataclasses.replace(node, list_type=nodes.MAP, map_keys=keys)
        return node, described or inner
    return _plain(info, found), ""


def _plain(info: msgspec.inspect.Type, found: _Found) -> nodes.Node:
    types = msgspec.inspect
    match info:
        case types.StructType():
            return _OBJECT_META if info.cls is meta.ObjectMeta else _record(info.cls, found)
        case types.UnionType():
            return _union(info, found)
        case types.StrType():
            return nodes.Scalar(
                type="string",
                pattern=info.pattern or "",
                min_length=info.min_length,
                max_length=info.max_length,
            )
        case types.IntType():
            return nodes.Scalar(type="integer", format="int64", minimum=info.ge, maximum=info.le)
        case types.FloatType():
            return nodes.Scalar(type="number", format="double", minimum=info.ge, maximum=info.le)
        case types.BoolType():
            return nodes.Scalar(type="boolean")
        case types.EnumType():
            return nodes.Scalar(type="string", enum=tuple(str(member.value) for member in info.cls))
        case types.ListType():
            return nodes.Array(
                items=_node(info.item_type, found)[0], min_items=info.min_length, max_items=info.max_length
            )
        case types.DictType():
            return nodes.Mapping(values=_node(info.value_type, found)[0])
        case types.AnyType():
            return nodes.Anything()
    raise TypeError(f"no schema for {info!r}: teach it to {__name__}")


def _union(info: msgspec.inspect.UnionType, found: _Found) -> nodes.Node:
    """An optional type is the type itself, since null means absent everywhere; int or str is its own thing."""
    parts: list[Any] = [part for part in info.types if not isinstance(part, msgspec.inspect.NoneType)]
    if len(parts) == 1:
        return _node(parts[0], found)[0]
    names = {type(part) for part in parts}
    if names == {msgspec.inspect.IntType, msgspec.inspect.StrType}:
        return nodes.IntOrString()
    raise TypeError(f"no schema for {info!r}: only optional types and int | str are unions that JSON clients expect")
