"""The order in which everything stops."""

import msgspec

from boxfleet.api import pod, unit
from boxfleet.planning import stopping


def a_unit(name: str, *needs: str) -> unit.Unit:
    spec = {"box": "b", "template": {}, "dependsOn": [{"unit": each} for each in needs]}
    return msgspec.convert({"metadata": {"name": f"b-{name}", "namespace": "n"}, "spec": spec}, unit.Unit)


def a_pod(name: str, *, grace: int = 30) -> pod.Pod:
    metadata = {"name": f"{name}-0", "namespace": "n", "uid": name, "labels": {"boxfleet.dev/unit": f"b-{name}"}}
    return msgspec.convert({"metadata": metadata, "spec": {"terminationGracePeriodSeconds": grace}}, pod.Pod)


def test_dependants_stop_before_what_they_need() -> None:
    units = [a_unit("db"), a_unit("cache"), a_unit("web", "db", "cache"), a_unit("front", "web")]
    pods = [a_pod("db", grace=60), a_pod("cache"), a_pod("web"), a_pod("front"), a_pod("alone")]
    waves = stopping.stages(units, pods)
    assert [set(wave) for wave in waves] == [{"front", "alone"}, {"web"}, {"db", "cache"}]
    assert waves[2]["db"] == 60


def test_a_ring_ends() -> None:
    units = [a_unit("a", "b"), a_unit("b", "a")]
    assert {uid for wave in stopping.stages(units, [a_pod("a"), a_pod("b")]) for uid in wave} == {"a", "b"}
