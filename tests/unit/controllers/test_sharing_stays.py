"""Instances that share memory are not moved for the sake of evenness: they would only wait for each other."""

from typing import Any

import msgspec
import pytest

from boxfleet.api import node, pod, unit
from boxfleet.controllers.rebalance import observe


@pytest.mark.parametrize("role", ["provides", "consumes", ""])
def test_who_shares_is_held(role: str) -> None:
    spec: dict[str, Any] = {"nodeName": "n", "containers": [{"name": "main", "image": "x:1"}]}
    if role:
        attributes = {"name": "ipc/orders", "role": role}
        spec["volumes"] = [{"name": "v", "csi": {"driver": "ipc.boxfleet.dev", "volumeAttributes": attributes}}]
    metadata = {"name": "app-0", "namespace": "ns", "labels": {"boxfleet.dev/unit": "app"}}
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    owner = {
        "metadata": {"name": "app", "namespace": "ns"},
        "spec": {"template": {"spec": {"containers": []}}},
        "status": {"readyReplicas": 1, "updatedReplicas": 1},
    }
    world = observe.World(
        nodes=[msgspec.convert({"metadata": {"name": "n"}, "status": ready}, node.Node)],
        pods=[msgspec.convert({"metadata": metadata, "spec": spec}, pod.Pod)],
        units=[msgspec.convert(owner, unit.Unit)],
        claims=[],
        budgets=[],
    )
    use = observe.Use(nodes={"n": {"cpu": 1.0}}, pods={})
    [host] = observe.hosts_of("local", world, use, default_cluster="local", returned={})
    assert [each.held for each in host.guests] == ["it shares ipc/orders with others on its host" if role else ""]
