import msgspec
import pytest

from boxfleet.api import catalog, kind, pod
from boxfleet.apiserver import discovery

KINDS = [type_.KIND for type_ in catalog.TYPES]
GROUPS = [
    "coordination.k8s.io", "certificates.k8s.io", "scheduling.k8s.io", "policy", "autoscaling", "storage.k8s.io",
    "rbac.authorization.k8s.io", "boxfleet.dev",
]  # fmt: skip


def test_groups() -> None:
    assert discovery.api_versions()["versions"] == ["v1"]
    listed = discovery.group_list(KINDS)
    groups = [group["name"] for group in listed["groups"]]
    assert groups == GROUPS
    found = discovery.group(KINDS, "boxfleet.dev")
    assert found is not None
    assert found["preferredVersion"] == {"groupVersion": "boxfleet.dev/v1", "version": "v1"}
    assert discovery.group(KINDS, "nope") is None
    assert discovery.group(KINDS, "") is None


def test_resources_of_a_group() -> None:
    listed = discovery.resource_list(KINDS, group="boxfleet.dev", version="v1")
    assert listed is not None
    by_name = {entry["name"]: entry for entry in listed["resources"]}
    assert by_name["boxes"]["shortNames"] == ["bx"]
    assert by_name["boxes"]["categories"] == ["all", "boxfleet"]
    assert set(by_name["boxes"]["verbs"]) == set(kind.VERBS)
    assert by_name["units/scale"] == {
        "name": "units/scale", "singularName": "", "namespaced": True, "group": "autoscaling", "version": "v1",
        "kind": "Scale", "verbs": ["get", "patch", "update"],
    }  # fmt: skip
    assert "boxes/scale" not in by_name
    assert discovery.resource_list(KINDS, group="boxfleet.dev", version="v9") is None


def test_subresources_of_pods() -> None:
    names = [part.name for part in discovery.subresources(pod.Pod.KIND)]
    assert names == ["attach", "binding", "ephemeralcontainers", "eviction", "exec", "log", "portforward", "status"]


@pytest.mark.parametrize("version", ["v2", "v2beta1"])
def test_aggregated(version: str) -> None:
    core = discovery.aggregated(KINDS, core=True, version=version)
    assert core["apiVersion"] == f"apidiscovery.k8s.io/{version}"
    [item] = core["items"]
    assert item["metadata"]["name"] == ""
    pods = next(entry for entry in item["versions"][0]["resources"] if entry["resource"] == "pods")
    assert pods["responseKind"] == {"group": "", "version": "", "kind": "Pod"}
    parts = {part["subresource"]: part["responseKind"] for part in pods["subresources"]}
    assert parts["eviction"] == {"group": "policy", "version": "v1", "kind": "Eviction"}
    assert parts["log"] == {"group": "", "version": "", "kind": "Pod"}
    rest = discovery.aggregated(KINDS, core=False, version=version)
    assert [item["metadata"]["name"] for item in rest["items"]] == GROUPS
    msgspec.json.encode([core, rest])


@pytest.mark.parametrize(
    ("accept", "version"),
    [
        ("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json", "v2"),
        ("application/json; g=apidiscovery.k8s.io; v=v2beta1; as=APIGroupDiscoveryList", "v2beta1"),
        ("application/json;g=apidiscovery.k8s.io;v=v3;as=APIGroupDiscoveryList, "
         "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList", "v2beta1"),
        ("application/json", ""),
        ("application/json,application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", ""),
        ("*/*", ""),
        ("", ""),
        (";;=,", ""),
    ],
)  # fmt: skip
def test_clients_choose_the_form(accept: str, version: str) -> None:
    assert discovery.wanted_version(accept) == version


def test_content_type_and_etag() -> None:
    assert discovery.content_type("") == "application/json"
    assert discovery.wanted_version(discovery.content_type("v2")) == "v2"
    assert discovery.etag(b"a") == discovery.etag(b"a") != discovery.etag(b"b")
    assert discovery.etag(b"a").startswith('"')
