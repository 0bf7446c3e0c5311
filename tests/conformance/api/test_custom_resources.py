"""Kinds that users add: their definitions, schemas, versions, subresources and end."""

import copy
import secrets
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.conformance.api import differences, spaces, wire

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
MERGE = {"content-type": "application/merge-patch+json"}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "cron": {"type": "string", "pattern": "^[0-9* ]+$"},
                "replicas": {"type": "integer", "minimum": 1, "maximum": 10, "default": 1},
                "size": {"type": "string", "enum": ["small", "large"]},
                "port": {"x-kubernetes-int-or-string": True},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                "either": {
                    "type": "object",
                    "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
                    "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
                },
            },
        },
        "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}},
    },
}


class Kind:
    """A kind of the test's own."""

    def __init__(self, space: spaces.Space, crd: dict[str, Any]) -> None:
        self.api = space.api
        self.space = space
        self.crd = crd
        self.name: str = crd["metadata"]["name"]

    def path(self, name: str = "", part: str = "", version: str = "v1") -> str:
        spec = self.crd["spec"]
        return self.space.path(spec["names"]["plural"], name, part, root=f"/apis/{spec['group']}/{version}")

    def body(self, name: str = "a", version: str = "v1", **spec: Any) -> dict[str, Any]:
        stated = self.crd["spec"]
        return {
            "apiVersion": f"{stated['group']}/{version}",
            "kind": stated["names"]["kind"],
            "metadata": {"name": name},
            "spec": spec,
        }

    def create(self, name: str = "a", **spec: Any) -> dict[str, Any]:
        made: dict[str, Any] = self.api.post(self.path(), self.body(name, **spec)).ok(201)
        return made

    def refused(self, **spec: Any) -> list[tuple[str, str]]:
        """Field and message of what is wrong with a spec."""
        reply = self.api.post(self.path(), self.body(**spec))
        reply.fails(422, "Invalid")
        return [(each["field"], each["message"]) for each in reply.json["details"]["causes"]]

    def wait(self, condition: str, status: str = "True") -> dict[str, Any]:
        end = time.monotonic() + wire.PATIENCE
        while time.monotonic() < end:
            found: dict[str, Any] = self.api.get(f"{CRDS}/{self.name}").ok()
            for each in (found.get("status") or {}).get("conditions") or []:
                if (each["type"], each["status"]) == (condition, status):
                    return found
            time.sleep(0.02)
        raise AssertionError(f"{self.name} never was {condition}={status}")

    def served(self) -> None:
        """Wait until objects can be made: kube-apiserver takes a moment longer than it says."""
        end = time.monotonic() + wire.PATIENCE
        while self.api.get(self.path()).status != 200:
            assert time.monotonic() < end
            time.sleep(0.05)


def definition(*versions: dict[str, Any], **spec: Any) -> dict[str, Any]:
    mark = "".join(letter for letter in secrets.token_hex(6) if letter.isalpha()) or "x"
    kind = f"Tab{mark}{secrets.choice('abcdefghij')}".capitalize()
    plural = f"{kind.lower()}s"
    group = f"g{secrets.token_hex(4)}.example.com"
    stated = versions or (version(),)
    names = {"plural": plural, "singular": kind.lower(), "kind": kind, "shortNames": [f"t{mark}"]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": list(stated), **spec},
    }


def version(name: str = "v1", *, storage: bool = True, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "served": True,
        "storage": storage,
        "schema": {"openAPIV3Schema": copy.deepcopy(SCHEMA)},
        **more,
    }


def establish(space: spaces.Space, crd: dict[str, Any] | None = None) -> Kind:
    kind = Kind(space, crd or definition())
    space.api.post(CRDS, kind.crd).ok(201)
    kind.wait("Established")
    kind.served()
    return kind


@pytest.fixture
def kind(space: spaces.Space) -> Iterator[Kind]:
    made = establish(space)
    yield made
    made.api.delete(f"{CRDS}/{made.name}")


def test_conditions_and_names(kind: Kind) -> None:
    found = kind.wait("NamesAccepted")
    names = kind.crd["spec"]["names"]
    assert found["spec"]["names"] == names | {"listKind": f"{names['kind']}List"}
    assert found["status"]["acceptedNames"] == found["spec"]["names"]
    assert found["status"]["storedVersions"] == ["v1"]
    assert found["spec"]["conversion"] == {"strategy": "None"}
    assert found["metadata"]["generation"] == 1
    reasons = {each["type"]: (each["reason"], each["message"]) for each in found["status"]["conditions"]}
    assert reasons["NamesAccepted"] == ("NoConflicts", "no conflicts found")
    assert reasons["Established"] == ("InitialNamesAccepted", "the initial names have been accepted")


def test_objects_live_like_others(kind: Kind) -> None:
    made = kind.create(cron="* *")
    assert made["metadata"]["generation"] == 1
    assert made["spec"] == {"cron": "* *", "replicas": 1}
    listed = kind.api.get(kind.path()).ok()
    assert listed["kind"] == f"{kind.crd['spec']['names']['kind']}List"
    assert [each["metadata"]["name"] for each in listed["items"]] == ["a"]
    changed = kind.api.patch(kind.path("a"), {"spec": {"replicas": 3}}).ok()
    assert (changed["metadata"]["generation"], changed["spec"]["replicas"]) == (2, 3)
    details = kind.api.put(kind.path("a"), kind.body(cron="*")).fails(422, "Invalid")
    assert details["causes"][0]["field"] == "metadata.resourceVersion"
    headers = {"content-type": "application/strategic-merge-patch+json"}
    kind.api.request("PATCH", kind.path("a"), {}, headers=headers).fails(415, "UnsupportedMediaType")
    kind.api.delete(kind.path("a")).ok()
    kind.api.get(kind.path("a")).fails(404, "NotFound")


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        ({"replicas": 0}, "spec.replicas", "should be greater than or equal to 1"),
        ({"replicas": 11}, "spec.replicas", "should be less than or equal to 10"),
        ({"replicas": "1"}, "spec.replicas", 'must be of type integer: "string"'),
        ({"cron": "bogus"}, "spec.cron", "should match '^[0-9* ]+$'"),
        ({"size": "huge"}, "spec.size", 'Unsupported value: "huge": supported values: "small", "large"'),
        ({"port": True}, "spec.port", 'must be of type integer,string: "boolean"'),
        ({"tags": ["a", "a"]}, "spec.tags[1]", 'Duplicate value: "a"'),
        ({"either": {"a": "x", "b": "y"}}, "spec.either", "must validate one and only one schema (oneOf)"),
    ],
)
def test_values_are_checked(kind: Kind, spec: dict[str, Any], field: str, words: str) -> None:
    causes = kind.refused(**spec)
    # Kubernetes 1.20 loses the field of a combination.
    fields = (field, "<nil>") if kind.api.real else (field,)
    assert any(found in fields and words in message for found, message in causes), causes


def test_unknown_fields_and_nulls_go(kind: Kind) -> None:
    made = kind.create(bogus=1, free={"any": {"thing": [1]}}, port="http", cron=None, replicas=None)
    assert made["spec"] == {"free": {"any": {"thing": [1]}}, "port": "http", "replicas": 1}


def test_tables_have_the_columns_of_the_definition(space: spaces.Space) -> None:
    columns = [
        {"name": "Cron", "type": "string", "jsonPath": ".spec.cron", "description": "When"},
        {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas", "priority": 1},
        {"name": "Missing", "type": "string", "jsonPath": ".spec.size"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
    kind = establish(space, definition(version(additionalPrinterColumns=columns)))
    kind.create(cron="* *")
    table = kind.api.get(kind.path(), headers={"accept": TABLE}).ok()
    assert [(each["name"], each["type"], each["priority"]) for each in table["columnDefinitions"]] == [
        ("Name", "string", 0), ("Cron", "string", 0), ("Replicas", "integer", 1), ("Missing", "string", 0),
        ("Age", "date", 0),
    ]  # fmt: skip
    assert table["rows"][0]["cells"][:4] == ["a", "* *", 1, None]


def test_status_and_scale(space: spaces.Space) -> None:
    scale = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
    kind = establish(space, definition(version(subresources={"status": {}, "scale": scale})))
    made = kind.api.post(kind.path(), {**kind.body(replicas=2), "status": {"replicas": 9}}).ok(201)
    assert "status" not in made
    changed = kind.api.patch(kind.path("a", "status"), {"status": {"replicas": 2}, "spec": {"replicas": 5}}).ok()
    assert (changed["status"], changed["spec"]["replicas"], changed["metadata"]["generation"]) == (
        {"replicas": 2},
        2,
        1,
    )
    found = kind.api.get(kind.path("a", "scale")).ok()
    assert (found["kind"], found["spec"], found["status"]["replicas"]) == ("Scale", {"replicas": 2}, 2)
    kind.api.patch(kind.path("a", "scale"), {"spec": {"replicas": 4}}).ok()
    assert kind.api.get(kind.path("a")).ok()["spec"]["replicas"] == 4


def test_an_applied_scale(space: spaces.Space) -> None:
    paths = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
    kind = establish(space, definition(version(subresources={"status": {}, "scale": paths})))
    where = kind.path("a", "scale")
    headers = {"content-type": "application/apply-patch+yaml"}
    body = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "a"}, "spec": {"replicas": 4}}
    kind.api.request("PATCH", kind.path("a"), kind.body(replicas=2), headers=headers, fieldManager="me").ok(201)
    if not differences.APPLIED_SCALE.by(kind.api):
        pytest.skip(differences.APPLIED_SCALE.because)
    reply = kind.api.request("PATCH", where, body, headers=headers, fieldManager="hpa")
    reply.fails(409, "Conflict", 'Apply failed with 1 conflict: conflict with "me": .spec.replicas')
    found = kind.api.request("PATCH", where, body, headers=headers, fieldManager="hpa", force="true").ok()
    assert (found["kind"], found["spec"]) == ("Scale", {"replicas": 4})
    entries = kind.api.get(kind.path("a")).ok()["metadata"]["managedFields"]
    # The server has no status yet, and "me" nothing else.
    assert [(one["manager"], one["subresource"], one["apiVersion"], one["fieldsV1"]) for one in entries] == [
        ("hpa", "scale", f"{kind.crd['spec']['group']}/v1", {"f:spec": {"f:replicas": {}}})
    ]


def test_who_scales_owns_the_number(space: spaces.Space) -> None:
    paths = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
    kind = establish(space, definition(version(subresources={"status": {}, "scale": paths})))
    kind.api.post(kind.path(), kind.body(replicas=2, cron="* *"), fieldManager="maker").ok(201)
    headers = {"content-type": "application/apply-patch+yaml"}
    kind.api.request("PATCH", kind.path("a"), kind.body(cron="* *"), headers=headers, fieldManager="me").ok()
    kind.api.patch(kind.path("a", "scale"), {"spec": {"replicas": 4}}, fieldManager="hand").ok()
    found = kind.api.get(kind.path("a")).ok()
    assert found["spec"]["replicas"] == 4
    owners = [one for one in found["metadata"]["managedFields"] if "f:replicas" in one["fieldsV1"].get("f:spec", {})]
    said = [(one["manager"], one["operation"], one.get("subresource", "")) for one in owners]
    assert said == differences.SCALED_BY.by(kind.api)
    reply = kind.api.request(
        "PATCH", kind.path("a"), kind.body(cron="* *", replicas=3), headers=headers, fieldManager="me"
    )
    assert reply.status == 409
    assert [field for _, field in reply.causes()] == [".spec.replicas"]


def test_several_versions(space: spaces.Space) -> None:
    old = version("v1beta1", storage=False, deprecated=True)
    kind = establish(space, definition(old, version()))
    group = kind.api.get(f"/apis/{kind.crd['spec']['group']}").ok()
    assert [each["version"] for each in group["versions"]] == ["v1", "v1beta1"]
    assert group["preferredVersion"]["version"] == "v1"
    kind.create(cron="* *")
    reply = kind.api.get(kind.path("a", version="v1beta1"))
    assert reply.ok()["apiVersion"].endswith("/v1beta1")
    assert reply.ok()["spec"] == {"cron": "* *", "replicas": 1}
    spec = kind.crd["spec"]
    name = spec["names"]["kind"]
    warning = f"{spec['group']}/v1beta1 {name} is deprecated; use {spec['group']}/v1 {name}"
    assert reply.headers["warning"] == f'299 - "{warning}"'


def test_defaults_reach_what_was_there_before(kind: Kind) -> None:
    kind.create(cron="* *")
    crd = kind.wait("Established")
    fields = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    fields["late"] = {"type": "string", "default": "filled"}
    kind.api.put(f"{CRDS}/{kind.name}", crd).ok()
    end = time.monotonic() + wire.PATIENCE
    while (found := kind.api.get(kind.path("a")).ok())["spec"].get("late") != "filled":
        assert time.monotonic() < end, found
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("metadata", "name"), "wrong.example.com", "metadata.name"),
        (("spec", "scope"), "Everywhere", "spec.scope"),
        (("spec", "names", "plural"), "Upper", "spec.names.plural"),
        (("spec", "versions", 0, "storage"), False, "spec.versions"),
        (("spec", "versions", 0, "schema", "openAPIV3Schema", "type"), "string", "openAPIV3Schema.type"),
        (
            ("spec", "versions", 0, "schema", "openAPIV3Schema", "properties", "spec", "type"),
            "",
            "properties[spec].type",
        ),
        (("spec", "conversion"), {"strategy": "Other"}, "spec.conversion.strategy"),
    ],
)  # fmt: skip
def test_bad_definitions_are_refused(space: spaces.Space, path: tuple[Any, ...], value: Any, field: str) -> None:
    crd = definition()
    place: Any = crd
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    reply = space.api.post(CRDS, crd)
    reply.fails(422, "Invalid")
    assert any(found.endswith(field) for _, found in reply.causes()), reply.causes()


def test_what_may_not_change(kind: Kind) -> None:
    crd = kind.wait("Established")
    crd["spec"]["scope"] = "Cluster"
    reply = kind.api.put(f"{CRDS}/{kind.name}", crd)
    reply.fails(422, "Invalid")
    assert ("FieldValueInvalid", "spec.scope") in reply.causes()


def test_a_definition_takes_its_objects_along(space: spaces.Space) -> None:
    kind = establish(space)
    kind.api.post(kind.path(), kind.body() | {"metadata": {"name": "a", "finalizers": ["example.com/hold"]}}).ok(201)
    kind.create("b")
    kind.api.delete(f"{CRDS}/{kind.name}").ok()
    found = kind.wait("Terminating")
    assert found["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
    end = time.monotonic() + wire.PATIENCE
    while kind.api.get(kind.path("b")).status != 404:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert "deletionTimestamp" in kind.api.get(kind.path("a")).ok()["metadata"]
    kind.api.patch(kind.path("a"), {"metadata": {"finalizers": None}}).ok()
    while kind.api.get(f"{CRDS}/{kind.name}").status != 404:
        assert time.monotonic() < end
        time.sleep(0.05)
    while kind.api.get(kind.path()).status != 404:
        assert time.monotonic() < end
        time.sleep(0.05)
