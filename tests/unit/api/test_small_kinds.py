import copy
from typing import Any

import pytest

from boxfleet.api import (
    address,
    address_pool,
    catalog,
    cluster,
    config,
    event,
    lease,
    namespace,
    node,
    placement,
    service,
    volume_claim,
)


def errors(type_: Any, obj: dict[str, Any], old: dict[str, Any] | None = None) -> dict[str, str]:
    obj = {"metadata": {"name": "a", "namespace": "default"}} | copy.deepcopy(obj)
    type_.KIND.default(obj)
    return {error.field: error.message for error in type_.KIND.validate(obj, old)}


def test_config_maps() -> None:
    kind = config.ConfigMap
    assert errors(kind, {"data": {"a.conf": "x"}, "binaryData": {"b": "ZA=="}}) == {}
    assert list(errors(kind, {"data": {"a/b": "", "..": ""}})) == ["data[a/b]", "data[..]"]
    assert "remove it from one" in errors(kind, {"data": {"a": ""}, "binaryData": {"a": ""}})["data[a]"]
    assert "1048576 bytes" in errors(kind, {"data": {"a": "ä" * 600_000}})["data"]
    assert errors(kind, {"data": {"a": "x" * 1024 * 1024}}) == {}


def test_immutable_objects_stay_as_they_are() -> None:
    old = {"data": {"a": "1"}, "immutable": True}
    assert errors(config.ConfigMap, old | {"metadata": {"name": "a", "labels": {}}}, old) == {}
    assert list(errors(config.ConfigMap, old | {"data": {}}, old)) == ["data"]
    assert list(errors(config.ConfigMap, {"data": {"a": "1"}}, old)) == ["immutable"]
    secret = old | {"type": "Opaque"}
    assert list(errors(config.Secret, secret | {"data": {}}, secret)) == ["data"]


def test_secrets() -> None:
    kind = config.Secret
    obj: dict[str, Any] = {"metadata": {}}
    kind.KIND.default(obj)
    assert obj["type"] == "Opaque"
    assert list(errors(kind, {"type": "kubernetes.io/tls", "data": {"tls.crt": ""}})) == ["data[tls.key]"]
    assert list(errors(kind, {"type": "kubernetes.io/basic-auth"})) == ["data[username]"]
    docker = "kubernetes.io/dockerconfigjson"
    assert not errors(kind, {"type": docker, "data": {".dockerconfigjson": "eyJhdXRocyI6IHt9fQ=="}})
    for wrong in ("aGlkZGVu", "WzFd"):
        refused = errors(kind, {"type": docker, "data": {".dockerconfigjson": wrong}})
        assert "must be the JSON of a Docker configuration" in refused["data[.dockerconfigjson]"]
        assert wrong not in str(refused)
    assert "field is immutable" in errors(kind, {"type": "x"}, {"type": "y"})["type"]


def test_namespaces_begin_active() -> None:
    obj: dict[str, Any] = {"metadata": {"name": "a"}}
    namespace.Namespace.KIND.default(obj)
    assert obj["status"] == {"phase": "Active"}


def test_nodes() -> None:
    kind = node.Node
    taint = {"key": "a", "effect": "NoSchedule"}
    assert errors(kind, {"spec": {"taints": [taint, taint | {"effect": "NoExecute"}]}}) == {}
    found = errors(kind, {"spec": {"taints": [taint, taint, {"key": "!", "effect": "Never"}, {"key": "b"}]}})
    assert list(found) == ["spec.taints[1]", "spec.taints[2].key", "spec.taints[2].effect", "spec.taints[3].effect"]
    assert list(errors(kind, {"spec": {"podCIDR": "b"}}, {"spec": {"podCIDR": "a"}})) == ["spec.podCIDR"]
    obj: dict[str, Any] = {"metadata": {"name": "n"}, "status": {"capacity": {"cpu": "2000m", "memory": "1024Mi"}}}
    kind.KIND.default(obj)
    assert obj["status"]["capacity"] == {"cpu": "2", "memory": "1Gi"}


def test_leases_and_events() -> None:
    assert list(errors(lease.Lease, {"spec": {"leaseDurationSeconds": 0}})) == ["spec.leaseDurationSeconds"]
    assert errors(event.Event, {"involvedObject": {"kind": "Node", "name": "n"}}) == {}
    assert errors(event.Event, {"involvedObject": {"namespace": "default"}}) == {}
    assert list(errors(event.Event, {"involvedObject": {"namespace": "x"}})) == ["involvedObject.namespace"]


def a_claim(storage: Any = "1Gi", **spec: Any) -> dict[str, Any]:
    return {"spec": {"resources": {"requests": {"storage": storage}}} | spec}


def test_claims() -> None:
    kind = volume_claim.PersistentVolumeClaim
    obj = a_claim("1024Mi") | {"metadata": {}}
    kind.KIND.default(obj)
    assert obj["spec"] == {
        "resources": {"requests": {"storage": "1Gi"}},
        "volumeMode": "Filesystem",
        "accessModes": ["ReadWriteOnce"],
    }
    assert obj["status"] == {"phase": "Pending"}
    assert errors(kind, a_claim()) == {}
    assert list(errors(kind, {"spec": {}})) == ["spec.resources.requests[storage]"]
    assert list(errors(kind, a_claim(accessModes=["Mine"]))) == ["spec.accessModes[0]"]
    assert errors(kind, a_claim("2Gi"), obj) == {}
    assert errors(kind, a_claim(volumeName="v"), obj) == {}
    assert list(errors(kind, a_claim("1Mi"), obj)) == ["spec.resources.requests.storage"]
    assert list(errors(kind, a_claim(storageClassName="x"), obj)) == ["spec.storageClassName"]
    bound = copy.deepcopy(obj)
    bound["spec"]["volumeName"] = "v"
    assert list(errors(kind, a_claim(volumeName="w"), bound)) == ["spec.volumeName"]


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        ({"cidr": "x"}, "cidr", "for example 10.88.0.0/16"),
        ({"cidr": "10.88.0.1/16"}, "cidr", "write 10.88.0.0/16"),
        ({"cidr": "10.88.0.0/31"}, "cidr", "between /8 and /30"),
        ({"cidr": "10.88.0.0/255.255.0.0"}, "cidr", "must be written as 10.88.0.0/16"),
        ({"gateway": "10.89.0.1"}, "gateway", "inside of 10.88.0.0/16"),
        ({"gateway": "10.88.0.0"}, "gateway", "the network or the broadcast"),
        ({"start": "10.88.0.9", "end": "10.88.0.8"}, "end", "must not come before start"),
        ({"exclude": ["10.88.0.5", "x"]}, "exclude[1]", "IPv4 address"),
        ({"bridge": "a/b"}, "bridge", "network interface"),
    ],
)
def test_pools(spec: dict[str, Any], field: str, words: str) -> None:
    found = errors(address_pool.AddressPool, {"spec": {"cidr": "10.88.0.0/16"} | spec})
    assert list(found) == [f"spec.{field}"]
    assert words in found[f"spec.{field}"]


def test_a_pools_network_stays() -> None:
    old = {"spec": {"cidr": "10.88.0.0/16"}}
    assert errors(address_pool.AddressPool, {"spec": {"cidr": "10.88.0.0/16", "exclude": ["10.88.0.9"]}}, old) == {}
    assert list(errors(address_pool.AddressPool, {"spec": {"cidr": "10.88.0.0/15"}}, old)) == ["spec.cidr"]


def test_addresses_are_named_by_their_ip() -> None:
    spec = {"pool": "default", "namespace": "shop", "instance": "shop-db-0"}
    assert errors(address.Address, {"metadata": {"name": "10.88.0.2"}, "spec": spec}) == {}
    for name in ("a", "10.88.0.02", "10.88.0", "::1", "10.88.0.256"):
        assert list(errors(address.Address, {"metadata": {"name": name}, "spec": spec})) == ["metadata.name"]
    assert list(errors(address.Address, {"metadata": {"name": "10.88.0.2"}, "spec": {}})) == [
        "spec.pool",
        "spec.namespace",
        "spec.instance",
    ]


def test_an_address_stays_whose_it_is() -> None:
    spec = {"pool": "default", "namespace": "shop", "instance": "shop-db-0"}
    old = {"metadata": {"name": "10.88.0.2"}, "spec": spec}
    assert errors(address.Address, {"spec": spec | {"domain": "d", "unitDomain": "u", "unit": ""}}, old) == {}
    assert list(errors(address.Address, {"spec": spec | {"instance": "other"}}, old)) == ["spec.instance"]


def test_placements_and_clusters() -> None:
    spec = {"unit": "shop-db", "cluster": "local", "ordinals": [0, 1]}
    assert errors(placement.Placement, {"spec": spec}) == {}
    assert list(errors(placement.Placement, {"spec": spec | {"ordinals": [1, 1, -1]}})) == [
        "spec.ordinals[1]",
        "spec.ordinals[2]",
    ]
    assert list(errors(placement.Placement, {"spec": spec | {"cluster": "x"}}, {"spec": spec})) == ["spec.cluster"]
    assert list(errors(cluster.Cluster, {"spec": {"type": "docker"}}, {"spec": {"type": "hosts"}})) == ["spec.type"]


@pytest.mark.parametrize("type_", catalog.TYPES, ids=lambda type_: type_.__name__)
def test_defaults_are_stable_and_rules_stand_empty_objects(type_: Any) -> None:
    for obj in ({"metadata": {"name": "a"}}, {"metadata": {"name": "a"}, "spec": {}, "status": {}}):
        type_.KIND.default(obj)
        once = copy.deepcopy(obj)
        type_.KIND.default(obj)
        assert obj == once
        type_.KIND.validate(obj, None)
        type_.KIND.validate(obj, {"metadata": {"name": "a"}})


def test_a_service_that_would_do_nothing_is_refused() -> None:
    found = errors(service.Service, {"spec": {"ports": [{"port": 80}]}})
    assert list(found) == ["spec"]
    assert "every Unit has a domain name" in found["spec"]
