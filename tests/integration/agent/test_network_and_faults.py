"""Names, ports of the host, and an agent that is killed again and again, on real engines."""

import asyncio
import contextlib
import pathlib
import random
import socket
import time

import pytest
from tests.integration.agent import bed as beds

from boxfleet.api import address, event, meta
from boxfleet.api import pod as pods

pytestmark = [pytest.mark.anyio, pytest.mark.machine]

POLITE = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]


async def test_a_short_name_resolves_inside_an_instance(bed: beds.Bed) -> None:
    spec = address.AddressSpec(
        pool="default", namespace="default", instance="db", reserved=True, domain="db.default.fleet.internal"
    )
    await bed.api.admin.create(address.Address(metadata=meta.ObjectMeta(name="10.213.77.250"), spec=spec))
    await bed.pod({"containers": [{"name": "main", "command": POLITE}]})
    pod = await bed.ready()
    look = "print inet_ntoa(scalar(gethostbyname('db')) // die 'unknown')"
    deadline = time.monotonic() + 30
    while (said := await bed.run(pod, "perl", "-MSocket", "-e", look)) != "10.213.77.250":
        assert time.monotonic() < deadline, said
        await asyncio.sleep(0.1)


async def test_a_port_of_the_host_leads_in_and_a_taken_one_is_told(bed: beds.Bed) -> None:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        free = chosen.getsockname()[1]
    port = {"containerPort": 8080, "hostPort": free, "hostIP": "127.0.0.1"}
    await bed.pod(
        {
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": "main",
                    "command": ["perl", "/serve", "8080"],
                    "ports": [port],
                    "readinessProbe": {"httpGet": {"port": 8080}},
                }
            ],
        }
    )
    await bed.ready()
    reader, writer = await asyncio.open_connection("127.0.0.1", free)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        wish = {"containerPort": 1, "hostPort": taken.getsockname()[1], "hostIP": "127.0.0.1"}
        await bed.pod({"containers": [{"name": "main", "command": POLITE, "ports": [wish]}]}, name="two")
        deadline = time.monotonic() + 30
        while True:
            said = [one.message for one in (await bed.api.admin.list(event.Event, namespace="default")).items]
            if any("is taken by a program of this host" in message for message in said):
                break
            assert time.monotonic() < deadline, said
            await asyncio.sleep(0.05)


async def test_killed_again_and_again_during_deliveries(bed: beds.Bed) -> None:
    chance = random.Random(3)
    names = [f"p{number}" for number in range(4)]
    volume = {"volumes": [{"name": "m", "emptyDir": {"medium": "Memory"}}]}
    mount = [{"name": "m", "mountPath": "/m"}]
    for name in names:
        await bed.pod({"containers": [{"name": "main", "command": POLITE, "volumeMounts": mount}], **volume}, name=name)
    for _ in range(8):
        await asyncio.sleep(chance.random() * 0.3)
        await bed.stop()
        bed.start()
    for name in names:
        await bed.ready(name, seconds=40)
    engine = bed.host.containerd.runtime
    assert sorted(one.name for one in await engine.list_sandboxes() if one.ready) == names
    running = [one for one in await engine.list_containers() if one.state == "running"]
    assert len(running) == len(names)
    for name in names:
        with contextlib.suppress(Exception):
            await bed.api.admin.delete(pods.Pod, name, namespace="default")
        await asyncio.sleep(chance.random() * 0.2)
        await bed.stop()
        bed.start()
    deadline = time.monotonic() + 30
    while await engine.list_sandboxes() or list((bed.state / "agent" / "pods").iterdir()):
        assert time.monotonic() < deadline, await engine.list_sandboxes()
        await asyncio.sleep(0.05)
    assert str(bed.state) not in pathlib.Path("/proc/self/mountinfo").read_text()
    assert not list(bed.host.network.settings.addresses.iterdir())
