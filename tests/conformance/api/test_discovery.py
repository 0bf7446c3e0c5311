"""Discovery and OpenAPI: what a client can learn about the server."""

import hashlib
from typing import Any

import pytest
from tests.conformance.api import differences, wire

CORE = {
    "configmaps": ("ConfigMap", True),
    "secrets": ("Secret", True),
    "serviceaccounts": ("ServiceAccount", True),
    "events": ("Event", True),
    "pods": ("Pod", True),
    "persistentvolumeclaims": ("PersistentVolumeClaim", True),
    "nodes": ("Node", False),
    "namespaces": ("Namespace", False),
}
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"


def test_versions(api: wire.Api) -> None:
    found = api.get("/api").ok()
    assert (found["kind"], found["versions"]) == ("APIVersions", ["v1"])


def test_groups(api: wire.Api) -> None:
    found = api.get("/apis").ok()
    assert (found["kind"], found["apiVersion"]) == ("APIGroupList", "v1")
    groups = {group["name"]: group for group in found["groups"]}
    leases = groups["coordination.k8s.io"]
    version = {"groupVersion": "coordination.k8s.io/v1", "version": "v1"}
    assert version in leases["versions"]
    assert leases["preferredVersion"] == version
    assert "" not in groups
    alone = api.get("/apis/coordination.k8s.io").ok()
    assert (alone["kind"], alone["apiVersion"], alone["name"]) == ("APIGroup", "v1", "coordination.k8s.io")
    assert (alone["versions"], alone["preferredVersion"]) == (leases["versions"], version)


@pytest.mark.parametrize("plural", CORE)
def test_resources(api: wire.Api, plural: str) -> None:
    found = api.get("/api/v1").ok()
    assert (found["kind"], found["groupVersion"]) == ("APIResourceList", "v1")
    resources = {each["name"]: each for each in found["resources"]}
    kind, namespaced = CORE[plural]
    resource = resources[plural]
    assert (resource["kind"], resource["namespaced"]) == (kind, namespaced)
    wanted = {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
    assert set(resource["verbs"]) == wanted - ({"deletecollection"} if plural == "namespaces" else set())
    assert "singularName" in resource


def test_short_names_and_parts(api: wire.Api) -> None:
    resources = {each["name"]: each for each in api.get("/api/v1").ok()["resources"]}
    for plural, short in (
        ("configmaps", "cm"),
        ("pods", "po"),
        ("nodes", "no"),
        ("namespaces", "ns"),
        ("events", "ev"),
    ):
        assert resources[plural]["shortNames"] == [short]
    assert resources["serviceaccounts"]["shortNames"] == ["sa"]
    assert "all" in resources["pods"]["categories"]
    assert set(resources["pods/status"]["verbs"]) == {"get", "patch", "update"}
    assert resources["pods/binding"]["verbs"] == ["create"]
    assert resources["pods/log"]["verbs"] == ["get"]
    assert resources["pods/eviction"]["kind"] == "Eviction"
    assert resources["namespaces/finalize"]["verbs"] == ["update"]
    names = [each["name"] for each in api.get("/api/v1").ok()["resources"]]
    assert names == sorted(names)


def test_resources_of_a_group(api: wire.Api) -> None:
    found = api.get("/apis/coordination.k8s.io/v1").ok()
    assert (found["kind"], found["apiVersion"], found["groupVersion"]) == (
        "APIResourceList",
        "v1",
        "coordination.k8s.io/v1",
    )
    (leases,) = found["resources"]
    assert (leases["name"], leases["kind"], leases["namespaced"]) == ("leases", "Lease", True)


@pytest.mark.parametrize("version", ["v2", "v2beta1"])
def test_aggregated(api: wire.Api, version: str) -> None:
    accept = f"{AGGREGATED.format(version)},application/json"
    reply = api.get("/api", headers={"accept": accept})
    if not differences.AGGREGATED_DISCOVERY.by(api):
        # A server that does not know it answers in the old way, as the client allowed.
        assert reply.ok()["kind"] == "APIVersions"
        return
    core = reply.ok()
    assert (core["kind"], core["apiVersion"]) == ("APIGroupDiscoveryList", f"apidiscovery.k8s.io/{version}")
    assert reply.headers["content-type"] == AGGREGATED.format(version)
    (group,) = core["items"]
    (one,) = group["versions"]
    assert (one["version"], one["freshness"]) == ("v1", "Current")
    pods = next(each for each in one["resources"] if each["resource"] == "pods")
    assert pods["responseKind"]["kind"] == "Pod"
    assert pods["scope"] == "Namespaced"
    assert "status" in [part["subresource"] for part in pods["subresources"]]
    again = api.get("/api", headers={"accept": accept, "if-none-match": reply.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    groups = api.get("/apis", headers={"accept": accept}).ok()
    assert "coordination.k8s.io" in [each["metadata"]["name"] for each in groups["items"]]


def definition(document: dict[str, Any], kind: str) -> dict[str, Any]:
    for schema in document["definitions"].values():
        if {"group": "", "version": "v1", "kind": kind} in schema.get("x-kubernetes-group-version-kind", []):
            found: dict[str, Any] = schema
            return found
    raise AssertionError(f"no definition of {kind}")


def test_openapi_v2(api: wire.Api) -> None:
    """kubectl before 1.24 reads it to check what it sends, and to explain."""
    reply = api.get("/openapi/v2")
    assert reply.status == 200
    document = reply.json
    assert document["swagger"] == "2.0"
    pod = definition(document, "Pod")
    assert {"metadata", "spec", "status"} <= set(pod["properties"])
    spec = document["definitions"][pod["properties"]["spec"]["$ref"].rpartition("/")[2]]
    assert spec["properties"]["containers"]["x-kubernetes-patch-merge-key"] == "name"
    assert spec["required"] == ["containers"]
    post = document["paths"]["/api/v1/namespaces/{namespace}/pods"]["post"]
    assert post["x-kubernetes-group-version-kind"] == {"group": "", "version": "v1", "kind": "Pod"}
    assert "application/json" in document["paths"]["/api/v1/namespaces/{namespace}/pods"]["get"]["produces"]
    again = api.get("/openapi/v2", headers={"if-none-match": reply.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


def test_openapi_v2_as_protobuf(api: wire.Api) -> None:
    """kubectl reads it in no other form."""
    media = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
    reply = api.get("/openapi/v2", headers={"accept": media})
    assert reply.status == 200
    # The first field is the text "2.0".
    assert reply.body.startswith(b"\x0a\x032.0")
    assert b"io.k8s.api.core.v1.Pod" in reply.body
    assert api.get("/openapi/v2", headers={"accept": "application/xml"}).status == 406


def test_openapi_v3(api: wire.Api) -> None:
    reply = api.get("/openapi/v3")
    if not differences.OPENAPI_V3.by(api):
        assert reply.status == 404
        return
    paths = reply.ok()["paths"]
    assert {"api/v1", "apis/coordination.k8s.io/v1"} <= set(paths)
    url = paths["api/v1"]["serverRelativeURL"]
    document = api.get(url)
    assert document.ok()["openapi"].startswith("3.0")
    assert "public" in document.headers["cache-control"]
    tag = document.headers["etag"]
    assert tag.strip('"') in url
    assert tag.strip('"') == hashlib.sha512(document.body).hexdigest().upper() or len(tag) > 10
    assert api.get(url, headers={"if-none-match": tag}).status == 304
    schemas = document.json["components"]["schemas"]
    assert any(
        {"group": "", "version": "v1", "kind": "Pod"} in schema.get("x-kubernetes-group-version-kind", [])
        for schema in schemas.values()
    )
