"""The control plane stopped and started at any moment: nothing twice, nothing lost."""

import asyncio
import pathlib
import random

import pytest
from tests.integration.controllers import fleetbed

from boxfleet.api import address, box, pod, unit

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
    async with fleetbed.bed(short_dir) as bed:
        for turn in range(RESTARTS):
            index = turn % 5
            if turn % 10 == 9:
                await bed.api.delete(box.Box, f"b{index}", namespace="default")
            else:
                await bed.apply(text(index, chance.randint(1, 6)))
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
        for index in range(5):
            await bed.until_ready(box.Box, f"b{index}")
        names = {each.metadata.name for each in bed.all(pod.Pod)}
        await bed.until(lambda: _settled(bed))
        assert {each.metadata.name for each in bed.all(pod.Pod)} == names
        assert len(bed.all(unit.Unit)) == 10
        held = bed.all(address.Address)
        # One address for every instance, one instance for every address, and each runs with the one it holds.
        assert len({(each.spec.namespace, each.spec.instance) for each in held}) == len(held) == len(names)
        for each in bed.all(pod.Pod):
            assert each.metadata.annotations["boxfleet.dev/address"] == bed.address_of(each.metadata.name)


def _settled(bed: fleetbed.Bed) -> bool:
    names = [each.metadata.name for each in bed.all(pod.Pod)]
    held = [each.spec.instance for each in bed.all(address.Address)]
    return sorted(names) == sorted(held)
