"""What happens when the agent, the server or containerd go away for a while."""

import asyncio
import os
import pathlib
import signal
import time

import pytest
from tests.integration.agent import bed as beds

from boxfleet.api import lease, meta, node
from boxfleet.api import pod as pods

pytestmark = [pytest.mark.anyio, pytest.mark.machine]

POLITE = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]


def main_of(pod: pods.Pod) -> pods.ContainerStatus:
    return pod.status.containerStatuses[0]


async def test_an_agent_finds_its_instances_again(bed: beds.Bed) -> None:
    await bed.pod({"containers": [{"name": "main", "command": POLITE}]})
    before = await bed.ready()
    await bed.host.containerd.runtime.stop_container(main_of(before).containerID.partition("://")[2], grace_seconds=0)
    before = await bed.until(lambda pod: beds.is_ready(pod) and main_of(pod).restartCount == 1)
    await bed.stop()
    bed.start()
    await asyncio.sleep(1.0)
    after = await bed.ready()
    assert main_of(after).containerID == main_of(before).containerID
    assert main_of(after).restartCount == 1
    assert len(await bed.host.containerd.runtime.list_containers()) == 2
    ready = meta.find_condition(after.status.conditions, "Ready")
    earlier = meta.find_condition(before.status.conditions, "Ready")
    assert ready is not None and earlier is not None
    assert ready.lastTransitionTime == earlier.lastTransitionTime


async def test_what_dies_while_the_agent_is_away_comes_back(bed: beds.Bed) -> None:
    await bed.pod({"containers": [{"name": "main", "command": POLITE}]})
    before = await bed.ready()
    await bed.stop()
    await bed.host.containerd.runtime.stop_container(main_of(before).containerID.partition("://")[2], grace_seconds=0)
    bed.start()
    await bed.until(lambda pod: beds.is_ready(pod) and main_of(pod).restartCount == 1)


async def test_a_pod_deleted_while_the_agent_was_away_is_stopped(bed: beds.Bed) -> None:
    await bed.pod({"containers": [{"name": "main", "command": POLITE}]})
    await bed.ready()
    await bed.stop()
    await bed.api.admin.delete(pods.Pod, "one", namespace="default", grace_seconds=0)
    bed.start()
    deadline = time.monotonic() + 30
    while await bed.host.containerd.runtime.list_sandboxes():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    while list((bed.state / "agent" / "pods").glob("*")):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_containerd_killed_and_started_again(bed: beds.Bed) -> None:
    daemon = bed.host.containerd
    await bed.pod({"containers": [{"name": "main", "command": POLITE}]})
    before = await bed.ready()
    assert daemon.pid is not None
    os.kill(daemon.pid, signal.SIGKILL)
    await asyncio.sleep(0.3)
    await daemon.start()
    await asyncio.sleep(1.0)
    after = await bed.ready()
    assert main_of(after).containerID == main_of(before).containerID
    await daemon.runtime.stop_container(main_of(before).containerID.partition("://")[2], grace_seconds=0)
    await bed.until(lambda pod: beds.is_ready(pod) and main_of(pod).restartCount == 1)


async def test_the_node_and_its_lease(bed: beds.Bed) -> None:
    deadline = time.monotonic() + 30
    while True:
        found = await bed.api.admin.find(node.Node, "node-1")
        ready = next((one for one in found.status.conditions if one.type == "Ready"), None) if found else None
        if ready is not None and ready.status == "True":
            break
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.05)
    assert found is not None
    assert found.metadata.labels["kubernetes.io/os"] == "linux"
    assert found.status.nodeInfo.containerRuntimeVersion.startswith("containerd://")
    assert {"Ready", "MemoryPressure", "DiskPressure", "PIDPressure"} <= {one.type for one in found.status.conditions}
    assert found.status.capacity["pods"] == "110"
    held = await bed.api.admin.get(lease.Lease, "node-1", namespace="kube-node-lease")
    assert held.spec.holderIdentity == "node-1"
    quota = [
        path
        for path in ("/sys/fs/cgroup/cpu/bf-agent/cpu.cfs_quota_us", "/sys/fs/cgroup/bf-agent/cpu.max")
        if pathlib.Path(path).exists()
    ]
    assert quota
    assert int(pathlib.Path(quota[0]).read_text().split()[0]) > 0


async def test_a_full_log_is_rotated(bed: beds.Bed) -> None:
    await bed.stop()
    bed.options = {"log_size": 2000, "log_files": 3, "cleanup": 0.2}
    bed.start()
    await bed.pod(
        {
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "main", "command": ["sh", "-c", "while :; do echo line; sleep 0.005; done"]}],
        }
    )
    pod = await bed.ready()
    folder = bed.state / "logs" / f"default_one_{pod.metadata.uid}" / "main"
    deadline = time.monotonic() + 30
    while sorted(path.name for path in folder.iterdir()) != ["0.log", "0.log.1", "0.log.2"]:
        assert time.monotonic() < deadline, list(folder.iterdir())
        await asyncio.sleep(0.05)
    await asyncio.sleep(1)
    assert len(list(folder.iterdir())) <= 3
