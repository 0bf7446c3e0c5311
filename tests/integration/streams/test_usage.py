"""kubectl top, on a real container that works and one that sleeps."""

import asyncio

import pytest
from tests.integration.streams import bed as beds

from boxfleet.api import node
from boxfleet.testing import server

pytestmark = [pytest.mark.anyio, pytest.mark.machine]


async def test_top_tells_who_works(bed: beds.Bed) -> None:
    await bed.api.admin.create_raw(node.Node, {"metadata": {"name": server.NODE, "labels": {"disk": "ssd"}}})
    await bed.api.node.patch(
        node.Node, server.NODE, {"status": {"allocatable": {"cpu": "2", "memory": "8Gi"}}}, subresource="status"
    )
    await bed.pod("busy", ["sh", "-c", "while :; do :; done"], ["sleep", "100000"])
    await bed.pod("idle", ["sleep", "100000"])

    top = await bed.kubectl("top", "pods", "--containers", "--no-headers")
    assert top.code == 0, top.err
    cpu = {tuple(line.split()[:2]): int(line.split()[2].removesuffix("m")) for line in top.out.decode().splitlines()}
    assert set(cpu) == {("busy", "main"), ("busy", "second"), ("idle", "main")}
    assert cpu["busy", "main"] > 100
    assert cpu["idle", "main"] < 100

    whole = await bed.kubectl("top", "pod", "busy", "--no-headers")
    assert whole.out.decode().split()[0] == "busy"
    assert whole.out.decode().split()[2].endswith("Mi")
    nodes = await bed.kubectl("top", "nodes", "--no-headers", "-l", "disk=ssd")
    name, used, _, memory, _ = nodes.out.decode().split()
    assert name == server.NODE
    assert int(used.removesuffix("m")) > 100
    assert int(memory.removesuffix("Mi")) > 100
    raw = (await server.send(bed.api.app, "GET", "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/idle")).json
    assert (raw["kind"], raw["metadata"]["namespace"]) == ("PodMetrics", "default")
    assert 0 < float(raw["window"].removesuffix("s")) < 60


async def test_what_is_not_measured_is_said(bed: beds.Bed) -> None:
    path = "/apis/metrics.k8s.io/v1beta1"
    await bed.pod("p", ["sleep", "100000"])
    assert (await server.send(bed.api.app, "GET", f"{path}/namespaces/default/pods/q")).status == 404
    assert (await server.send(bed.api.app, "GET", f"{path}/nodes/nowhere")).status == 404
    reply = await server.send(bed.api.app, "POST", f"{path}/nodes", {})
    assert reply.status == 405
    await bed.stop_agent()
    async with asyncio.timeout(10):
        while bed.api.app.agents.nodes():
            await asyncio.sleep(0.01)
    # Of a node that is away nothing is listed; asked for alone, the reason is told.
    assert (await server.send(bed.api.app, "GET", f"{path}/namespaces/default/pods")).json["items"] == []
    gone = await server.send(bed.api.app, "GET", f"{path}/namespaces/default/pods/p")
    assert gone.status == 503
    assert "has no agent connection" in gone.json["message"]
