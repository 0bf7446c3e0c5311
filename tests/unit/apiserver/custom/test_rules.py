"""Rules in CEL: refused when they cannot be compiled, held against objects and what those were before."""

import subprocess
import sys
from typing import Any

import pytest
from tests.unit.apiserver.custom import crontab

from boxfleet.apiserver.custom import rules, schema_rules
from boxfleet.testing import server

NUMBER = {"type": "integer"}
TEXT = {"type": "string"}


def errors(schema: dict[str, Any], new: Any, old: Any = None) -> list[str]:
    compiled = rules.compile({"type": "object", "properties": {"f": schema}})
    assert compiled is not None
    found = compiled.errors({"f": new}, None if old is None else {"f": old})
    return [f"{each.field}: {each.message}" for each in found]


def ruled(rule: str, schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**schema, "x-kubernetes-validations": [{"rule": rule, **more}]}


SCALE = {"type": "object", "properties": {"min": NUMBER, "max": NUMBER, "ratio": {"type": "number"}, "a-b": NUMBER}}
LIST = {"type": "array", "items": TEXT}


@pytest.mark.parametrize(
    ("rule", "schema", "good", "bad"),
    [
        ("self.min <= self.max", SCALE, {"min": 1, "max": 2}, {"min": 3, "max": 2}),
        ("!has(self.min) || self.min > 0", SCALE, {}, {"min": 0}),
        ("self.ratio * 2.0 < 3.0", SCALE, {"ratio": 1}, {"ratio": 2}),
        ("self.a__dash__b == 1", SCALE, {"a-b": 1}, {"a-b": 2}),
        ("self.startsWith('a')", TEXT, "ab", "ba"),
        ("self.matches('^[a-z]+$')", TEXT, "ab", "B"),
        ("self.all(x, x.size() < 3)", LIST, ["ab"], ["abc"]),
        ("self.isSorted()", LIST, ["a", "b"], ["b", "a"]),
        ("self.indexOf('b') == 1 && self.lastIndexOf('b') == 2", LIST, ["a", "b", "b"], ["b"]),
        ("self.find('[0-9]+') == '42'", TEXT, "a42b", "a43"),
        ("self.findAll('[0-9]').size() == 2", TEXT, "1x2", "1"),
        ("sets.contains(self, ['a'])", LIST, ["b", "a"], ["b"]),
        ("isURL(self)", TEXT, "https://a.example/b", "nonsense"),
        ("isQuantity(self)", TEXT, "500m", "many"),
        ("self.lowerAscii() == 'a'", TEXT, "A", "B"),
        ("timestamp(self) > timestamp('2026-01-01T00:00:00Z')", TEXT, "2026-02-01T00:00:00Z", "2025-02-01T00:00:00Z"),
        ("math.greatest(self.min, self.max) < 9", SCALE, {"min": 1, "max": 2}, {"min": 1, "max": 9}),
        ("self.?min.orValue(1) == 1", SCALE, {}, {"min": 2}),
    ],
)  # fmt: skip
def test_rules(rule: str, schema: dict[str, Any], good: Any, bad: Any) -> None:
    assert schema_rules.errors(ruled(rule, schema), "s") == []
    assert errors(ruled(rule, schema), good) == []
    assert errors(ruled(rule, schema), bad) == [f'f: Invalid value: "{schema["type"]}": failed rule: {rule}']


def test_words_reasons_and_places() -> None:
    stated = ruled(
        "self.min <= self.max", SCALE, message="min before max", reason="FieldValueForbidden", fieldPath=".min"
    )
    assert errors(stated, {"min": 3, "max": 2}) == ["f.min: Forbidden: min before max"]
    stated = ruled("self > 3", NUMBER, messageExpression="'got %d'.format([self])", message="too small")
    assert errors(stated, 1) == ['f: Invalid value: "integer": got 1']
    stated = ruled("self > 3", NUMBER, messageExpression="self", message="too small")
    assert errors(stated, 1) == ['f: Invalid value: "integer": too small']
    assert errors(ruled("self.min > 1", SCALE), {})[0].startswith('f: Invalid value: "object": Key not found')


def test_transitions() -> None:
    grows = ruled("self >= oldSelf", NUMBER)
    assert errors(grows, 1) == errors(grows, 2, 1) == []
    assert errors(grows, 1, 2) != []
    maybe = ruled("!oldSelf.hasValue() || self >= oldSelf.value()", NUMBER, optionalOldSelf=True)
    assert errors(maybe, 1) == errors(maybe, 2, 1) == []
    assert errors(maybe, 1, 2) != []
    item = {"type": "object", "properties": {"n": TEXT, "v": NUMBER}}
    item["properties"]["v"] = ruled("self >= oldSelf", NUMBER)  # type: ignore[index]
    keyed = {"type": "array", "items": item, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"]}
    assert errors(keyed, [{"n": "b", "v": 1}, {"n": "a", "v": 5}], [{"n": "a", "v": 5}]) == []
    assert errors(keyed, [{"n": "b", "v": 1}, {"n": "a", "v": 4}], [{"n": "a", "v": 5}])[0].startswith("f[1].v: ")
    # What was wrong before the rule came and does not change is let pass.
    assert errors(ruled("self > 3", NUMBER), 1, 1) == []


@pytest.mark.parametrize(
    ("rule", "schema", "message"),
    [
        ("self.min <", SCALE, "compilation failed: ERROR: <input>:1:11: Syntax error"),
        ("nonsense(self)", SCALE, "compilation failed: ERROR: <input>:1:9: undeclared reference to 'nonsense'"),
        ("quantity(self).isGreaterThan(quantity('1'))", TEXT, "compilation failed: ERROR"),
        ("'text'", SCALE, "must evaluate to a bool"),
    ],
)
def test_bad_rules_are_refused_with_the_definition(rule: str, schema: dict[str, Any], message: str) -> None:
    [found] = schema_rules.errors(ruled(rule, schema), "s")
    assert found.field == "s.x-kubernetes-validations[0].rule"
    assert message in found.message


def test_what_else_can_be_wrong_with_a_rule() -> None:
    for stated, field in (
        (ruled("", NUMBER), "rule"), (ruled("true", NUMBER, message="a\nb"), "message"),
        (ruled("true", NUMBER, messageExpression="1"), "messageExpression"),
        (ruled("true", NUMBER, reason="Because"), "reason"), (ruled("true", SCALE, fieldPath=".none"), "fieldPath"),
        (ruled("true", NUMBER, optionalOldSelf=True), "optionalOldSelf"),
    ):  # fmt: skip
        assert [each.field for each in schema_rules.errors(stated, "s")] == [f"s.x-kubernetes-validations[0].{field}"]
    inside = {"type": "array", "items": ruled("self == oldSelf", TEXT)}
    assert "uncorrelatable" in schema_rules.errors(inside, "s")[0].message


def test_rules_have_bounds() -> None:
    assert "10000 items" in errors(ruled("self.all(x, x != 'b')", LIST), ["a"] * 20_000)[0]
    nested = ruled("self.all(x, self.all(y, x == y))", LIST)
    assert "10000 items" in errors(nested, ["a"] * 200)[0]
    assert "too long" in errors(ruled("self.all(x, self.all(y, (x + y).size() > 0))", LIST), ["a" * 100_000] * 50)[0]


def test_the_library_is_loaded_with_the_first_rule() -> None:
    code = (
        "import sys; from boxfleet.apiserver.custom import schema; s = {'type': 'object'};"
        "schema.VersionSchema('a', s); assert not any('cel_expr' in name for name in sys.modules);"
        "s['x-kubernetes-validations'] = [{'rule': 'true'}]; schema.VersionSchema('a', s);"
        "assert any('cel_expr' in name for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.anyio
async def test_over_the_wire(api: server.Api) -> None:
    schema = {
        "type": "object",
        "properties": {"spec": ruled("self.min <= self.max", SCALE, message="min must not be above max")},
        "x-kubernetes-validations": [{"rule": "self.metadata.name.size() < 5"}],
    }
    await crontab.established(api, crontab.definition(crontab.version(schema=schema)))
    body = {"metadata": {"name": "a"}, "spec": {"min": 2, "max": 1}}
    reply = await server.send(api.app, "POST", crontab.TABS, body)
    assert (reply.status, reply.json["message"]) == (
        422, 'CronTab.stable.example.com "a" is invalid: spec: Invalid value: "object": min must not be above max',
    )  # fmt: skip
    await crontab.made(api, {"metadata": {"name": "a"}, "spec": {"min": 1, "max": 1}})
    reply = await server.send(
        api.app, "POST", crontab.TABS, {"metadata": {"name": "longer"}, "spec": {"min": 1, "max": 1}}
    )
    assert reply.status == 422
    bad = crontab.definition(crontab.version(schema=ruled("self.x <", {"type": "object"})))
    bad["metadata"]["name"] = "others.stable.example.com"
    bad["spec"]["names"] = {"plural": "others", "kind": "Other"}
    reply = await server.send(api.app, "POST", crontab.CRDS, bad)
    assert (reply.status, "compilation failed" in reply.json["message"]) == (422, True)
