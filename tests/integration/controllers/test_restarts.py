"""The control plane stopped and started at any moment: nothing twice, nothing lost."""

import asyncio
import pathlib
import random

import pytest
from tests.integration.controllers import fleetbed

from boxfleet.api import address, box, labels, meta, pod, unit

pytestmark = pytest.mark.anyio

RESTARTS = 50


def text(index: int, replicas: int) -> str:
    return f"""
apiVersion: boxfleet.dev/v1
kind: Box
metadata: {{name: b{index}}}
spec:
  units:
    one:
      replicas: {replicas}
      env: {{ALL: "{{% for m in unit.members %}}{{{{ m.address }}}} {{% endfor %}}"}}
      template: {{spec: {{containers: [{{name: c, image: i}}]}}}}
    two:
      dependsOn: [{{unit: one}}]
      replicas: 2
      template: {{spec: {{containers: [{{name: c, image: i}}]}}}}
"""


async def test_fifty_restarts_at_random_moments(short_dir: pathlib.Path) -> None:
    chance = random.Random(7)  # the same moments in every run, as far as the machine allows
    alone: set[str] = set()
    async with fleetbed.bed(short_dir) as bed:
        shared = _shared_addresses(bed)
        for turn in range(RESTARTS):
            index = turn % 5
            if turn % 10 == 9:
                await bed.api.delete(box.Box, f"b{index}", namespace="default")
            else:
                await bed.apply(text(index, chance.randint(1, 6)))
                alone.add(f"alone-{turn}")
                await bed.apply(
                    f"{{apiVersion: v1, kind: Pod, metadata: {{name: alone-{turn}}}, "
                    "spec: {containers: [{name: c, image: i}]}}"
                )
            # Between two turns of the loop, not after a time: a moment in the middle of the work.
            for _ in range(chance.randint(0, 400)):
                await asyncio.sleep(0)
            await bed.stop_control()
            bed.start_control()
        for index in range(5):
            await bed.apply(text(index, 3))
        wanted = alone | {
            f"b{index}-{name}" for index in range(5) for name in ("one-0", "one-1", "one-2", "two-0", "two-1")
        }
        await bed.until(lambda: _settled(bed, wanted))
        assert len(bed.all(unit.Unit)) == 10
        # One address for every instance, one instance for every address, and each runs with the one it holds.
        for each in bed.all(pod.Pod):
            assert each.metadata.annotations[labels.ADDRESS] == bed.address_of(each.metadata.name)
        assert shared == []


def _settled(bed: fleetbed.Bed, wanted: set[str]) -> bool:
    pods = {each.metadata.name for each in bed.all(pod.Pod) if meta.is_true(each.status.conditions, "Ready")}
    held = sorted(each.spec.instance for each in bed.all(address.Address))
    done = all(bed.condition(box.Box, f"b{index}", "Progressing")[0] == "False" for index in range(5))
    return done and pods == wanted and held == sorted(wanted) and len(bed.all(pod.Pod)) == len(wanted)


def _shared_addresses(bed: fleetbed.Bed) -> list[tuple[str, list[str]]]:
    """Fills with every moment at which two Pods ran with one address."""
    found: list[tuple[str, list[str]]] = []

    def look(old: pod.Pod | None, new: pod.Pod | None) -> None:
        held = new.metadata.annotations.get(labels.ADDRESS) if new is not None else None
        if held:
            users = [p.metadata.name for p in bed.all(pod.Pod) if p.status.podIP == held]
            if len(users) > 1:
                found.append((held, users))

    bed.listen(pod.Pod, look)
    return found
