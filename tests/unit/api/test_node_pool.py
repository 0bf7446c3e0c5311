"""What a NodePool must say before it is accepted."""

import copy
from typing import Any

import pytest

from boxfleet.api import node_pool

SPEC: dict[str, Any] = {
    "provider": {"type": "script", "script": "cloud"},
    "template": {"resources": {"cpu": "4", "memory": "8Gi"}},
    "max": 3,
}


def _faults(spec: dict[str, Any], *, name: str = "small", old: dict[str, Any] | None = None) -> list[str]:
    pool = {"metadata": {"name": name}, "spec": copy.deepcopy(spec)}
    node_pool.NodePool.KIND.default(pool)
    return [each.field for each in node_pool.NodePool.KIND.validate(pool, old)]


def _template(**more: Any) -> dict[str, Any]:
    return SPEC | {"template": SPEC["template"] | more}


def test_a_pool_with_what_it_needs_is_accepted() -> None:
    assert _faults(SPEC) == []
    taints = [{"key": "gpu", "effect": "NoSchedule"}]
    assert _faults(_template(labels={"disk": "ssd"}, taints=taints, zone="z1") | {"min": 3}) == []


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (SPEC | {"min": 4}, "spec.min"),
        (SPEC | {"provider": {"type": "script"}}, "spec.provider.script"),
        (SPEC | {"provider": {"type": "script", "script": "/bin/sh"}}, "spec.provider.script"),
        (SPEC | {"provider": {"type": "script", "script": ".."}}, "spec.provider.script"),
        (_template(resources={"cpu": "4"}), "spec.template.resources.memory"),
        (_template(resources={"cpu": "0", "memory": "1Gi"}), "spec.template.resources.cpu"),
        (_template(resources={"cpu": "x", "memory": "1Gi"}), "spec.template.resources.cpu"),
        (_template(labels={"boxfleet.dev/cluster": "x"}), "spec.template.labels[boxfleet.dev/cluster]"),
        (_template(labels={"a": "b c"}), "spec.template.labels[a]"),
        (_template(zone="a b"), "spec.template.zone"),
        (_template(taints=[{"key": "a", "effect": "Never"}]), "spec.template.taints[0].effect"),
    ],
)
def test_what_cannot_be_is_named(spec: dict[str, Any], field: str) -> None:
    assert _faults(spec) == [field]


def test_names_of_machines_are_labels() -> None:
    assert _faults(SPEC, name="small.pool") == ["metadata.name"]


def test_who_made_machines_stays_while_they_are_there() -> None:
    other = SPEC | {"provider": {"type": "script", "script": "other"}}
    machines = [{"name": "small-1", "phase": "Ready"}]
    assert _faults(other, old={"spec": SPEC, "status": {"machines": machines}}) == ["spec.provider"]
    assert _faults(other, old={"spec": SPEC, "status": {}}) == []
    assert _faults(SPEC | {"max": 1}, old={"spec": SPEC, "status": {"machines": machines}}) == []
