"""boxfleet.dev/v1beta1: the version before v1, served beside it.

Two things have other names and forms there. ``volumeClaims`` became ``volumeClaimTemplates``, as StatefulSets call
them; ``env``, a list of names and values, became a map, since nothing but the name told its items apart.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any

import msgspec

from boxfleet.api import box, catalog, fields, kind, meta, unit

VERSION = "v1beta1"

JsonObject = dict[str, Any]


class EnvVar(meta.Model, omit_defaults=False):
    """One variable."""

    name: Annotated[str, msgspec.Meta(description="Name of the variable.")]
    value: Annotated[str, msgspec.Meta(description="Its value, a template.")]


_OLD_ENV = Annotated[
    list[EnvVar],
    msgspec.Meta(
        description="Environment of every container that does not set the name itself; values are templates over the "
        "same facts as files.",
        extra=meta.keyed_by("name"),
    ),
]
_RENAMED = {"volumeClaimTemplates": "volumeClaims"}


def _derived(struct: type[msgspec.Struct], **changed: Any) -> Any:
    """A struct as it was: the same fields, but for those that changed their type (`changed`) or name."""
    stated: list[Any] = []
    for field in msgspec.structs.fields(struct):
        name = _RENAMED.get(field.name, field.name)
        type_ = changed.get(field.name) or _annotated(struct, field.name)
        if field.required:
            stated.append((name, type_))
        elif field.default_factory is not msgspec.NODEFAULT:
            stated.append((name, type_, msgspec.field(default_factory=field.default_factory)))
        else:
            stated.append((name, type_, field.default))
    made = msgspec.defstruct(struct.__name__, stated, kw_only=True, omit_defaults=True, module=__name__)
    made.__doc__ = struct.__doc__
    return made


def _annotated(struct: type[msgspec.Struct], name: str) -> Any:
    """A field's type with all that is said about it."""
    return next(each.type for each in msgspec.structs.fields(struct) if each.name == name)


_UnitTemplate = _derived(unit.UnitTemplate, env=_OLD_ENV)
_UnitSpec = _derived(unit.UnitSpec, env=_OLD_ENV)
_UNITS: Any = Annotated[
    dict[str, _UnitTemplate],  # type: ignore[valid-type]
    msgspec.Meta(description="The Units by name. A name is a DNS label and becomes part of every address."),
]
_BoxSpec = _derived(box.BoxSpec, units=_UNITS)
_TYPES: dict[kind.Kind, Any] = {
    unit.Unit.KIND: _derived(unit.Unit, spec=_UnitSpec),
    box.Box.KIND: _derived(box.Box, spec=_BoxSpec),
}


def _template_up(template: JsonObject) -> JsonObject:
    up: JsonObject = {}
    for key, value in template.items():
        if key == "volumeClaims":
            up["volumeClaimTemplates"] = value
        elif key == "env" and isinstance(value, list):
            # On the way through an apply, values may be lacking that only then are asked for.
            up["env"] = {one["name"]: one.get("value") for one in value if "name" in one}
        else:
            up[key] = value
    return up


def _template_down(template: JsonObject) -> JsonObject:
    down: JsonObject = {}
    for key, value in template.items():
        if key == "volumeClaimTemplates":
            down["volumeClaims"] = value
        elif key == "env" and isinstance(value, dict):
            down["env"] = [{"name": name, "value": text} for name, text in value.items()]
        else:
            down[key] = value
    return down


def _templates(obj: JsonObject, change: Callable[[JsonObject], JsonObject]) -> None:
    """Change the template of a Unit, or all those of a Box."""
    spec = obj.get("spec")
    if not isinstance(spec, dict):
        return
    if obj.get("kind") == unit.Unit.KIND.kind:
        obj["spec"] = change(spec)
    elif isinstance(spec.get("units"), dict):
        units = spec["units"]
        spec["units"] = {name: change(one) if isinstance(one, dict) else one for name, one in units.items()}


def up(obj: JsonObject) -> JsonObject:
    """An object of v1beta1 in v1; uses up what it is given."""
    if obj.get("kind") in (unit.Unit.KIND.kind, box.Box.KIND.kind):
        _templates(obj, _template_up)
    obj["apiVersion"] = f"{kind.GROUP}/{kind.VERSION}"
    return obj


def down(obj: JsonObject) -> JsonObject:
    """An object of v1 in v1beta1; uses up what it is given."""
    if obj.get("kind") in (unit.Unit.KIND.kind, box.Box.KIND.kind):
        _templates(obj, _template_down)
    obj["apiVersion"] = f"{kind.GROUP}/{VERSION}"
    return obj


def _templates_of(obj: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    spec = obj.get("spec") or {}
    if obj.get("kind") == unit.Unit.KIND.kind:
        yield "spec", spec
    elif obj.get("kind") == box.Box.KIND.kind:
        yield from ((f"spec.units[{name}]", one) for name, one in (spec.get("units") or {}).items())


def wrong(obj: JsonObject) -> list[kind.FieldError]:
    """A name that comes twice has no place in a map."""
    found = []
    for path, template in _templates_of(obj):
        seen = set()
        for number, one in enumerate(template.get("env") or []):
            if one["name"] in seen:
                found.append(fields.duplicate(f"{path}.env[{number}].name", one["name"]))
            seen.add(one["name"])
    return found


def _older(types: Iterable[type[meta.Object]]) -> tuple[kind.Older, ...]:
    return tuple(
        kind.Older(
            kind=type_.KIND,
            version=VERSION,
            type=_TYPES.get(type_.KIND, type_),
            up=up,
            down=down,
            renamed=_RENAMED,
            wrong=wrong,
        )
        for type_ in types
        if type_.KIND.group == kind.GROUP
    )


# Every own kind in this version.
OLDER = _older(catalog.TYPES)
