"""What is told of a cluster's Pods and hosts."""

from typing import Any

import pytest

from boxfleet.drivers.kubernetes import names, pods, rbac, settings, view

OWN = settings.Settings(fleet="f", kubeconfig="", namespace_prefix="p-")


def pod(name: str = "db-1", namespace: str = "p-n", **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": "incarnation",
            "labels": {names.FLEET: "f", "boxfleet.dev/unit": "db", **metadata.pop("labels", {})},
            "annotations": {names.ORDERS: '{"0":"u0","1":"u1"}'},
            **metadata,
        },
        "spec": {"nodeName": "h"},
        "status": {
            "phase": "Running",
            "nominatedNodeName": "x",
            "conditions": [
                {"type": "Ready", "status": "True"},
                {"type": "PodReadyToStartContainers", "status": "True"},
            ],
        },
    }


def test_an_instance_of_a_set() -> None:
    found = view.instance_of(OWN, pod())
    assert found is not None
    assert (found.namespace, found.unit, found.name, found.uid) == ("n", "db", "db-1", "u1")
    assert (found.incarnation, found.node, found.leaving) == ("incarnation", "h", False)
    assert found.status == {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


def test_an_instance_with_a_set_of_its_own() -> None:
    one = pod("db-3-0", labels={"boxfleet.dev/ordinal": "3"}, annotations={names.ORDER: "u3"})
    found = view.instance_of(OWN, one)
    assert found is not None
    assert (found.name, found.uid) == ("db-3", "u3")


def test_a_pod_without_an_order_is_told_as_such() -> None:
    found = view.instance_of(OWN, pod("db-7"))
    assert found is not None
    assert (found.name, found.uid) == ("db-7", "")


def test_what_is_kept_away_is_gone_once_it_has_ended() -> None:
    leaving = {"deletionTimestamp": "2026", "finalizers": [names.AWAY]}
    found = view.instance_of(OWN, pod(deletionGracePeriodSeconds=30, **leaving))
    assert found is not None and found.leaving
    ended = pod(deletionGracePeriodSeconds=0, **leaving)
    assert pods.is_away(ended)
    assert view.instance_of(OWN, ended) is None


@pytest.mark.parametrize("strange", [pod(namespace="other"), pod("no-number"), pod(annotations={names.ORDERS: "{"})])
def test_strange_pods_do_no_harm(strange: dict[str, Any]) -> None:
    found = view.instance_of(OWN, strange)
    assert found is None or found.uid == ""


def test_a_host() -> None:
    node = {
        "metadata": {"name": "h", "labels": {"zone": "a"}},
        "spec": {"unschedulable": True},
        "status": {"capacity": {"cpu": "2"}, "conditions": [{"type": "Ready", "status": "Unknown"}]},
    }
    found = view.node_of(node)
    assert (found.name, found.labels, found.capacity) == ("h", {"zone": "a"}, {"cpu": "2"})
    assert (found.ready, found.unschedulable) == (False, True)


def test_the_account_may_only_what_is_listed() -> None:
    [role] = [each for each in rbac.manifests() if each["kind"] == "ClusterRole"]
    assert all("*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"] for rule in role["rules"])
    assert not any("nodes/proxy" in rule["resources"] for rule in role["rules"])
    [wider] = [each for each in rbac.manifests(kubelet_summaries=True) if each["kind"] == "ClusterRole"]
    assert any("nodes/proxy" in rule["resources"] for rule in wider["rules"])
