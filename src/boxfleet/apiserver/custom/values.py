"""Value validation of custom objects: a schema compiled once to functions that run on every write.

The good case allocates nothing. Texts are those of the real server (go-openapi's validate), which people search for.
"""

import functools
from collections.abc import Callable, Sized
from typing import Any

import msgspec
import re2

from boxfleet.api import kind as kinds
from boxfleet.apiserver import faults
from boxfleet.apiserver.custom import formats

Schema = dict[str, Any]
# Adds what is wrong with a value at a path to a list.
Check = Callable[[Any, str, list[kinds.FieldError]], None]

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,), "array": (list,),
    "object": (dict,),
}  # fmt: skip
_NAMES: dict[type, str] = {
    str: "string", int: "integer", float: "number", bool: "boolean", list: "array", dict: "object", type(None): "null",
}  # fmt: skip
# A list of wrong items is cut here: the first ones say enough.
_MOST_ERRORS = 100


# Texts that a pattern remembers, and how long they may be.
_REMEMBERED, _SHORT = 256, 256


def compile(schema: Schema) -> Check:
    """The check of a structural schema, or of a part of one."""
    checks = _parts(schema)
    nullable = bool(schema.get("nullable"))
    if not checks:
        return _nothing
    if len(checks) == 1 and not nullable:
        return checks[0]

    def check(value: Any, path: str, errors: list[kinds.FieldError]) -> None:
        if value is None and nullable:
            return
        before = len(errors)
        for one in checks:
            one(value, path, errors)
            if len(errors) > before and one is checks[0]:
                # Of another type: nothing else applies.
                return

    return check


def matches(check: Check, value: Any) -> bool:
    """Whether a value passes."""
    errors: list[kinds.FieldError] = []
    check(value, "", errors)
    return not errors


def _nothing(value: Any, path: str, errors: list[kinds.FieldError]) -> None:
    """Everything is allowed."""


def _parts(schema: Schema) -> list[Check]:
    checks: list[Check] = []
    if schema.get("x-kubernetes-int-or-string"):
        checks.append(_type_check("integer,string", (int, str)))
    elif schema.get("type"):
        checks.append(_type_check(schema["type"], _TYPES[schema["type"]]))
    if schema.get("enum"):
        checks.append(_enum(schema["enum"]))
    checks += _bounds(schema)
    if schema.get("properties") or schema.get("required") or isinstance(schema.get("additionalProperties"), dict):
        checks.append(_object(schema))
    if isinstance(schema.get("items"), dict):
        checks.append(_items(compile(schema["items"])))
    if schema.get("x-kubernetes-list-type") in ("set", "map"):
        checks.append(_unique(schema))
    checks += _combined(schema)
    return checks


def _type_check(name: str, allowed: tuple[type, ...]) -> Check:
    first = allowed[0]
    whole_floats = name == "integer"

    def check(value: Any, path: str, errors: list[kinds.FieldError]) -> None:
        kind = type(value)
        if kind is first or kind in allowed or (whole_floats and kind is float and value.is_integer()):
            return
        got = _NAMES.get(kind, "unknown")
        text = f'Invalid value: "{got}": {_where(path)}in body must be of type {name}: "{got}"'
        errors.append(kinds.FieldError(path, text, kinds.Reason.TYPE))

    return check


def _where(path: str) -> str:
    return f"{path} " if path else ""


def _enum(allowed: list[Any]) -> Check:
    plain = frozenset(one for one in allowed if isinstance(one, str))
    words = ", ".join(faults.shown(one) for one in allowed)

    def check(value: Any, path: str, errors: list[kinds.FieldError]) -> None:
        if type(value) is str:
            if value in plain:
                return
        elif any(_same(value, one) for one in allowed):
            return
        text = f"Unsupported value: {faults.shown(value)}: supported values: {words}"
        errors.append(kinds.FieldError(path, text, kinds.Reason.NOT_SUPPORTED))

    return check


def _same(left: Any, right: Any) -> bool:
    """Equal as JSON: 1 is not true."""
    return bool(left == right) and isinstance(left, bool) is isinstance(right, bool)


def _invalid(path: str, value: Any, text: str) -> kinds.FieldError:
    return kinds.FieldError(path, f"Invalid value: {faults.shown(value)}: {text}")


def _bounds(schema: Schema) -> list[Check]:
    """Checks of numbers, texts and sizes."""
    checks: list[Check] = []
    if schema.get("format") in formats.BOUNDS:
        checks.append(_width(schema["format"]))
    if schema.get("format") in formats.STRINGS:
        checks.append(_format(schema["format"]))
    for name, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if schema.get(name) is not None:
            checks.append(_limit(schema[name], least=name == "minimum", open_=bool(schema.get(exclusive))))
    if schema.get("multipleOf"):
        checks.append(_multiple(schema["multipleOf"]))
    if schema.get("pattern"):
        checks.append(_pattern(schema["pattern"]))
    for names, type_, unit in (
        (("minLength", "maxLength"), str, "chars long"),
        (("minItems", "maxItems"), list, "items"),
        (("minProperties", "maxProperties"), dict, "properties"),
    ):
        least, most = schema.get(names[0]), schema.get(names[1])
        if least is not None or most is not None:
            checks.append(_size(type_, unit, least or 0, most))
    return checks


def _is_number(value: Any) -> bool:
    return type(value) is int or type(value) is float


def _width(name: str) -> Check:
    low, high = formats.BOUNDS[name]

    def check(value: Any, path: str, errors: list[kinds.FieldError]) -> None:
        if _is_number(value) and not low <= value <= high:
            text = f"{_where(path)}in body must be of type {name}: {faults.shown(value)}"
            errors.append(_invalid(path, value, text))

    return check


def _format(name: str) -> Check:
    good = formats.STRINGS[name]

    def check(value: Any, path: str, errors: list[kinds.FieldError]) -> None:
        if type(value) is str and not good(value):
            text = f"{_where(path)}in body must be of type {name}: {faults.shown(value)}"
            errors.append(kinds.FieldError(path, f"Invalid value: {faults.shown(value)}: {text}", kinds.Reason.TYPE))

    return check


def _limit(bound: float, *, least: bool, open_: bool) -> Check:
    words = ("greater than" if least else "less than") + ("" if open_ else " or equal to")

    def check(value: Any, path: str, errors: list[kinds.FieldError]) -> None:
        if not _is_number(value):
            return
        beyond = value < bound if least else value > bound
        if beyond or (open_ and value == bound):
            shown = int(bound) if float(bound).is_integer() else bound
            errors.append(_invalid(path, value, f"{_where(path)}in body should be {words} {shown}"))

    return check


def _multiple(factor: float) -> Check:
    def check(value: Any, path: str, errors: list[kinds.FieldError]) -> None:
        if not _is_number(value):
            return
        times = value / factor
        if abs(times - round(times)) > 1e-9:
            errors.append(_invalid(path, value, f"{_where(path)}in body should be a multiple of {factor:g}"))

    return check


def _pattern(pattern: str) -> Check:
    # RE2 takes time by the length of the text alone, whatever the pattern. A set of one is asked whether it matches and
    # not where, which is seven times faster.
    options = re2.Options()
    options.log_errors = False
    patterns = re2.Set.SearchSet(options)
    patterns.Add(pattern)
    patterns.Compile()
    # The library lets other threads run meanwhile, which costs more than the search; most texts were there before.
    remembered = functools.lru_cache(_REMEMBERED)(patterns.Match)

    def matching(text: str) -> bool:
        return bool(remembered(text) if len(text) <= _SHORT else patterns.Match(text))

    def check(value: Any, path: str, errors: list[kinds.FieldError]) -> None:
        if type(value) is str and not matching(value):
            errors.append(_invalid(path, value, f"{_where(path)}in body should match '{pattern}'"))

    return check


def _size(type_: type[Any], unit: str, least: int, most: int | None) -> Check:
    def check(value: Any, path: str, errors: list[kinds.FieldError]) -> None:
        if type(value) is not type_ or not isinstance(value, Sized):
            return
        if len(value) < least:
            errors.append(_invalid(path, value, f"{_where(path)}in body should {_AT_LEAST[unit]} {least} {unit}"))
        elif most is not None and len(value) > most:
            if type_ is str:
                text = f"Too long: may not be more than {most} bytes"
                errors.append(kinds.FieldError(path, text, kinds.Reason.TOO_LONG))
            else:
                text = f"Too many: {len(value)}: must have at most {most} items"
                errors.append(kinds.FieldError(path, text, kinds.Reason.TOO_MANY))

    return check


_AT_LEAST = {"chars long": "be at least", "items": "have at least", "properties": "have at least"}


def _object(schema: Schema) -> Check:
    known = {name: compile(inner) for name, inner in (schema.get("properties") or {}).items()}
    # What everything passes need not be called.
    known = {name: check for name, check in known.items() if check is not _nothing}
    required: list[str] = schema.get("required") or []
    others = schema.get("additionalProperties")
    rest = compile(others) if isinstance(others, dict) else None
    names = frozenset(schema.get("properties") or {})

    def check(value: Any, path: str, errors: list[kinds.FieldError]) -> None:
        if type(value) is not dict:
            return
        for name, inner in known.items():
            item = value.get(name, _MISSING)
            if item is not _MISSING:
                inner(item, f"{path}.{name}" if path else name, errors)
        if rest is not None:
            for name, item in value.items():
                if name not in names and len(errors) < _MOST_ERRORS:
                    rest(item, f"{path}.{name}" if path else name, errors)
        for name in required:
            if name not in value:
                where = f"{path}.{name}" if path else name
                errors.append(kinds.FieldError(where, "Required value", kinds.Reason.REQUIRED))

    return check


_MISSING: Any = object()


def _items(inner: Check) -> Check:
    def check(value: Any, path: str, errors: list[kinds.FieldError]) -> None:
        if type(value) is not list or inner is _nothing:
            return
        for index, item in enumerate(value):
            inner(item, f"{path}[{index}]", errors)
            if len(errors) >= _MOST_ERRORS:
                return

    return check


def _unique(schema: Schema) -> Check:
    """Items of a set, and the keys of a map's items, come once."""
    keys: list[str] = schema.get("x-kubernetes-list-map-keys") or []
    fields = (schema.get("items") or {}).get("properties") or {}
    usual = {key: fields.get(key, {}).get("default") for key in keys}
    is_map = schema["x-kubernetes-list-type"] == "map"

    def check(value: Any, path: str, errors: list[kinds.FieldError]) -> None:
        if type(value) is not list or len(value) < 2:
            return
        seen = set()
        for index, item in enumerate(value):
            named = item
            if is_map:
                if type(item) is not dict:
                    continue
                named = {key: item.get(key, usual[key]) for key in keys}
            mark = named if type(named) is str else msgspec.json.encode(named, order="sorted")
            if mark in seen:
                text = f"Duplicate value: {_go_map(named) if is_map else faults.shown(item)}"
                errors.append(kinds.FieldError(f"{path}[{index}]", text, kinds.Reason.DUPLICATE))
            seen.add(mark)

    return check


def _go_map(value: dict[str, Any]) -> str:
    inner = ", ".join(f'"{key}":{faults.shown(item)}' for key, item in sorted(value.items()))
    return f"map[string]interface {{}}{{{inner}}}"


def _combined(schema: Schema) -> list[Check]:
    checks: list[Check] = []
    if schema.get("allOf"):
        checks += [_all_of([compile(part) for part in schema["allOf"]])]
    if schema.get("anyOf") and not schema.get("x-kubernetes-int-or-string"):
        checks.append(_any_of([compile(part) for part in schema["anyOf"]]))
    if schema.get("oneOf"):
        checks.append(_one_of([compile(part) for part in schema["oneOf"]]))
    if schema.get("not") is not None:
        checks.append(_not(compile(schema["not"])))
    return checks


def _combination(path: str, text: str) -> kinds.FieldError:
    return kinds.FieldError(path, f'Invalid value: "": "{path}" must {text}')


def _all_of(parts: list[Check]) -> Check:
    def check(value: Any, path: str, errors: list[kinds.FieldError]) -> None:
        before = len(errors)
        for part in parts:
            part(value, path, errors)
        if len(errors) > before:
            errors.append(_combination(path, "validate all the schemas (allOf)"))

    return check


def _any_of(parts: list[Check]) -> Check:
    def check(value: Any, path: str, errors: list[kinds.FieldError]) -> None:
        if not any(matches(part, value) for part in parts):
            errors.append(_combination(path, "validate at least one schema (anyOf)"))
            _explain(parts, value, path, errors)

    return check


def _explain(parts: list[Check], value: Any, path: str, errors: list[kinds.FieldError]) -> None:
    """What the first alternative misses, which says more than that there is none."""
    if parts:
        parts[0](value, path, errors)


def _one_of(parts: list[Check]) -> Check:
    def check(value: Any, path: str, errors: list[kinds.FieldError]) -> None:
        count = sum(matches(part, value) for part in parts)
        if count == 1:
            return
        found = f"Found {count} valid alternatives" if count else "Found none valid"
        errors.append(_combination(path, f"validate one and only one schema (oneOf). {found}"))
        if not count:
            _explain(parts, value, path, errors)

    return check


def _not(part: Check) -> Check:
    def check(value: Any, path: str, errors: list[kinds.FieldError]) -> None:
        if matches(part, value):
            errors.append(_combination(path, "not validate the schema (not)"))

    return check
