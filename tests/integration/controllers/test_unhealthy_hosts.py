"""A host that says that it is not well gets nothing new, keeps what it has, and recovers by itself."""

import pathlib

import pytest
from tests.integration.controllers import fleetbed

from boxfleet.api import labels, node, pod, unit

pytestmark = pytest.mark.anyio


async def say(bed: fleetbed.Bed, kind: str, status: str) -> None:
    """As its agent would."""
    condition = {"type": kind, "status": status, "reason": "Test", "message": "as the test wants it"}
    change = {"status": {"conditions": [condition]}}
    await bed.api.patch(node.Node, "node-1", change, subresource="status", type="strategic")


def taints(bed: fleetbed.Bed) -> set[tuple[str, str]]:
    found = bed.get(node.Node, "node-1", namespace="")
    return {(each.key, each.effect) for each in found.spec.taints} if found is not None else set()


async def test_nothing_new_comes_until_it_is_well_again(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        await bed.apply(fleetbed.unit_yaml("app"))
        await bed.until_ready(unit.Unit, "app")
        first = bed.get(pod.Pod, "app-0")
        assert first is not None
        await say(bed, "MemoryPressure", "True")
        await say(bed, "DiskProblem", "True")
        await bed.until(
            lambda: taints(bed) == {(labels.TAINT_MEMORY, "NoSchedule"), (labels.TAINT_UNHEALTHY, "NoSchedule")}
        )
        again = bed.get(pod.Pod, "app-0")
        assert again is not None and again.metadata.uid == first.metadata.uid
        # What its agent stops to make room is made anew, and waits.
        over = {"status": {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}}
        await bed.api.patch(pod.Pod, "app-0", over, namespace="default", subresource="status")
        await bed.until(lambda: any("untolerated taint" in text for text in bed.events("FailedScheduling")))
        second = bed.get(pod.Pod, "app-0")
        assert second is not None and second.metadata.uid != first.metadata.uid
        await say(bed, "DiskProblem", "False")
        await bed.until(lambda: taints(bed) == {(labels.TAINT_MEMORY, "NoSchedule")})
        await say(bed, "MemoryPressure", "False")
        await bed.until_ready(unit.Unit, "app")
        assert taints(bed) == set()
