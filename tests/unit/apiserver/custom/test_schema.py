"""Objects held against structural schemas."""

from typing import Any

import pytest
from tests.unit.apiserver.custom import crontab

from boxfleet.apiserver.custom import schema as schemas
from boxfleet.apiserver.custom import shaping, values
from boxfleet.testing import server

pytestmark = pytest.mark.anyio


def errors(schema: dict[str, Any], value: Any) -> list[str]:
    found: list[Any] = []
    values.compile(schema)(value, "f", found)
    return [f"{each.field}: {each.message}" for each in found]


TEXT = {"type": "string"}


@pytest.mark.parametrize(
    ("schema", "good", "bad", "message"),
    [
        (TEXT, "a", 1, 'f: Invalid value: "integer": f in body must be of type string: "integer"'),
        ({"type": "integer"}, 1, "a", 'f: Invalid value: "string": f in body must be of type integer: "string"'),
        ({"type": "integer"}, 1.0, 1.5, 'f: Invalid value: "number": f in body must be of type integer: "number"'),
        ({"type": "number"}, 1, True, 'f: Invalid value: "boolean": f in body must be of type number: "boolean"'),
        ({**TEXT, "nullable": True}, None, 1,
         'f: Invalid value: "integer": f in body must be of type string: "integer"'),
        ({**TEXT, "enum": ["a", "b"]}, "b", "c", 'f: Unsupported value: "c": supported values: "a", "b"'),
        ({**TEXT, "pattern": "^a+$"}, "aa", "b", "f: Invalid value: \"b\": f in body should match '^a+$'"),
        ({**TEXT, "minLength": 2}, "ab", "a", 'f: Invalid value: "a": f in body should be at least 2 chars long'),
        ({**TEXT, "maxLength": 2}, "ab", "abc", "f: Too long: may not be more than 2 bytes"),
        ({**TEXT, "format": "date-time"}, "2026-01-01T00:00:00Z", "x",
         'f: Invalid value: "x": f in body must be of type date-time: "x"'),
        ({**TEXT, "format": "byte"}, "YQ==", "!", 'f: Invalid value: "!": f in body must be of type byte: "!"'),
        ({**TEXT, "format": "unheard-of"}, "x", 1,
         'f: Invalid value: "integer": f in body must be of type string: "integer"'),
        ({"type": "integer", "minimum": 1}, 1, 0,
         "f: Invalid value: 0: f in body should be greater than or equal to 1"),
        ({"type": "integer", "maximum": 3, "exclusiveMaximum": True}, 2, 3,
         "f: Invalid value: 3: f in body should be less than 3"),
        ({"type": "integer", "multipleOf": 5}, 10, 7, "f: Invalid value: 7: f in body should be a multiple of 5"),
        ({"type": "integer", "format": "int32"}, 1, 2**31,
         "f: Invalid value: 2147483648: f in body must be of type int32: 2147483648"),
        ({"type": "array", "items": TEXT, "minItems": 1}, ["a"], [],
         "f: Invalid value: []: f in body should have at least 1 items"),
        ({"type": "array", "items": TEXT, "maxItems": 1}, ["a"], ["a", "b"],
         "f: Too many: 2: must have at most 1 items"),
        ({"type": "array", "items": TEXT}, ["a"], [1],
         'f[0]: Invalid value: "integer": f[0] in body must be of type string: "integer"'),
        ({"type": "array", "items": TEXT, "x-kubernetes-list-type": "set"}, ["a", "b"], ["a", "a"],
         'f[1]: Duplicate value: "a"'),
        ({"type": "array", "items": {"type": "object", "properties": {"n": TEXT}}, "x-kubernetes-list-type": "map",
          "x-kubernetes-list-map-keys": ["n"]}, [{"n": "a"}, {"n": "b"}], [{"n": "a"}, {"n": "a"}],
         'f[1]: Duplicate value: map[string]interface {}{"n":"a"}'),
        ({"type": "object", "required": ["a"], "properties": {"a": TEXT}}, {"a": "x"}, {}, "f.a: Required value"),
        ({"type": "object", "additionalProperties": TEXT}, {"a": "x"}, {"a": 1},
         'f.a: Invalid value: "integer": f.a in body must be of type string: "integer"'),
        ({"type": "object", "maxProperties": 1}, {"a": 1}, {"a": 1, "b": 1},
         "f: Too many: 2: must have at most 1 items"),
        ({"x-kubernetes-int-or-string": True}, "50%", True,
         'f: Invalid value: "boolean": f in body must be of type integer,string: "boolean"'),
        ({"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, {"a": 1}, {"a": 1, "b": 1},
         'f: Invalid value: "": "f" must validate one and only one schema (oneOf). Found 2 valid alternatives'),
        ({"type": "integer", "not": {"enum": [0]}}, 1, 0,
         'f: Invalid value: "": "f" must not validate the schema (not)'),
        ({"type": "integer", "anyOf": [{"minimum": 5}, {"maximum": 1}]}, 0, 3,
         'f: Invalid value: "": "f" must validate at least one schema (anyOf)'),
        ({"type": "integer", "allOf": [{"minimum": 5}, {"maximum": 9}]}, 6, 3,
         "f: Invalid value: 3: f in body should be greater than or equal to 5"),
    ],
)  # fmt: skip
def test_values(schema: dict[str, Any], good: Any, bad: Any, message: str) -> None:
    assert errors(schema, good) == []
    assert errors(schema, bad)[0] == message


def test_patterns_take_time_by_the_text_alone() -> None:
    assert errors({**TEXT, "pattern": "^(a+)+$"}, "a" * 50_000 + "b") != []


def test_pruning() -> None:
    schema = {
        "type": "object",
        "properties": {
            "keep": {"type": "object", "x-kubernetes-preserve-unknown-fields": True,
                     "properties": {"in": {"type": "object"}}},
            "list": {"type": "array", "items": {"type": "object", "properties": {"a": TEXT}}},
            "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": TEXT}}},
            "pod": {"type": "object", "x-kubernetes-embedded-resource": True,
                    "properties": {"spec": {"type": "object"}}},
            "null": {**TEXT, "nullable": True},
        },
    }  # fmt: skip
    prune = shaping.pruner(schema, root=True)
    assert prune is not None
    obj: dict[str, Any] = {
        "apiVersion": "v", "metadata": {"x": 1}, "gone": 1, "keep": {"any": 1, "in": {"gone": 1}},
        "list": [{"a": "x", "gone": 1}], "map": {"k": {"gone": 1}, "n": None},
        "pod": {"kind": "Pod", "metadata": {"name": "a"}, "spec": {"gone": 1}, "gone": 1}, "null": None,
    }  # fmt: skip
    gone: list[str] = []
    prune(obj, "", gone)
    assert obj == {
        "apiVersion": "v", "metadata": {"x": 1}, "keep": {"any": 1, "in": {}}, "list": [{"a": "x"}], "map": {"k": {}},
        "pod": {"kind": "Pod", "metadata": {"name": "a"}, "spec": {}}, "null": None,
    }  # fmt: skip
    assert sorted(gone) == ["gone", "keep.in.gone", "list[0].gone", "map.k.gone", "pod.gone", "pod.spec.gone"]


def test_defaults() -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "object", "default": {}, "properties": {"b": {"type": "integer", "default": 5}}},
            "l": {"type": "array", "items": {"type": "object", "properties": {"c": {**TEXT, "default": "x"}}}},
            "n": {**TEXT, "nullable": True, "default": "y"},
        },
    }
    fill = shaping.defaulter(schema)
    assert fill is not None
    obj: dict[str, Any] = {"l": [{}, {"c": "z"}], "n": None}
    fill(obj)
    assert obj == {"a": {"b": 5}, "l": [{"c": "x"}, {"c": "z"}], "n": None}
    other: dict[str, Any] = {}
    fill(other)
    other["a"]["b"] = 6
    fill(third := {})
    assert third == {"a": {"b": 5}, "n": "y"}
    assert shaping.defaulter({"type": "object"}) is None


def test_what_was_wrong_before_and_did_not_change_is_let_pass() -> None:
    schema = schemas.VersionSchema("x", {"type": "object", "properties": {"a": {**TEXT, "maxLength": 1}, "b": TEXT}})
    assert schema.validate({"a": "xx", "b": "new"}, {"a": "xx", "b": "old"}) == []
    assert schema.validate({"a": "xxx"}, {"a": "xx"}) != []


async def test_over_the_wire(api: server.Api) -> None:
    await crontab.established(api)
    reply = await server.send(api.app, "POST", crontab.TABS, crontab.tab(replicas=0, cronSpec="bogus"))
    assert reply.status == 422
    assert crontab.causes(reply)[1] == (
        "spec.replicas", "Invalid value: 0: spec.replicas in body should be greater than or equal to 1",
    )  # fmt: skip
    assert reply.json["message"].startswith('CronTab.stable.example.com "a" is invalid: [spec.cronSpec: Invalid value:')
    for body in ({**crontab.tab(), "spec": "text"}, {**crontab.tab(), "spec": [1]}, {**crontab.tab(), "status": 1}):
        assert (await server.send(api.app, "POST", crontab.TABS, body)).status == 422
    for metadata in (5, {"name": "a", "labels": 5}, {"name": ["a"]}):
        reply = await server.send(api.app, "POST", crontab.TABS, {**crontab.tab(), "metadata": metadata})
        assert 400 <= reply.status < 500, reply.body


async def test_unknown_fields(api: server.Api) -> None:
    await crontab.established(api)
    body = crontab.tab(bogus=1)
    reply = await server.send(api.app, "POST", f"{crontab.TABS}?fieldValidation=Strict", body)
    assert (reply.status, 'unknown field "spec.bogus"' in reply.json["message"]) == (400, True)
    reply = await server.send(api.app, "POST", f"{crontab.TABS}?fieldValidation=Warn", body)
    assert reply.status == 201
    assert ("warning", '299 - "unknown field \\"spec.bogus\\""') in reply.headers
    assert "bogus" not in reply.json["spec"]
    reply = await server.send(
        api.app, "POST", f"{crontab.TABS}?fieldValidation=Ignore", {**body, "metadata": {"name": "b"}}
    )
    assert (reply.status, [name for name, _ in reply.headers if name == "warning"]) == (201, [])


async def test_status_and_scale(api: server.Api) -> None:
    parts = {
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.labelSelector",
        },
    }
    await crontab.established(api, crontab.definition(crontab.version(subresources=parts)))
    made = await crontab.made(api, {**crontab.tab(replicas=2), "status": {"replicas": 9}})
    assert "status" not in made
    change = {"status": {"replicas": 2, "labelSelector": "a=b"}, "spec": {"replicas": 7}}
    reply = await server.send(api.app, "PATCH", f"{crontab.TABS}/a/status", change, headers=crontab.MERGE)
    assert (reply.json["spec"]["replicas"], reply.json["status"]["replicas"]) == (2, 2)
    assert reply.json["metadata"]["generation"] == 1
    scale = (await server.send(api.app, "GET", f"{crontab.TABS}/a/scale")).json
    assert (scale["spec"], scale["status"]) == ({"replicas": 2}, {"replicas": 2, "selector": "a=b"})
    change = {"spec": {"replicas": 4}}
    reply = await server.send(api.app, "PATCH", f"{crontab.TABS}/a/scale", change, headers=crontab.MERGE)
    assert reply.status == 200, reply.body
    found = (await server.send(api.app, "GET", f"{crontab.TABS}/a")).json
    assert (found["spec"]["replicas"], found["metadata"]["generation"]) == (4, 2)
    change = {"spec": {"replicas": 40}}
    assert (await server.send(api.app, "PATCH", f"{crontab.TABS}/a/scale", change, headers=crontab.MERGE)).status == 422


async def test_columns_and_selectable_fields(api: server.Api) -> None:
    columns = [
        {"name": "Spec", "type": "string", "jsonPath": ".spec.cronSpec", "description": "When."},
        {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas"},
        {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status', "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
    stated = crontab.version(additionalPrinterColumns=columns, selectableFields=[{"jsonPath": ".spec.image"}])
    await crontab.established(api, crontab.definition(stated))
    await crontab.made(api, crontab.tab())
    await crontab.made(api, crontab.tab("b", image="other", replicas=3))
    accept = {"accept": "application/json;as=Table;g=meta.k8s.io;v=v1"}
    table = (await server.send(api.app, "GET", crontab.TABS, headers=accept)).json
    assert [each["name"] for each in table["columnDefinitions"]] == ["Name", "Spec", "Replicas", "Ready", "Age"]
    assert [row["cells"][:4] for row in table["rows"]] == [["a", "* * * * */5", 1, None], ["b", "* * * * */5", 3, None]]
    listed = (await server.send(api.app, "GET", f"{crontab.TABS}?fieldSelector=spec.image%3Dother")).json
    assert [each["metadata"]["name"] for each in listed["items"]] == ["b"]
    assert (await server.send(api.app, "GET", f"{crontab.TABS}?fieldSelector=spec.replicas%3D1")).status == 400


async def test_server_side_apply_merges_by_the_schema(api: server.Api) -> None:
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "ports": {
                        "type": "array",
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["name"],
                        "items": {
                            "type": "object",
                            "required": ["name"],
                            "properties": {"name": TEXT, "port": {"type": "integer"}},
                        },
                    }
                },
            }
        },
    }
    await crontab.established(api, crontab.definition(crontab.version(schema=schema)))
    headers = {"content-type": "application/apply-patch+yaml"}
    for manager, port in (("one", "http"), ("two", "metrics")):
        body = {**crontab.tab(), "spec": {"ports": [{"name": port, "port": 80}]}}
        reply = await server.send(api.app, "PATCH", f"{crontab.TABS}/a?fieldManager={manager}", body, headers=headers)
        assert reply.status in (200, 201), reply.body
    assert [each["name"] for each in reply.json["spec"]["ports"]] == ["http", "metrics"]


async def test_defaults_reach_objects_that_were_there_before(api: server.Api) -> None:
    crd = await crontab.established(api)
    await crontab.made(api, crontab.tab())
    fields = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    fields["suspend"] = {"type": "boolean", "default": False}
    del fields["image"]
    assert (await server.send(api.app, "PUT", f"{crontab.CRDS}/{crontab.NAME}", crd)).status == 200
    for path in (f"{crontab.TABS}/a", crontab.TABS):
        found = (await server.send(api.app, "GET", path)).json
        found = found["items"][0] if "items" in found else found
        assert (found["spec"]["suspend"], "image" in found["spec"]) == (False, False)
    stored = api.store.range("/stable.example.com/")[0].value
    assert b"suspend" not in stored
