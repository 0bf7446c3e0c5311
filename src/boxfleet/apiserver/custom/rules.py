"""``x-kubernetes-validations`` of a schema: its rules compiled, and held against objects and what they were before."""

import dataclasses
import re
from collections.abc import Callable, Iterator
from typing import Any

from boxfleet.api import fields
from boxfleet.api import kind as kinds
from boxfleet.apiserver.custom import cel, jsonpath

Schema = dict[str, Any]
Errors = list[kinds.FieldError]

STATED = "x-kubernetes-validations"
_REASONS = {
    "FieldValueInvalid": kinds.Reason.INVALID,
    "FieldValueForbidden": kinds.Reason.FORBIDDEN,
    "FieldValueRequired": kinds.Reason.REQUIRED,
    "FieldValueDuplicate": kinds.Reason.DUPLICATE,
}
_OLD = re.compile(r"\boldSelf\b")
_MESSAGE_LIMIT = 2048
# Bytes of a rule; the real server bounds it by estimated cost.
_RULE_LIMIT = 16 * 1024
_MOST_ERRORS = 100


def compile(schema: Schema) -> "Rules | None":
    """The rules of a root schema; None when there are none, and then no library is loaded."""
    node = _node(schema, root=True)
    return Rules(node) if node is not None else None


class Rules:
    """All rules of a schema."""

    def __init__(self, root: "_Node") -> None:
        self._root = root

    def errors(self, new: Any, old: Any) -> Errors:
        """What the rules say against an object; `old` is None on creation."""
        found: Errors = []
        self._root.run(new, () if old is None else (old,), "", found)
        return found


@dataclasses.dataclass(frozen=True, slots=True)
class _Rule:
    text: str
    expression: cel.Expression
    message: str
    say: cel.Expression | None
    reason: kinds.Reason
    field: str
    uses_old: bool
    optional_old: bool

    def check(self, value: Any, old: tuple[Any, ...], type_: str, path: str) -> kinds.FieldError | None:
        where = f"{path}{self.field}".removeprefix(".")
        try:
            if self.expression.evaluate(value, old) is True:
                return None
        except cel.RuleError as error:
            text = f'Invalid value: "{type_}": {error} evaluating rule: {self.message or self.text}'
            return kinds.FieldError(where, text)
        message = self._worded(value, old)
        if self.reason is kinds.Reason.FORBIDDEN:
            return kinds.FieldError(where, f"Forbidden: {message}", self.reason)
        if self.reason is kinds.Reason.REQUIRED:
            return kinds.FieldError(where, f"Required value: {message}", self.reason)
        if self.reason is kinds.Reason.DUPLICATE:
            return kinds.FieldError(where, f'Duplicate value: "{type_}"', self.reason)
        return kinds.FieldError(where, f'Invalid value: "{type_}": {message}', self.reason)

    def _worded(self, value: Any, old: tuple[Any, ...]) -> str:
        if self.say is not None:
            try:
                said = self.say.evaluate(value, old)
            except cel.RuleError:
                said = ""
            if isinstance(said, str) and said.strip() and "\n" not in said:
                return said[:_MESSAGE_LIMIT]
        return self.message or f"failed rule: {self.text}"


class _Node:
    """A place in a schema that has rules, or has them below it."""

    def __init__(self, schema: Schema, convert: "Convert | None") -> None:
        self.type = schema.get("type") or ""
        self.rules = [_compiled(stated) for stated in schema.get(STATED) or []]
        self.convert = convert
        self.properties: dict[str, _Node] = {}
        self.others: _Node | None = None
        self.items: _Node | None = None
        self.keys: tuple[str, ...] = tuple(schema.get("x-kubernetes-list-map-keys") or ())

    def run(self, value: Any, old: tuple[Any, ...], path: str, found: Errors) -> None:
        """Check a value and all below it. Whatever has another type than the schema says is nobody's concern here."""
        if len(found) >= _MOST_ERRORS or value is None:
            return
        if self.rules:
            self._own(value, old, path, found)
        if type(value) is dict:
            before = old[0] if old and isinstance(old[0], dict) else {}
            for name, inner in self._inner(value):
                inner.run(value[name], _old(before, name), f"{path}.{name}", found)
        elif type(value) is list and self.items is not None:
            known = self._by_key(old[0]) if old and self.keys and isinstance(old[0], list) else {}
            for index, item in enumerate(value):
                mark = self._mark(item)
                self.items.run(item, known.get(mark, ()) if mark else (), f"{path}[{index}]", found)

    def _own(self, value: Any, old: tuple[Any, ...], path: str, found: Errors) -> None:
        same = bool(old) and old[0] == value
        if self.convert is not None:
            old = tuple(self.convert(one) for one in old)
            value = self.convert(value)
        for rule in self.rules:
            if rule.uses_old:
                if not old and not rule.optional_old:
                    continue
            elif same:
                # What was let pass before and did not change is let pass again.
                continue
            error = rule.check(value, old, self.type, path)
            if error is not None:
                found.append(error)

    def _inner(self, value: dict[str, Any]) -> "Iterator[tuple[str, _Node]]":
        for name, inner in self.properties.items():
            if name in value:
                yield name, inner
        if self.others is not None:
            for name in value:
                yield name, self.others

    def _mark(self, item: Any) -> tuple[Any, ...] | None:
        if not self.keys or not isinstance(item, dict):
            return None
        mark = tuple(item.get(key) for key in self.keys)
        return mark if all(isinstance(part, str | int | float | None) for part in mark) else None

    def _by_key(self, items: list[Any]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        return {mark: (item,) for item in items if (mark := self._mark(item)) is not None}


def _old(before: dict[str, Any], name: str) -> tuple[Any, ...]:
    return (before[name],) if before.get(name) is not None else ()


def _compiled(stated: Schema) -> _Rule:
    text = stated["rule"].strip()
    say = stated.get("messageExpression")
    optional = bool(stated.get("optionalOldSelf"))
    return _Rule(
        text=text,
        expression=cel.Expression(text, optional_old=optional),
        message=(stated.get("message") or "").strip(),
        say=cel.Expression(say.strip(), optional_old=optional) if say else None,
        reason=_REASONS[stated.get("reason") or "FieldValueInvalid"],
        field=stated.get("fieldPath") or "",
        uses_old=_OLD.search(text) is not None,
        optional_old=optional,
    )


def _node(schema: Schema, *, root: bool = False) -> _Node | None:
    properties = {name: _node(inner) for name, inner in (schema.get("properties") or {}).items()}
    deeper = {name: inner for name, inner in properties.items() if inner is not None}
    others, items = schema.get("additionalProperties"), schema.get("items")
    rest = _node(others) if isinstance(others, dict) else None
    each = _node(items) if isinstance(items, dict) else None
    if not schema.get(STATED) and not deeper and rest is None and each is None:
        return None
    node = _Node(schema, converter(schema, root=root) if schema.get(STATED) else None)
    node.properties, node.others, node.items = deeper, rest, each
    return node


# A JSON value as rules see it.
Convert = Callable[[Any], Any]

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Words of the language that no field can be selected by.
_RESERVED = frozenset({
    "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import",
    "let", "loop", "package", "namespace", "return", "var", "void", "while",
})  # fmt: skip


def escaped(name: str) -> str:
    """A field's name in rules: ``__namespace__`` for namespace, ``a__dash__b`` for a-b."""
    if name in _RESERVED:
        return f"__{name}__"
    if _IDENTIFIER.fullmatch(name) and "__" not in name:
        return name
    for sign, word in (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__")):
        name = name.replace(sign, word)
    return name


def converter(schema: Schema, *, root: bool = False) -> Convert | None:
    """What turns JSON values of a schema into those that rules see; None when they are the same."""
    if schema.get("type") == "number":
        return lambda value: float(value) if type(value) is int else value
    if schema.get("type") == "integer":
        return lambda value: int(value) if type(value) is float else value
    properties = schema.get("properties") or {}
    inner = {name: below for name, one in properties.items() if (below := converter(one)) is not None}
    renamed = {name: escaped(name) for name in properties if escaped(name) != name}
    others, items = schema.get("additionalProperties"), schema.get("items")
    rest = converter(others) if isinstance(others, dict) else None
    each = converter(items) if isinstance(items, dict) else None
    if not inner and not renamed and rest is None and each is None and not root:
        return None

    def convert(value: Any) -> Any:
        if type(value) is dict:
            made = {renamed.get(key, key): (inner.get(key) or rest or _same)(item) for key, item in value.items()}
            if root:
                data = value.get("metadata") or {}
                made["metadata"] = {key: data[key] for key in ("name", "generateName") if key in data}
            return made
        return [each(item) for item in value] if type(value) is list and each is not None else value

    return convert


def _same(value: Any) -> Any:
    return value


def stated_errors(schema: Schema, path: str, *, correlatable: bool = True) -> Errors:
    """What is wrong with the rules of one schema node themselves."""
    found: Errors = []
    for number, stated in enumerate(schema.get(STATED) or []):
        found += _one(stated, schema, f"{path}.{STATED}[{number}]", correlatable=correlatable)
    return found


def _one(stated: Schema, schema: Schema, path: str, *, correlatable: bool) -> Errors:
    text = (stated.get("rule") or "").strip()
    if not text:
        return [fields.required(f"{path}.rule", "rule is not specified")]
    if len(text.encode()) > _RULE_LIMIT:
        return [fields.too_long(f"{path}.rule", _RULE_LIMIT, "bytes")]
    found: Errors = []
    optional = bool(stated.get("optionalOldSelf"))
    if _OLD.search(text) and not correlatable:
        cause = "oldSelf cannot be used on the uncorrelatable portion of the schema"
        found.append(fields.invalid(f"{path}.rule", text, cause))
    if optional and not _OLD.search(text):
        cause = "may not be set if oldSelf is not used in rule"
        found.append(fields.invalid(f"{path}.optionalOldSelf", stated["optionalOldSelf"], cause))
    found += _expression(text, f"{path}.rule", ("BOOL", "DYN"), "must evaluate to a bool", optional=optional)
    message = stated.get("message")
    if message is not None and (not message.strip() or "\n" in message or len(message) > _MESSAGE_LIMIT):
        cause = f"message must be non-empty, without line breaks, at most {_MESSAGE_LIMIT} characters"
        found.append(fields.invalid(f"{path}.message", message, cause))
    say = stated.get("messageExpression")
    if say is not None:
        cause = "messageExpression must evaluate to a string"
        found += _expression(say, f"{path}.messageExpression", ("STRING", "DYN"), cause, optional=optional)
    reason = stated.get("reason")
    if reason is not None and reason not in _REASONS:
        found.append(fields.not_supported(f"{path}.reason", reason, sorted(_REASONS)))
    field = stated.get("fieldPath")
    if field is not None and not _leads_somewhere(field, schema):
        cause = "fieldPath must be a valid path to a field below, as .spec.replicas"
        found.append(fields.invalid(f"{path}.fieldPath", field, cause))
    return found


def _expression(text: str, path: str, types: tuple[str, ...], cause: str, *, optional: bool) -> Errors:
    try:
        compiled = cel.Expression(text.strip(), optional_old=optional)
    except cel.RuleError as error:
        return [fields.invalid(path, text, str(error))]
    return [] if compiled.returns.upper() in types else [fields.invalid(path, text, cause)]


def _leads_somewhere(path: str, schema: Schema) -> bool:
    names = jsonpath.plain_fields(path)
    if names is None:
        return False
    for name in names:
        properties = schema.get("properties") or {}
        others = schema.get("additionalProperties")
        if name not in properties and not isinstance(others, dict):
            return False
        schema = properties.get(name) or others or {}
    return True
