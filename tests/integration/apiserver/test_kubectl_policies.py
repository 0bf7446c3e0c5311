"""kubectl's commands about quotas, budgets, autoscalers and tenants, with the controllers behind them."""

import asyncio
import contextlib
import pathlib
import shutil
from collections.abc import AsyncIterator

import pytest
from tests.integration.apiserver import test_kubectl

from boxfleet.client import shared
from boxfleet.controllers import manager, settings
from boxfleet.kit import clock
from boxfleet.testing import server

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="this machine lacks kubectl; ./run test installs it"),
]

TENANT = """
apiVersion: boxfleet.dev/v1
kind: Tenant
metadata: {name: acme}
spec:
  members: [{kind: Group, name: acme-devs, role: developer}]
  namespaces: [{name: acme-prod}]
  quota: {instances: 3}
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: %s, labels: {app: web}}
spec: {nodeName: node-1, containers: [{name: c, image: "x:1"}]}
"""
NODE = """
apiVersion: v1
kind: Node
metadata: {name: node-1}
"""


@pytest.fixture
async def kubectl(tmp_path: pathlib.Path, anyio_backend: str) -> AsyncIterator[test_kubectl.Kubectl]:
    async with server.running(tmp_path) as api, server.on_socket(api, tmp_path) as socket:
        time = clock.SystemClock()
        caches = shared.Caches(api.admin, clock=time)
        control = manager.Manager(caches, clock=time, settings=settings.Settings())
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(caches.run()), group.create_task(control.run())]
            try:
                yield test_kubectl.Kubectl(socket.kubeconfig, tmp_path)
            finally:
                for task in tasks:
                    task.cancel()


async def until(kubectl: test_kubectl.Kubectl, words: str, *arguments: str) -> str:
    """Call until an answer has the words."""
    said = ""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(20):
            while words not in (said := await kubectl(*arguments)):
                await asyncio.sleep(0.05)
    assert words in said
    return said


async def test_quotas(kubectl: test_kubectl.Kubectl) -> None:
    hard = "--hard=pods=2,requests.cpu=1,limits.cpu=2,count/units.boxfleet.dev=1"
    assert await kubectl("create", "quota", "small", hard) == "resourcequota/small created\n"
    said = await until(kubectl, "pods", "describe", "quota", "small")
    rows = [line.split() for line in said.splitlines() if line.startswith(("pods", "count/"))]
    assert rows == [["count/units.boxfleet.dev", "0", "1"], ["pods", "0", "2"]]
    described = await kubectl("describe", "ns", "default")
    assert "Resource Quotas" in described
    assert "No LimitRange resource." in described
    listed = (await kubectl("get", "quota")).splitlines()
    assert listed[0].split() == ["NAME", "REQUEST", "LIMIT", "AGE"]
    assert "pods: 0/2" in listed[1]
    assert "limits.cpu: 0/2" in listed[1]
    refused = await kubectl.fails("run", "a", "--image=x:1")
    assert refused == (
        'Error from server (Forbidden): pods "a" is forbidden: failed quota: small: '
        "must specify limits.cpu for: a; requests.cpu for: a"
    )


async def test_autoscale(kubectl: test_kubectl.Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=test_kubectl.UNIT % 1)
    said = await kubectl("autoscale", "unit/u", "--min=2", "--max=5", "--cpu-percent=60")
    assert said == "horizontalpodautoscaler.autoscaling/u autoscaled\n"
    assert "Unit/u" in await kubectl("get", "hpa")
    await until(kubectl, "does not scale by them", "describe", "hpa", "u")


async def test_priority_classes(kubectl: test_kubectl.Kubectl) -> None:
    await until(kubectl, "system-node-critical", "get", "priorityclass")
    await kubectl("create", "priorityclass", "high", "--value=100", "--description=first")
    assert "high" in await kubectl("get", "pc")


async def test_drain_keeps_to_the_budget(kubectl: test_kubectl.Kubectl) -> None:
    await kubectl("create", "-f", "-", stdin=NODE)
    unready = '[{"type":"Ready","status":"True"}]'
    for name in ("a", "b", "c"):
        await kubectl("apply", "-f", "-", stdin=POD % name)
        status = f'{{"status":{{"phase":"Running","conditions":{unready}}}}}'
        await kubectl("patch", "pod", name, "--subresource=status", "--type=merge", "-p", status)
    await kubectl("create", "pdb", "web", "--selector=app=web", "--min-available=2")
    listed = await until(kubectl, " 1 ", "get", "pdb")
    assert listed.splitlines()[0].split() == [
        "NAME", "MIN", "AVAILABLE", "MAX", "UNAVAILABLE", "ALLOWED", "DISRUPTIONS", "AGE",
    ]  # fmt: skip
    code, _, err = await kubectl.raw("drain", "node-1", "--force", "--grace-period=0", "--timeout=3s")
    assert code != 0
    assert "Cannot evict pod as it would violate the pod's disruption budget." in err
    left = (await kubectl("get", "pods", "-o", "name")).split()
    assert len(left) == 2
    assert "SchedulingDisabled" in await kubectl("get", "node", "node-1")
    await kubectl("delete", "pdb", "web")
    await kubectl("drain", "node-1", "--force", "--grace-period=0", "--timeout=20s")
    assert await kubectl("get", "pods", "-o", "name") == ""
    await kubectl("uncordon", "node-1")
    await kubectl("taint", "node", "node-1", "key=value:NoSchedule")
    assert (
        await kubectl("get", "node", "node-1", "-o", "jsonpath={.spec.taints[?(@.key=='key')].effect}") == "NoSchedule"
    )


async def test_tenants(kubectl: test_kubectl.Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=TENANT)
    await kubectl("wait", "tenant/acme", "--for=condition=Ready", "--timeout=20s")
    assert "acme-prod" in await kubectl("describe", "tenant", "acme")
    row = (await kubectl("get", "tn", "acme")).splitlines()[1].split()
    assert row[:4] == ["acme", "1", "0/3", "Ready"]
    as_dev = ("--as=dana", "--as-group=acme-devs")
    await kubectl("create", "configmap", "a", "-n", "acme-prod", *as_dev)
    assert "Forbidden" in await kubectl.fails("get", "configmaps", "-A", *as_dev)
    assert await kubectl("auth", "can-i", "create", "boxes", "-n", "acme-prod", *as_dev) == "yes\n"
