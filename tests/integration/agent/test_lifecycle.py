"""From a bound Pod to Ready and back, on real engines."""

import time

import pytest
from tests.integration.agent import bed as beds

from boxfleet.api import pod as pods

pytestmark = [pytest.mark.anyio, pytest.mark.machine]


async def test_a_pod_becomes_ready_with_its_own_address_and_goes(bed: beds.Bed) -> None:
    began = time.monotonic()
    await bed.pod(
        {"containers": [{"name": "main", "command": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]}]}
    )
    pod = await bed.ready()
    print("apply to Ready", time.monotonic() - began)
    assert pod.status.podIP == pod.metadata.annotations["boxfleet.dev/address"]
    assert pod.status.phase == "Running"
    assert pod.status.containerStatuses[0].restartCount == 0
    began = time.monotonic()
    await bed.api.admin.delete(pods.Pod, "one", namespace="default")
    await bed.gone()
    print("delete to gone", time.monotonic() - began)
