"""JSONPath as printer columns and field paths use it (kubernetes.io/docs/reference/kubectl/jsonpath).

Names, quoted names, indexes, slices, wildcards, descent and filters that compare one field with a literal.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

Step = Callable[[list[Any]], list[Any]]

_NAME = re.compile(r"\.((?:[^.\[\]\\\s]|\\.)+)")
_QUOTED = re.compile(r"""\[\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\s*\]""")
_INDEX = re.compile(r"\[\s*(-?\d{1,9})\s*\]")
_SLICE = re.compile(r"\[\s*(-?\d{1,9})?\s*:\s*(-?\d{1,9})?\s*(?::\s*(\d{1,9})?\s*)?\]")
_ALL = re.compile(r"\.\*|\[\s*\*\s*\]")
_FILTER = re.compile(
    r"""\[\?\(\s*@((?:\.[\w-]+|\[['"][^'"]*['"]\])+)\s*(?:(==|!=|<=|>=|<|>)\s*('[^']*'|"[^"]*"|[-\w.]+)\s*)?\)\]"""
)
_DESCENT = re.compile(r"\.\.([\w-]+)")
_LONGEST = 1024


class PathError(ValueError):
    """A text that is no JSONPath of the kind that is understood."""


def compile(path: str) -> Callable[[Any], list[Any]]:
    """A function that finds what a path leads to in a value; raises PathError."""
    steps = _steps(path)

    def find(value: Any) -> list[Any]:
        found = [value]
        for step in steps:
            found = step(found)
            if not found:
                break
        return found

    return find


def plain_fields(path: str) -> tuple[str, ...] | None:
    """The names of a path that only goes down fields (``.spec.a``); None when it does anything else."""
    names = []
    at = 0
    while at < len(path):
        match = _NAME.match(path, at) or _QUOTED.match(path, at)
        if match is None or "*" in (match.group(1) or ""):
            return None
        names.append(_unescaped(next(group for group in match.groups() if group is not None)))
        at = match.end()
    return tuple(names) if names else None


def _steps(path: str) -> list[Step]:
    text = path[1:-1] if path.startswith("{") and path.endswith("}") else path
    if not text.startswith((".", "[", "$")) or len(text) > _LONGEST:
        raise PathError(f"{path!r} is no JSONPath: it begins with a dot, as .spec.replicas")
    steps: list[Step] = []
    at = 1 if text.startswith("$") else 0
    while at < len(text):
        for pattern, make in _GRAMMAR:
            match = pattern.match(text, at)
            if match is not None:
                steps.append(make(match.groups()))
                at = match.end()
                break
        else:
            raise PathError(f"{path!r} is no JSONPath: cannot read {text[at:]!r}")
    return steps


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _field(groups: Sequence[str | None]) -> Step:
    name = _unescaped(next(group for group in groups if group is not None))

    def step(values: list[Any]) -> list[Any]:
        return [value[name] for value in values if isinstance(value, dict) and name in value]

    return step


def _index(groups: Sequence[str | None]) -> Step:
    index = int(groups[0] or 0)

    def step(values: list[Any]) -> list[Any]:
        return [value[index] for value in values if isinstance(value, list) and -len(value) <= index < len(value)]

    return step


def _slice(groups: Sequence[str | None]) -> Step:
    parts = [int(group) if group else None for group in groups]
    chosen = slice(parts[0], parts[1], parts[2] or None)

    def step(values: list[Any]) -> list[Any]:
        return [item for value in values if isinstance(value, list) for item in value[chosen]]

    return step


def _everything(groups: Sequence[str | None]) -> Step:
    def step(values: list[Any]) -> list[Any]:
        return [item for value in values for item in _inner(value)]

    return step


def _inner(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _descent(groups: Sequence[str | None]) -> Step:
    name = groups[0] or ""

    def step(values: list[Any]) -> list[Any]:
        found: list[Any] = []
        level = list(values)
        while level:
            one = level.pop(0)
            if isinstance(one, dict) and name in one:
                found.append(one[name])
            level += _inner(one)
        return found

    return step


def _filter(groups: Sequence[str | None]) -> Step:
    inner = compile(groups[0] or "")
    operator, literal = groups[1], _literal(groups[2] or "")

    def passes(item: Any) -> bool:
        found = inner(item)
        if operator is None:
            return bool(found)
        return bool(found) and _holds(found[0], operator, literal)

    def step(values: list[Any]) -> list[Any]:
        return [item for value in values for item in _inner(value) if passes(item)]

    return step


def _literal(text: str) -> Any:
    if text[:1] in ("'", '"'):
        return text[1:-1]
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _holds(left: Any, operator: str, right: Any) -> bool:
    if operator in ("==", "!="):
        return (left == right) is (operator == "==")
    try:
        if operator in ("<", "<="):
            return bool(left < right or (operator == "<=" and left == right))
        return bool(left > right or (operator == ">=" and left == right))
    except TypeError:
        return False


_GRAMMAR: tuple[tuple[re.Pattern[str], Callable[[Sequence[str | None]], Step]], ...] = (
    (_DESCENT, _descent),
    (_ALL, _everything),
    (_FILTER, _filter),
    (_INDEX, _index),
    (_SLICE, _slice),
    (_QUOTED, _field),
    (_NAME, _field),
)
