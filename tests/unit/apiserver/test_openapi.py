from typing import Any

import msgspec
import pytest

from boxfleet.api import catalog
from boxfleet.apiserver import openapi, schema

KINDS = [type_.KIND for type_ in catalog.TYPES]
DOCUMENTS = openapi.Documents(KINDS, schema.Schemas(catalog.TYPES), version="v1.32.0")
PATHS = (
    "api/v1",
    "apis/autoscaling/v2",
    "apis/boxfleet.dev/v1",
    "apis/certificates.k8s.io/v1",
    "apis/coordination.k8s.io/v1",
    "apis/policy/v1",
    "apis/rbac.authorization.k8s.io/v1",
    "apis/scheduling.k8s.io/v1",
    "apis/storage.k8s.io/v1",
)
BOXES = "/apis/boxfleet.dev/v1/namespaces/{namespace}/boxes/{name}"
PODS = "/api/v1/namespaces/{namespace}/pods/{name}"


def document(path: str) -> dict[str, Any]:
    found = DOCUMENTS.document(path)
    assert found is not None
    decoded: dict[str, Any] = msgspec.json.decode(found.body)
    return decoded


def component(path: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = document(path)["components"]["schemas"][name]
    return found


def test_index_names_every_document_with_its_hash() -> None:
    index = msgspec.json.decode(DOCUMENTS.index())["paths"]
    assert sorted(index) == sorted(PATHS)
    for path, entry in index.items():
        found = DOCUMENTS.document(path)
        assert found is not None
        assert entry["serverRelativeURL"] == f"/openapi/v3/{path}?hash={found.hash}"
    assert DOCUMENTS.document("apis/nope/v1") is None


def test_documents_are_the_same_each_time() -> None:
    again = openapi.Documents(KINDS, schema.Schemas(catalog.TYPES), version="v1.32.0")
    assert again.index() == DOCUMENTS.index()


@pytest.mark.parametrize("path", PATHS)
def test_every_reference_leads_somewhere(path: str) -> None:
    found = document(path)
    known = {f"#/components/schemas/{name}" for name in found["components"]["schemas"]}
    assert references(found) <= known


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(item) for item in value.values()))
    return set().union(*(references(item) for item in value)) if isinstance(value, list) else set()


@pytest.mark.parametrize("type_", catalog.TYPES, ids=lambda type_: type_.__name__)
def test_kubectl_finds_what_it_looks_for_at_the_patch_operation(type_: Any) -> None:
    kind = type_.KIND
    gvk = {"group": kind.group, "kind": kind.kind, "version": kind.version}
    found = document(f"apis/{kind.group}/{kind.version}" if kind.group else f"api/{kind.version}")
    patches = [
        item["patch"]
        for path, item in found["paths"].items()
        if "patch" in item and item["patch"]["x-kubernetes-group-version-kind"] == gvk and path.endswith("{name}")
    ]
    [patch] = patches
    assert {"fieldValidation", "dryRun"} <= {parameter["name"] for parameter in patch["parameters"]}
    types = patch["requestBody"]["content"]
    assert ("application/strategic-merge-patch+json" in types) is kind.strategic


def test_list_fields_say_how_they_merge() -> None:
    containers = component("api/v1", "io.k8s.api.core.v1.PodSpec")["properties"]["containers"]
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    assert containers["x-kubernetes-patch-strategy"] == "merge"
    assert containers["description"].startswith("List of containers belonging to the pod.")


def test_names_of_kinds_and_their_descriptions() -> None:
    box = component("apis/boxfleet.dev/v1", "dev.boxfleet.v1.Box")
    assert box["x-kubernetes-group-version-kind"] == [{"group": "boxfleet.dev", "kind": "Box", "version": "v1"}]
    assert box["required"] == ["spec"]
    assert box["description"].startswith("An application environment")
    assert box["properties"]["spec"]["allOf"] == [{"$ref": "#/components/schemas/dev.boxfleet.v1.BoxSpec"}]
    template = component("apis/boxfleet.dev/v1", "dev.boxfleet.v1.UnitTemplate")["properties"]
    assert template["template"]["allOf"] == [{"$ref": "#/components/schemas/io.k8s.api.core.v1.PodTemplateSpec"}]
    assert template["replicas"] == {
        "type": "integer", "format": "int64", "minimum": 0, "maximum": 10000, "default": 1,
        "description": "How many instances.",
    }  # fmt: skip
    condition = component("apis/boxfleet.dev/v1", "dev.boxfleet.v1.Dependency")["properties"]["condition"]
    assert (condition["enum"], condition["default"]) == (["Started", "Ready", "Completed"], "Ready")


@pytest.mark.parametrize("path", PATHS)
def test_every_field_is_described(path: str) -> None:
    silent = [
        f"{name}.{key}"
        for name, found in document(path)["components"]["schemas"].items()
        for key, field in found.get("properties", {}).items()
        if not field.get("description")
    ]
    assert silent == []


def test_scale_is_described_where_it_is_served() -> None:
    found = document("apis/boxfleet.dev/v1")
    assert f"{BOXES}/status" in found["paths"]
    assert f"{BOXES}/scale" not in found["paths"]
    assert "io.k8s.api.autoscaling.v1.Scale" in found["components"]["schemas"]
    assert "/api/v1/pods" in document("api/v1")["paths"]
    assert PODS in document("api/v1")["paths"]
