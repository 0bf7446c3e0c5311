"""Schemas compiled to functions: a check runs on every write, so the good case must allocate nothing.

A check returns None when all is well, else findings whose paths are relative to the value; each level puts its own
name in front on the way out. Paths are written only for what is wrong.
"""

import base64
import binascii
import datetime
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from boxfleet.api import kind
from boxfleet.apiserver.schema import nodes
from boxfleet.kit import quantity


class Finding(NamedTuple):
    """Something to say about a value: wrong (`reason` set), unknown, or null where nothing should be."""

    path: str
    reason: kind.Reason | None
    message: str


Check = Callable[[Any], list[Finding] | None]
# The exact Python type that a value must have (None: the check decides), and what else to check (None: nothing).
Test = tuple[type | None, Check | None]

UNKNOWN = ""
# A null: the field counts as absent and pruning takes it away.
NULL = "null"

_NAMES: dict[type, str] = {
    str: "a string", int: "an integer", float: "a number", bool: "true or false", list: "a list", dict: "an object",
    type(None): "null",
}  # fmt: skip
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)")
_BOUNDS = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}


def shown(value: Any) -> str:
    """A value as JSON, short enough for a message."""
    text = msgspec.json.encode(value).decode() if isinstance(value, str | int | float | bool) else _NAMES[type(value)]
    return text if len(text) <= 80 else text[:76] + '..."'


def wrong_type(value: Any, expected: str) -> list[Finding]:
    """The finding for a value of another JSON type."""
    got = _NAMES.get(type(value), "something else")
    return [Finding("", kind.Reason.TYPE, f"Invalid value: {shown(value)}: must be {expected}, not {got}")]


def run(test: Test, value: Any) -> list[Finding] | None:
    """Apply a test to a value."""
    expected, check = test
    if expected is not None and type(value) is not expected:
        return wrong_type(value, _NAMES[expected])
    return check(value) if check is not None else None


class Compiler:
    """Makes tests for schema nodes; records are compiled once and shared."""

    def __init__(self, record: Callable[[str], nodes.Record]) -> None:
        self._record = record
        self._compiled: dict[str, Check] = {}

    def record(self, name: str) -> Check:
        """The check of a record; the value must be an object already."""
        check = self._compiled.get(name)
        if check is None:
            fields: dict[str, Test] = {}
            record = self._record(name)
            required = tuple(key for key, field in record.fields.items() if field.required and not field.lenient)
            check = self._compiled[name] = _fields_check(fields, required)
            # Filled afterwards, so that a record may contain itself.
            fields.update((key, self.test(field.node)) for key, field in record.fields.items())
        return check

    def test(self, node: nodes.Node) -> Test:
        """The test of any node."""
        match node:
            case nodes.Ref():
                return dict, self.record(node.name)
            case nodes.RefOr():
                return None, _record_or(self.record(node.name), node.other)
            case nodes.Scalar():
                return _scalar(node)
            case nodes.Array():
                return list, _items_check(self.test(node.items), node)
            case nodes.Mapping():
                return dict, _values_check(self.test(node.values))
            case nodes.Quantity():
                return None, _quantity
            case nodes.IntOrString():
                return None, _int_or_string
            case nodes.Anything():
                return (dict if node.object_only else None), None


def _fields_check(fields: dict[str, Test], required: tuple[str, ...]) -> Check:
    get = fields.get

    def check(value: dict[str, Any]) -> list[Finding] | None:
        found: list[Finding] | None = None
        for key, item in value.items():
            test = get(key)
            if test is None:
                found = _add(found, f".{key}", [Finding("", None, UNKNOWN)])
                continue
            expected, inner = test
            if expected is type(item) or expected is None:
                if inner is None:
                    continue
                if item is not None:
                    deeper = inner(item)
                    if deeper is not None:
                        found = _add(found, f".{key}", deeper)
                    continue
            if item is None:
                found = _add(found, f".{key}", [Finding("", None, NULL)])
            else:
                assert expected is not None
                found = _add(found, f".{key}", wrong_type(item, _NAMES[expected]))
        for key in required:
            if value.get(key) is None:
                found = _add(found, f".{key}", [Finding("", kind.Reason.REQUIRED, "Required value")])
        return found

    return check


def _record_or(record: Check, other: type) -> Check:
    def check(value: Any) -> list[Finding] | None:
        if type(value) is dict:
            return record(value)
        return None if type(value) is other else wrong_type(value, f"an object or {_NAMES[other]}")

    return check


def _items_check(test: Test, node: nodes.Array) -> Check | None:
    expected, inner = test
    least, most = node.min_items or 0, node.max_items

    def check(value: list[Any]) -> list[Finding] | None:
        found: list[Finding] | None = None
        for index, item in enumerate(value):
            if expected is type(item) or expected is None:
                deeper = inner(item) if inner is not None else None
            else:
                assert expected is not None
                deeper = wrong_type(item, _NAMES[expected])
            if deeper is not None:
                found = _add(found, f"[{index}]", deeper)
        if len(value) < least:
            found = _add(found, "", [_invalid(len(value), f"must have at least {least} items")])
        if most is not None and len(value) > most:
            found = _add(found, "", [_invalid(len(value), f"must have at most {most} items")])
        return found

    return check


def _values_check(test: Test) -> Check:
    expected, inner = test

    def check(value: dict[str, Any]) -> list[Finding] | None:
        found: list[Finding] | None = None
        for key, item in value.items():
            if item is None:
                deeper: list[Finding] | None = [Finding("", None, NULL)]
            elif expected is type(item) or expected is None:
                if inner is None:
                    continue
                deeper = inner(item)
            else:
                deeper = wrong_type(item, _NAMES[expected])
            if deeper is not None:
                found = _add(found, f"[{key}]", deeper)
        return found

    return check


def _add(found: list[Finding] | None, prefix: str, deeper: list[Finding]) -> list[Finding]:
    named = [finding._replace(path=prefix + finding.path) for finding in deeper]
    if found is None:
        return named
    found += named
    return found


def _invalid(value: Any, detail: str) -> Finding:
    return Finding("", kind.Reason.INVALID, f"Invalid value: {shown(value)}: {detail}")


def _scalar(node: nodes.Scalar) -> Test:
    if node.type == "string":
        return str, _text(node)
    if node.type == "boolean":
        return bool, None
    if node.type == "number":
        return None, _number(node)
    return int, _integer(node)


def _text(node: nodes.Scalar) -> Check | None:
    if node.format == "date-time":
        return _date_time
    if node.format == "byte":
        return _byte
    if node.enum and not node.advisory:
        allowed = frozenset(node.enum)
        words = ", ".join(f'"{word}"' for word in node.enum)

        def one_of(value: str) -> list[Finding] | None:
            if value in allowed:
                return None
            message = f"Unsupported value: {shown(value)}: supported values: {words}"
            return [Finding("", kind.Reason.NOT_SUPPORTED, message)]

        return one_of
    if node.pattern or node.min_length is not None or node.max_length is not None:
        return _bounded_text(node)
    return None


def _bounded_text(node: nodes.Scalar) -> Check:
    pattern = re.compile(node.pattern)

    def check(value: str) -> list[Finding] | None:
        if node.min_length is not None and len(value) < node.min_length:
            return [_invalid(value, f"must have at least {node.min_length} characters")]
        if node.max_length is not None and len(value) > node.max_length:
            message = f"Too long: may not be more than {node.max_length} characters"
            return [Finding("", kind.Reason.TOO_LONG, message)]
        if pattern.search(value) is None:
            return [_invalid(value, f"must match '{node.pattern}'")]
        return None

    return check


def _integer(node: nodes.Scalar) -> Check:
    low, high = _BOUNDS[node.format or "int64"]
    least, most = node.minimum, node.maximum

    def check(value: int) -> list[Finding] | None:
        if least is not None and value < least:
            return [_invalid(value, f"must be greater than or equal to {least}")]
        if most is not None and value > most:
            return [_invalid(value, f"must be less than or equal to {most}")]
        if not low <= value <= high:
            return [_invalid(value, f"must fit into {node.format or 'int64'}")]
        return None

    return check


def _number(node: nodes.Scalar) -> Check:
    least, most = node.minimum, node.maximum

    def check(value: Any) -> list[Finding] | None:
        if type(value) is not float and type(value) is not int:
            return wrong_type(value, "a number")
        if least is not None and value < least:
            return [_invalid(value, f"must be greater than or equal to {least}")]
        if most is not None and value > most:
            return [_invalid(value, f"must be less than or equal to {most}")]
        return None

    return check


def _quantity(value: Any) -> list[Finding] | None:
    if type(value) is not str and type(value) is not int and type(value) is not float:
        return wrong_type(value, "a quantity such as 500m, 2 or 1Gi")
    if not quantity.is_quantity(value):
        return [_invalid(value, "must be a quantity: a number with a suffix, such as 500m, 2, 128Mi or 1Gi")]
    return None


def _int_or_string(value: Any) -> list[Finding] | None:
    if type(value) is str:
        return None
    if type(value) is not int:
        return wrong_type(value, "an integer or a string")
    return None if -(2**31) <= value < 2**31 else [_invalid(value, "must fit into int32")]


def _date_time(value: str) -> list[Finding] | None:
    if _DATE_TIME.fullmatch(value) is not None:
        try:
            datetime.datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            return None
    return [_invalid(value, "must be a time such as 2026-01-31T12:00:00Z (RFC 3339)")]


def _byte(value: str) -> list[Finding] | None:
    try:
        # Line breaks are allowed, as in Kubernetes; nothing else outside the alphabet is.
        base64.b64decode(value.replace("\n", "").replace("\r", ""), validate=True)
    except (binascii.Error, ValueError):
        # Never the value itself: it may be a secret.
        return [Finding("", kind.Reason.INVALID, "Invalid value: must be base64 (standard alphabet, with padding)")]
    return None
