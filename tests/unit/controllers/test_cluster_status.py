"""What a Cluster of hosts adds up to, as instances come, end and go."""

import asyncio
import contextlib
import pathlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from boxfleet.api import cluster, labels, node, pod, roles
from boxfleet.client import shared
from boxfleet.controllers import bootstrap, caches, settings
from boxfleet.controllers.node import cluster as controller
from boxfleet.kit import clock
from boxfleet.testing import server

pytestmark = pytest.mark.anyio
CLOCK = clock.SystemClock()


@contextlib.asynccontextmanager
async def counting(api: server.Api) -> AsyncIterator[None]:
    known = shared.Caches(api.part(roles.CONTROLLERS), clock=CLOCK)
    made = controller.ClusterStatus(known.api, caches.Indexed(known), clock=CLOCK, settings=settings.Settings())
    tasks = [asyncio.create_task(run()) for run in (known.run, made.run)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def until_requested(api: server.Api, name: str, expected: dict[str, str]) -> None:
    with api.store.watch("/", after=api.store.revision) as changes:
        async with asyncio.timeout(20):
            while (await api.admin.get(cluster.Cluster, name)).status.requested != expected:
                await changes.take(timeout=20)


async def make_node(api: server.Api, name: str, *, of: str) -> None:
    await api.admin.create_raw(node.Node, {"metadata": {"name": name, "labels": {labels.CLUSTER: of}}})


async def run_pod(api: server.Api, name: str, *, on: str, cpu: str) -> None:
    container: dict[str, Any] = {"name": "main", "image": "x:1", "resources": {"requests": {"cpu": cpu}}}
    spec = {"nodeName": on, "containers": [container]}
    await api.admin.create_raw(pod.Pod, {"metadata": {"name": name, "namespace": "default"}, "spec": spec})


async def test_requests_follow_the_instances(tmp_path: pathlib.Path, anyio_backend: str) -> None:
    async with server.running(tmp_path) as api:
        await bootstrap.make(api.admin, settings.Settings())
        await api.admin.create_raw(cluster.Cluster, {"metadata": {"name": "far"}, "spec": {"type": "hosts"}})
        await make_node(api, "one", of="local")
        await make_node(api, "two", of="far")
        await run_pod(api, "a", on="one", cpu="100m")
        async with counting(api):
            await until_requested(api, "local", {"cpu": "100m", "pods": "1"})
            await run_pod(api, "b", on="one", cpu="1")
            await run_pod(api, "c", on="two", cpu="2")
            await until_requested(api, "local", {"cpu": "1100m", "pods": "2"})
            await until_requested(api, "far", {"cpu": "2", "pods": "1"})
            ended = {"status": {"phase": "Succeeded"}}
            await api.admin.patch(pod.Pod, "a", ended, namespace="default", subresource="status")
            await until_requested(api, "local", {"cpu": "1", "pods": "1"})
            await api.admin.delete(pod.Pod, "b", namespace="default", grace_seconds=0)
            await until_requested(api, "local", {})
            # A node that goes over takes what runs there along.
            change = {"metadata": {"labels": {labels.CLUSTER: "local"}}}
            await api.admin.patch(node.Node, "two", change)
            await until_requested(api, "local", {"cpu": "2", "pods": "1"})
            await until_requested(api, "far", {})
