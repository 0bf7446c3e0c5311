"""The bridge of the host's instances is deleted behind the agent's back: made again, or told."""

import asyncio
import contextlib
import pathlib
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable

import pytest
from tests.integration.agent import bed as beds

from boxfleet.api import address, meta, node

pytestmark = [pytest.mark.anyio, pytest.mark.machine]

DB = "10.213.77.250"
LOOK = "print inet_ntoa(scalar(gethostbyname('db')) // die 'unknown')"


@pytest.fixture
async def bed(host: beds.Host, tmp_path: pathlib.Path) -> AsyncIterator[beds.Bed]:
    async with beds.bed(host, tmp_path, node_check=0.5) as made:
        yield made


def ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


def flag(interface: str, name: str) -> str:
    return pathlib.Path(f"/sys/class/net/{interface}/brport/{name}").read_text().strip()


def ports_of(bridge: str) -> dict[str, dict[str, str]]:
    """Each port of a bridge with all settings that the kernel shows of it."""
    folder = pathlib.Path(f"/sys/class/net/{bridge}/brif")
    if not folder.is_dir():
        return {}
    told = ("hairpin_mode", "isolated", "learning", "unicast_flood", "multicast_flood", "proxyarp", "bpdu_guard")
    return {port.name: {name: flag(port.name, name) for name in told} for port in folder.iterdir()}


async def answers(host: str, port: int) -> bool:
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            line = await reader.readline()
            writer.close()
            return line.startswith(b"HTTP/1.1 200")
    return False


async def ready_of(bed: beds.Bed, test: Callable[[node.NodeCondition], bool]) -> node.NodeCondition:
    deadline = time.monotonic() + 30
    while True:
        found = await bed.api.admin.find(node.Node, "node-1")
        said = next((one for one in found.status.conditions if one.type == "Ready"), None) if found else None
        if said is not None and test(said):
            return said
        assert time.monotonic() < deadline, said
        await asyncio.sleep(0.05)


async def test_instances_are_reached_again(bed: beds.Bed) -> None:
    spec = address.AddressSpec(
        pool="default", namespace="default", instance="db", reserved=True, domain="db.default.fleet.internal"
    )
    await bed.api.admin.create(address.Address(metadata=meta.ObjectMeta(name=DB), spec=spec))
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        free = chosen.getsockname()[1]
    serves = {"name": "main", "command": ["perl", "/serve", "8080"], "readinessProbe": {"httpGet": {"port": 8080}}}
    await bed.pod({"containers": [{**serves, "ports": [{"containerPort": 8080, "hostPort": free}]}]})
    await bed.pod({"containers": [serves]}, name="two")
    pod, other = await bed.ready(), await bed.ready("two")
    before = ports_of(beds.BRIDGE)
    assert len(before) == 2
    # A neighbour that hangs on no bridge is nobody's business.
    ip("link", "add", "bfstray0", "type", "veth", "peer", "name", "bfstray1")
    try:
        for damage in (
            ("link", "delete", beds.BRIDGE),
            ("address", "delete", f"{beds.GATEWAY}/24", "dev", beds.BRIDGE),
            ("link", "set", next(iter(before)), "nomaster"),
        ):
            ip(*damage)
            deadline = time.monotonic() + 30
            # From the host, by both ports of the host, and between the two; names; and to itself by its own port.
            while not (
                await answers(pod.status.podIP, 8080)
                and await answers(other.status.podIP, 8080)
                and await answers("127.0.0.1", free)
                and await bed.run(pod, "perl", "-MSocket", "-e", LOOK) == DB
                and "200" in await bed.run(other, "perl", "-MIO::Socket::INET", "-e", _get(pod.status.podIP, 8080))
                and "200" in await bed.run(pod, "perl", "-MIO::Socket::INET", "-e", _get(beds.GATEWAY, free))
            ):
                assert time.monotonic() < deadline, (damage, ip("address"))
                await asyncio.sleep(0.1)
            assert ports_of(beds.BRIDGE) == before
        assert "master" not in ip("link", "show", "bfstray0")
    finally:
        ip("link", "delete", "bfstray0")
    await ready_of(bed, lambda said: said.status == "True")


async def test_what_cannot_be_mended_is_told(bed: beds.Bed) -> None:
    await ready_of(bed, lambda said: said.status == "True")
    # Both in one go; should the agent have been quicker, once more.
    swap = f"link delete {beds.BRIDGE}\nlink add {beds.BRIDGE} type veth peer name bfpeer0\n"
    while subprocess.run(["ip", "-batch", "-"], input=swap, text=True, check=False).returncode != 0:
        await asyncio.sleep(0.1)
    try:
        said = await ready_of(bed, lambda said: said.status == "False")
        assert said.reason == "NetworkNotReady"
        assert f"{beds.BRIDGE} is there and is no bridge" in said.message
    finally:
        ip("link", "delete", beds.BRIDGE)
    await ready_of(bed, lambda said: said.status == "True")


def _get(host: str, port: int) -> str:
    return (
        f"my $s = IO::Socket::INET->new(PeerAddr => '{host}:{port}', Timeout => 2) or die 'none'; "
        'print $s "GET / HTTP/1.0\\r\\n\\r\\n"; print scalar <$s>'
    )
