"""Label and field selectors: their grammar, and whether an object's bytes match."""

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from boxfleet.api import kind as kinds
from boxfleet.apiserver import faults
from boxfleet.store import rows

_TOKEN = re.compile(r"\s*(==|!=|=|[(),!<>]|[^\s=!(),<>]+)")
_KEY = re.compile(
    r"(?:[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?"
)
_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?")

LabelTest = Callable[[dict[str, str]], bool]


class _Meta(msgspec.Struct):
    name: str = ""
    namespace: str = ""
    labels: dict[str, str] = {}


class _Labelled(msgspec.Struct):
    metadata: _Meta


_labelled = msgspec.json.Decoder(_Labelled)


class Facts:
    """What selectors look at in one encoded object, read when it is first asked for and kept for who asks next."""

    __slots__ = ("_meta", "_texts", "_value")

    def __init__(self, value: bytes) -> None:
        self._value = value
        self._meta: _Meta | None = None
        self._texts: dict[str, str] | None = None

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return self._metadata().labels

    def text(self, path: str) -> str:
        """The field at a dotted path as selectors compare it."""
        if path == "metadata.name":
            return self._metadata().name
        if path == "metadata.namespace":
            return self._metadata().namespace
        if self._texts is None:
            self._texts = {}
        found = self._texts.get(path)
        if found is None:
            found = self._texts[path] = _text(msgspec.json.decode(self._value), path)
        return found

    def _metadata(self) -> _Meta:
        if self._meta is None:
            self._meta = _labelled.decode(self._value).metadata
        return self._meta


def before(change: rows.Change) -> Facts | None:
    """Facts of the state that a change replaced; None when there was none."""
    if change.before is None:
        return None
    facts: Facts | None = change.memo.get("before")
    if facts is None:
        facts = change.memo["before"] = Facts(change.before)
    return facts


def after(change: rows.Change) -> Facts:
    """Facts of the state that a change made, or of the last one when it deleted the object."""
    facts: Facts | None = change.memo.get("after")
    if facts is None:
        facts = change.memo["after"] = Facts(change.value)
    return facts


class Selection:
    """Both selectors of a request."""

    __slots__ = ("_fields", "_labels")

    def __init__(self, *, labels: Sequence[LabelTest], fields: Sequence[tuple[str, str, bool]]) -> None:
        self._labels = labels
        # (path, value, whether it must be equal)
        self._fields = fields

    def __bool__(self) -> bool:
        return bool(self._labels or self._fields)

    @property
    def name(self) -> str:
        """The only name that can match; empty when there may be several."""
        return next((value for path, value, equal in self._fields if equal and path == "metadata.name"), "")

    @property
    def topic(self) -> rows.Topic | None:
        """A field that must have one value, by which changes that may concern this selection are found."""
        for path, value, equal in self._fields:
            if equal and value != _OFF:
                return rows.Topic(_values_of(path), value)
        return None

    def matches(self, value: bytes) -> bool:
        """Whether an encoded object is selected."""
        return not self or self.takes(Facts(value))

    def takes(self, facts: Facts) -> bool:
        """Whether the object with these facts is selected."""
        for test in self._labels:
            if not test(facts.labels):
                return False
        for path, wanted, equal in self._fields:
            actual = facts.text(path)
            # A switch that is not set is off.
            if (actual == wanted or (wanted == _OFF and actual == "")) is not equal:
                return False
        return True


_OFF = "false"


@functools.cache
def _values_of(path: str) -> Callable[[rows.Change], Sequence[str]]:
    """What a field was and is: one function for all who look at it."""

    def values(change: rows.Change) -> Sequence[str]:
        now, then = after(change).text(path), before(change)
        return (now,) if then is None else (now, then.text(path))

    return values


def parse(kind: kinds.Kind, *, labels: str, fields: str) -> Selection:
    """Read both selectors; raises Fault 400 with what is wrong."""
    return Selection(labels=parse_labels(labels), fields=parse_fields(kind, fields))


def parse_labels(text: str) -> list[LabelTest]:
    """Read a label selector: ``a=b``, ``a!=b``, ``a in (b,c)``, ``a notin (b)``, ``a``, ``!a``, ``a>1``, ``a<1``."""
    tokens = _tokens(text)
    tests: list[LabelTest] = []
    while tokens:
        tests.append(_requirement(tokens, text))
        if tokens:
            _expect(tokens, ",", text)
            if not tokens:
                raise _bad(text, "found '', expected: identifier after ','")
    return tests


def parse_fields(kind: kinds.Kind, text: str) -> list[tuple[str, str, bool]]:
    """Read a field selector: ``a=b``, ``a==b``, ``a!=b``, joined by commas."""
    terms = []
    for term in re.split(r"(?<!\\),", text) if text else []:
        match = re.fullmatch(r"([^=!]+)(==|!=|=)(.*)", term.strip())
        if match is None:
            raise faults.bad_request(f"invalid selector: '{text}'; can't understand '{term}'")
        path, operator, value = match.groups()
        if re.search(r"(?<!\\)(?:\\\\)*\\(?![\\,=])", value):
            raise faults.bad_request(f"invalid field selector: invalid escape sequence in '{term}'")
        if path not in ("metadata.name", "metadata.namespace", *kind.selectable):
            raise faults.bad_request(
                f'Unable to find "{kind.api_version}, Resource={kind.plural}" that match label selector "", '
                f'field selector "{text}": field label not supported: {path}'
            )
        terms.append((path, re.sub(r"\\(.)", r"\1", value), operator != "!="))
    return terms


def _text(obj: Any, path: str) -> str:
    for step in path.split("."):
        obj = obj.get(step) if isinstance(obj, dict) else None
    if isinstance(obj, bool):
        return "true" if obj else "false"
    if isinstance(obj, dict):
        # An Event's `source` selects by its component.
        return str(obj.get("component", ""))
    return "" if obj is None else str(obj)


def _tokens(text: str) -> list[str]:
    tokens = []
    at = 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _bad(text, f"unexpected character at {at}")
        tokens.append(match.group(1))
        at = match.end()
    return tokens


def _requirement(tokens: list[str], text: str) -> LabelTest:
    if tokens[0] == "!":
        tokens.pop(0)
        key = _key(tokens, text)
        return lambda labels: key not in labels
    key = _key(tokens, text)
    if not tokens or tokens[0] == ",":
        return lambda labels: key in labels
    operator = tokens.pop(0)
    if operator in ("=", "=="):
        value = _value(tokens, text)
        return lambda labels: labels.get(key) == value
    if operator == "!=":
        value = _value(tokens, text)
        return lambda labels: labels.get(key) != value
    if operator in ("in", "notin"):
        values = _values(tokens, text)
        if operator == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if operator in (">", "<"):
        bound = _value(tokens, text)
        if not re.fullmatch(r"-?\d{1,18}", bound):
            raise _bad(text, "for 'Gt', 'Lt' operators, the value must be an integer")
        limit = int(bound)
        above = operator == ">"
        return lambda labels: _beyond(labels.get(key, ""), limit, above=above)
    raise _bad(text, f"found '{operator}', expected: in, notin, =, ==, !=, gt, lt")


def _beyond(value: str, limit: int, *, above: bool) -> bool:
    if not re.fullmatch(r"-?\d{1,18}", value):
        return False
    return int(value) > limit if above else int(value) < limit


def _key(tokens: list[str], text: str) -> str:
    key = tokens.pop(0) if tokens else ""
    if _KEY.fullmatch(key) is None or len(key.rpartition("/")[2]) > 63:
        raise _bad(text, f"invalid label key '{key}'")
    return key


def _value(tokens: list[str], text: str) -> str:
    # `a=` asks for the empty value.
    value = tokens.pop(0) if tokens and tokens[0] != "," else ""
    if _VALUE.fullmatch(value) is None or len(value) > 63:
        raise _bad(text, f"invalid label value '{value}'")
    return value


def _values(tokens: list[str], text: str) -> set[str]:
    _expect(tokens, "(", text)
    values = set()
    while True:
        if tokens and tokens[0] == ")":
            values.add("")
        else:
            values.add(_value(tokens, text))
        closing = tokens.pop(0) if tokens else ""
        if closing == ")":
            return values
        if closing != ",":
            raise _bad(text, f"found '{closing}', expected: ',' or ')'")


def _expect(tokens: list[str], wanted: str, text: str) -> None:
    found = tokens.pop(0) if tokens else ""
    if found != wanted:
        raise _bad(text, f"found '{found}', expected: '{wanted}'")


def _bad(text: str, cause: str) -> faults.Fault:
    return faults.bad_request(f"unable to parse requirement: {cause} in selector '{text}'")
