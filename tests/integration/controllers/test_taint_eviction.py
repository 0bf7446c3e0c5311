"""Taints of effect NoExecute drive instances from their node, as Kubernetes' taint manager does."""

import pathlib
from typing import Any

import pytest
from tests.integration.controllers import fleetbed

from boxfleet.api import event, meta, node, pod, unit

pytestmark = pytest.mark.anyio


def lone(name: str, *tolerations: dict[str, Any]) -> dict[str, Any]:
    spec = {
        "hostNetwork": True,
        "nodeName": "node-1",
        "tolerations": list(tolerations),
        "containers": [{"name": "main", "image": "x:1"}],
    }
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}


def tolerate(key: str, *, seconds: int | None = None) -> dict[str, Any]:
    return {"key": key, "operator": "Exists", "effect": "NoExecute"} | (
        {} if seconds is None else {"tolerationSeconds": seconds}
    )


async def taint(bed: fleetbed.Bed, *keys: str) -> None:
    wanted = [{"key": key, "value": "v", "effect": "NoExecute"} for key in keys]
    await bed.api.patch(node.Node, "node-1", {"spec": {"taints": wanted or None}})


async def test_who_does_not_tolerate_a_taint_goes_and_says_why(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        await bed.api.create_raw(pod.Pod, lone("stays", tolerate("k")))
        await bed.api.create_raw(pod.Pod, lone("waits", tolerate("k", seconds=3600)))
        await bed.api.create_raw(pod.Pod, lone("soon", tolerate("k", seconds=1)))
        await bed.apply(fleetbed.unit_yaml("app"))
        await bed.until_ready(unit.Unit, "app")
        bed.agent.ending.add("ended")
        await bed.api.create_raw(pod.Pod, lone("ended"))
        await bed.until(lambda: (found := bed.get(pod.Pod, "ended")) and found.status.phase == "Succeeded")
        first = bed.get(pod.Pod, "app-0")
        assert first is not None
        said: list[tuple[str, str]] = []

        def changed(old: pod.Pod | None, new: pod.Pod | None) -> None:
            target = meta.find_condition(new.status.conditions, "DisruptionTarget") if new is not None else None
            if new is not None and target is not None:
                said.append((new.metadata.name, target.reason))

        bed.listen(pod.Pod, changed)
        await taint(bed, "k")
        await bed.until(lambda: bed.get(pod.Pod, "soon") is None)
        await bed.until(lambda: (new := bed.get(pod.Pod, "app-0")) and new.metadata.uid != first.metadata.uid)
        assert set(said) == {("app-0", "DeletionByTaintManager"), ("soon", "DeletionByTaintManager")}
        await bed.until(lambda: len(bed.events("TaintManagerEviction")) == 2)
        assert all(text.startswith("Marking for deletion Pod default/") for text in bed.events("TaintManagerEviction"))
        # The next one finds no node; those that tolerate it, and what has ended, are there still.
        await bed.until(lambda: any("untolerated taint" in text for text in bed.events("FailedScheduling")))
        for name in ("stays", "waits", "ended"):
            found = bed.get(pod.Pod, name)
            assert found is not None and not found.metadata.deletionTimestamp
        await taint(bed)
        await bed.until_ready(unit.Unit, "app")
        await bed.until(lambda: "Cancelling deletion of Pod default/waits" in bed.events("TaintManagerEviction"))
        cancelled = [each for each in bed.all(event.Event) if each.message.startswith("Cancelling")]
        assert [each.involvedObject.name for each in cancelled] == ["waits"]


async def test_a_pod_that_comes_to_a_tainted_node_goes_as_well(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        await taint(bed, "k", "other")
        await bed.api.create_raw(pod.Pod, lone("late", tolerate("k")))
        await bed.until(lambda: "Marking for deletion Pod default/late" in bed.events("TaintManagerEviction"))
        await bed.until(lambda: bed.get(pod.Pod, "late") is None)
