"""Memory that instances share on a real host."""

import asyncio
import pathlib
from typing import Any

import pytest
from tests.integration.agent import bed as beds

from boxfleet.agent.volumes import mounting
from boxfleet.api import event
from boxfleet.api import pod as pods

pytestmark = [pytest.mark.anyio, pytest.mark.machine]

POLITE = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]


def sharing(role: str, *, path: str = "/dev/shm/orders", **said: str) -> dict[str, Any]:
    """What the Unit controller makes of `provides` and `consumes`."""
    attributes = {"name": "ipc/orders", "role": role, **said}
    return {
        "containers": [
            {"name": "main", "command": POLITE, "volumeMounts": [{"name": "boxfleet-ipc-orders", "mountPath": path}]}
        ],
        "volumes": [
            {"name": "boxfleet-ipc-orders", "csi": {"driver": "ipc.boxfleet.dev", "volumeAttributes": attributes}}
        ],
    }


def mounted(bed: beds.Bed) -> list[str]:
    return mounting.of_source("boxfleet-ipc/orders@default", bed.state)


async def sh(bed: beds.Bed, name: str, command: str) -> str:
    return await bed.run(await bed.get(name), "sh", "-c", command)


async def until_told(bed: beds.Bed, words: str) -> None:
    async with asyncio.timeout(30):
        while not any(words in each.message for each in (await bed.api.admin.list(event.Event)).items):
            await asyncio.sleep(0.02)


async def test_two_containers_see_one_memory_which_is_gone_with_the_last(bed: beds.Bed) -> None:
    await bed.pod(sharing("consumes", path="/dev/shm"), name="web")
    await until_told(bed, "waits for an instance that provides ipc/orders on this host")
    await bed.pod(sharing("provides", size="1Mi"), name="db")
    await bed.ready("db")
    await bed.ready("web")
    assert len(mounted(bed)) == 2
    # What both of them have mapped is the same memory.
    await sh(bed, "db", "echo from-db > /dev/shm/orders/one; chmod 666 /dev/shm/orders/one")
    seen = await sh(bed, "web", "cat /dev/shm/one; echo from-web > /dev/shm/one; stat -c %a /dev/shm")
    assert seen == "from-db\n1777\n"
    assert await sh(bed, "db", "cat /dev/shm/orders/one") == "from-web\n"
    assert await sh(bed, "db", "stat -c %i /dev/shm/orders/one") == await sh(bed, "web", "stat -c %i /dev/shm/one")
    full = await sh(bed, "web", "dd if=/dev/zero of=/dev/shm/big bs=1024 count=4096 2>&1")
    assert "No space left" in full
    # Another Namespace's or name's memory, and what a container has for itself, is another one.
    await bed.pod({"containers": [{"name": "main", "command": POLITE}]}, name="other")
    await bed.ready("other")
    assert await sh(bed, "other", "ls /dev/shm") == ""
    # With its provider gone a consumer keeps what is there, and so does the agent that is started again.
    await bed.api.admin.delete(pods.Pod, "db", namespace="default", grace_seconds=1)
    await bed.gone("db")
    await bed.stop()
    bed.start()
    await bed.pod(sharing("provides", size="2Mi"), name="db")
    await bed.ready("db")
    assert await sh(bed, "db", "cat /dev/shm/orders/one") == "from-web\n"
    # The new provider says how large it is.
    filled = await sh(
        bed, "web", "dd if=/dev/zero of=/dev/shm/big bs=1024 count=4096 2>/dev/null; stat -c %s /dev/shm/big"
    )
    assert 2**20 < int(filled) <= 2**21
    await bed.clear()
    assert mounted(bed) == []
    assert "boxfleet-ipc" not in pathlib.Path("/proc/self/mountinfo").read_text()
    await bed.pod(sharing("provides"), name="db")
    await bed.ready("db")
    assert await sh(bed, "db", "ls /dev/shm/orders") == ""


async def test_a_driver_that_no_host_has_is_named(bed: beds.Bed) -> None:
    spec = sharing("provides")
    spec["volumes"][0]["csi"]["driver"] = "disk.example.com"
    await bed.pod(spec)
    await until_told(bed, "no CSI driver disk.example.com")
