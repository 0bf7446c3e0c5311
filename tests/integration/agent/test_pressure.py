"""Too little memory or disk, on real engines: the right instance goes, the others stay, and the host is well again."""

import asyncio
import pathlib
import subprocess
import time
from collections.abc import Iterator

import pytest
from tests.integration.agent import bed as beds

from boxfleet.api import meta, node
from boxfleet.testing import server

pytestmark = [pytest.mark.anyio, pytest.mark.machine]

QUIET = {"containers": [{"name": "main", "command": ["sleep", "1000"]}]}


async def says(bed: beds.Bed, kind: str, status: str) -> None:
    """Wait until the Node has a condition like this."""
    deadline = time.monotonic() + 60
    while True:
        mine = await bed.api.admin.find(node.Node, server.NODE)
        found = meta.find_condition(mine.status.conditions, kind) if mine is not None else None
        if found is not None and found.status == status:
            return
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.05)


async def test_who_takes_much_memory_goes_and_its_log_stays(bed: beds.Bed) -> None:
    await bed.pod(QUIET, name="quiet")
    greedy = "$| = 1; print qq(I take much\n); my $much = 'x' x 200_000_000; sleep 1000"
    await bed.pod({"containers": [{"name": "main", "command": ["perl", "-e", greedy]}]}, name="greedy")
    await bed.ready("quiet")
    await bed.ready("greedy")
    await bed.stop()
    # More than there can be: pressure whatever this machine has.
    bed.options = {"memory_pressure": 101, "shed_every": 0.2}
    bed.start()
    greedy_pod = await bed.until(lambda pod: pod.status.phase == "Failed", name="greedy")
    assert greedy_pod.status.reason == "Evicted"
    assert greedy_pod.status.message.startswith("The node was low on resource: memory. The instance used ")
    await says(bed, "MemoryPressure", "True")
    deadline = time.monotonic() + 60
    while [one.name for one in await bed.host.containerd.runtime.list_sandboxes()] != ["quiet"]:
        assert time.monotonic() < deadline, "what is left of it stays"
        await asyncio.sleep(0.05)
    (log,) = (bed.state / "logs").glob("default_greedy_*/main/0.log")
    assert "I take much" in log.read_text()
    assert beds.is_ready(await bed.get("quiet"))


@pytest.fixture
def small(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A disk of 100 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m", "bf-small", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


async def test_who_fills_the_disk_goes_and_the_host_recovers(host: beds.Host, small: pathlib.Path) -> None:
    async with beds.bed(host, small, shed_every=0.2, node_check=0.2, pressure_hold=1.0) as bed:
        await bed.pod(QUIET, name="quiet")
        fill = "dd if=/dev/zero of=/scratch/fill bs=1M count=99"
        await bed.ready("quiet")
        await says(bed, "DiskPressure", "False")
        main = {
            "name": "main",
            "command": ["sh", "-c", f"{fill}; sleep 1000"],
            "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
        }
        await bed.pod({"containers": [main], "volumes": [{"name": "scratch", "emptyDir": {}}]}, name="greedy")
        greedy = await bed.until(lambda pod: pod.status.phase == "Failed", name="greedy")
        assert greedy.status.reason == "Evicted"
        assert "ephemeral-storage" in greedy.status.message
        await says(bed, "DiskPressure", "False")
        assert beds.is_ready(await bed.get("quiet"))
