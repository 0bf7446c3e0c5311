"""What a definition may say."""

import copy
from typing import Any

import pytest
from tests.unit.apiserver.custom import crontab

from boxfleet.apiserver.custom import definition_rules, jsonpath, structural, versions
from boxfleet.testing import server


def found(crd: dict[str, Any], old: dict[str, Any] | None = None) -> list[str]:
    crd = copy.deepcopy(crd)
    definition_rules.default(crd)
    return [f"{each.field}: {each.message}" for each in definition_rules.validate(crd, old)]


def changed(path: str, value: Any) -> dict[str, Any]:
    crd: dict[str, Any] = crontab.definition()
    *steps, last = path.split(".")
    place: Any = crd
    for step in steps:
        place = place[int(step)] if step.isdigit() else place.setdefault(step, {})
    place[last] = value
    return crd


def test_a_good_one() -> None:
    assert found(crontab.definition()) == []


V = "spec.versions.0"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("metadata.name", "x.y", 'metadata.name: Invalid value: "x.y": must be spec.names.plural+"."+spec.group'),
        ("spec.group", "", "spec.group: Required value"),
        ("spec.group", "plain", 'spec.group: Invalid value: "plain": should be a domain with at least one dot'),
        ("spec.group", "a.k8s.io",
         "metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups"),
        ("spec.scope", "Everywhere",
         'spec.scope: Unsupported value: "Everywhere": supported values: "Cluster", "Namespaced"'),
        ("spec.names.kind", "", "spec.names.kind: Required value"),
        ("spec.names.plural", "Crons", 'spec.names.plural: Invalid value: "Crons": a DNS-1035 label'),
        ("spec.names.shortNames", ["A"], 'spec.names.shortNames[0]: Invalid value: "A"'),
        ("spec.names.listKind", "CronTab", "kind and listKind may not be the same"),
        ("spec.versions", [], "spec.versions: Required value"),
        (f"{V}.storage", False, "must have exactly one version marked as storage version"),
        (f"{V}.schema", {}, "spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required"),
        (f"{V}.deprecationWarning", "x", "can only be set for deprecated versions"),
        (f"{V}.subresources", {"scale": {"specReplicasPath": ".replicas", "statusReplicasPath": ".status.r"}},
         "specReplicasPath: Invalid value: \".replicas\": should be a json path under .spec"),
        (f"{V}.additionalPrinterColumns", [{"name": "a", "type": "text", "jsonPath": ".a"}],
         "must be one of boolean,date,integer,number,string"),
        (f"{V}.additionalPrinterColumns", [{"name": "a", "type": "string", "jsonPath": "a"}], "is no JSONPath"),
        (f"{V}.selectableFields", [{"jsonPath": ".spec"}], "must point to a field of type string, boolean or integer"),
        ("spec.conversion", {"strategy": "Other"}, "spec.conversion.strategy: Unsupported value"),
        ("spec.conversion", {"strategy": "Webhook"}, "spec.conversion.webhook.clientConfig: Required value"),
        ("spec.conversion", {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"],
         "clientConfig": {"service": {"name": "a", "namespace": "b"}}}}, "Forbidden: Services are not served here"),
        ("spec.conversion", {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"],
         "clientConfig": {"url": "http://a/b"}}}, "'https' is the only allowed URL scheme"),
        ("spec.preserveUnknownFields", True, "spec.preserveUnknownFields: Invalid value: true"),
    ],
)  # fmt: skip
def test_faults(path: str, value: Any, message: str) -> None:
    assert any(message in each for each in found(changed(path, value))), found(changed(path, value))


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({}, "s.type: Required value: must not be empty at the root"),
        ({"type": "string"}, 's.type: Invalid value: "string": must be object at the root'),
        ({"type": "object", "properties": {"a": {}}},
         "s.properties[a].type: Required value: must not be empty for specified object fields"),
        ({"type": "object", "properties": {"a": {"type": "text"}}}, 's.properties[a].type: Unsupported value: "text"'),
        ({"type": "object", "properties": {"a": {"type": "array"}}},
         "s.properties[a].items: Required value: must be specified"),
        ({"type": "object", "properties": {"a": {"$ref": "b", "type": "object"}}}, "$ref is not supported"),
        ({"type": "object", "properties": {"a": {"type": "object"}}, "additionalProperties": {"type": "string"}},
         "additionalProperties and properties are mutual exclusive"),
        ({"type": "object", "additionalProperties": False}, "additionalProperties cannot be set to false"),
        ({"type": "object", "x-kubernetes-preserve-unknown-fields": False}, "must be true or undefined"),
        ({"type": "object", "anyOf": [{"type": "object"}]},
         "s.anyOf[0].type: Forbidden: must be empty to be structural"),
        ({"type": "object", "anyOf": [{"properties": {"a": {"minimum": 1}}}]},
         "s.properties[a]: Required value: because it is defined in s.anyOf[0].properties[a]"),
        ({"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}},
         "must be a valid regular expression"),
        ({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {}}}}},
         "must not specify anything other than name and generateName"),
        ({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "object"},
         "x-kubernetes-list-type": "map"}}}, "must not be empty if x-kubernetes-list-type is map"),
        ({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}, "uniqueItems": True}}},
         "uniqueItems cannot be set to true"),
        ({"type": "object", "properties": {"a": {"type": "object", "x-kubernetes-embedded-resource": True}}},
         "must not be empty if x-kubernetes-embedded-resource is true"),
    ],
)  # fmt: skip
def test_structural(schema: dict[str, Any], message: str) -> None:
    errors = [f"{each.field}: {each.message}" for each in structural.errors(schema, "s")]
    assert any(message in each for each in errors), errors


def test_deep_schemas_are_refused() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(200):
        schema = {"type": "object", "properties": {"a": schema}}
    assert "nested" in structural.errors(schema, "s")[0].message


def test_defaults_must_fit() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer", "default": "x"}}}
    [error] = found(crontab.definition(crontab.version(schema=schema)))
    assert error.startswith("spec.versions[0].schema.openAPIV3Schema.properties[a].default: Invalid value")


def test_what_may_not_change() -> None:
    old = crontab.definition()
    definition_rules.default(old)
    old["status"] = {"conditions": [{"type": "Established", "status": "True"}], "storedVersions": ["v1"]}
    for path, value in (("spec.scope", "Cluster"), ("spec.names.kind", "Other"), ("spec.names.plural", "others")):
        assert any(
            f"{path}: Invalid value" in each and "immutable" in each for each in found(changed(path, value), old)
        )
    new = crontab.definition(crontab.version("v2"))
    new["status"] = old["status"]
    assert "status.storedVersions[0]" in found(new, old)[0]


def test_order_of_versions() -> None:
    names = ["v10", "v2", "v1", "v11beta2", "v10beta3", "v3beta1", "v12alpha1", "v11alpha2", "foo1", "foo10"]
    assert sorted(sorted(names), key=versions.priority) == names


@pytest.mark.parametrize(
    ("path", "result"),
    [
        (".a.b", [1]), (".a['b']", [1]), (".l[0]", ["x"]), (".l[-1]", ["z"]), (".l[*]", ["x", "y", "z"]),
        (".l[0:2]", ["x", "y"]), (".c[?(@.type==\"Ready\")].status", ["True"]), (".c[?(@.n>1)].type", ["Old"]),
        (".none.deeper", []), ("..status", ["True", "False"]), (r".d\.e", [5]), ("{.a.b}", [1]),
    ],
)  # fmt: skip
def test_paths(path: str, result: list[Any]) -> None:
    conditions = [{"type": "Ready", "status": "True", "n": 1}, {"type": "Old", "status": "False", "n": 2}]
    obj = {"a": {"b": 1}, "l": ["x", "y", "z"], "c": conditions, "d.e": 5}
    assert jsonpath.compile(path)(obj) == result


@pytest.mark.anyio
async def test_definitions_over_the_wire(api: server.Api) -> None:
    bad = crontab.definition()
    bad["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["propertys"] = {}
    reply = await server.send(api.app, "POST", f"{crontab.CRDS}?fieldValidation=Strict", bad)
    assert (reply.status, "spec.versions[0].schema.openAPIV3Schema.propertys" in reply.json["message"]) == (400, True)
    bad["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"] = [1]
    assert (await server.send(api.app, "POST", crontab.CRDS, bad)).status == 422
    for nonsense in ({"spec": {}}, {"spec": []}, {"spec": {"versions": [{}]}}, {"spec": {"versions": 1}}, {}):
        reply = await server.send(api.app, "POST", crontab.CRDS, {"metadata": {"name": "a.b"}, **nonsense})
        assert reply.status in (400, 422), reply.body
