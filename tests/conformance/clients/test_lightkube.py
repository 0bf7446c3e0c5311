"""lightkube, a typed asynchronous client."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import lightkube
import pytest
from lightkube.core import exceptions
from lightkube.core import resource as resources
from lightkube.models import meta_v1
from lightkube.resources import core_v1
from lightkube.types import CascadeType, PatchType

from boxfleet.store import rows
from boxfleet.testing import server

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(socket: server.Socket) -> AsyncIterator[lightkube.AsyncClient]:
    config = lightkube.KubeConfig.from_file(str(socket.kubeconfig))
    made = lightkube.AsyncClient(config=config.get(), namespace="default", field_manager="test")
    yield made
    await made.aclose()


def config_map(name: str, **data: str) -> core_v1.ConfigMap:
    return core_v1.ConfigMap(metadata=meta_v1.ObjectMeta(name=name, labels={"l": "1"}), data=data)


async def test_objects(client: lightkube.AsyncClient) -> None:
    made = await client.create(config_map("a", k="1"))
    assert made.metadata is not None
    assert made.metadata.creationTimestamp is not None
    made.data = {"k": "2"}
    assert (await client.replace(made)).data == {"k": "2"}
    with pytest.raises(exceptions.ApiError) as caught:
        await client.replace(made)
    assert caught.value.status.reason == "Conflict"
    for kind, body in (
        (PatchType.STRATEGIC, {"data": {"l": "1"}}),
        (PatchType.MERGE, {"data": {"m": "1"}}),
        (PatchType.JSON, [{"op": "remove", "path": "/data/k"}]),
    ):
        changed = await client.patch(core_v1.ConfigMap, "a", body, patch_type=kind)
    assert changed.data == {"l": "1", "m": "1"}
    applied = await client.apply(
        core_v1.ConfigMap(apiVersion="v1", kind="ConfigMap", metadata=meta_v1.ObjectMeta(name="b"), data={"k": "1"})
    )
    assert applied.data == {"k": "1"}
    listed = [item.metadata.name async for item in client.list(core_v1.ConfigMap, labels={"l": "1"}) if item.metadata]
    assert listed == ["a"]
    await client.delete(core_v1.ConfigMap, "a", cascade=CascadeType.BACKGROUND)
    with pytest.raises(exceptions.ApiError) as caught:
        await client.get(core_v1.ConfigMap, "a")
    assert caught.value.status.code == 404


async def test_long_lists_come_in_chunks(client: lightkube.AsyncClient) -> None:
    for number in range(7):
        await client.create(config_map(f"c{number}"))
    names = [
        item.metadata.name
        async for item in client.list(core_v1.ConfigMap, labels={"l": "1"}, chunk_size=3)
        if item.metadata
    ]
    assert names == [f"c{number}" for number in range(7)]


async def test_a_watch_goes_on_where_the_server_ended_it(
    client: lightkube.AsyncClient, api: server.Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.create(config_map("w0"))
    seen: list[tuple[str, str]] = []
    opened: asyncio.Queue[str] = asyncio.Queue()
    watch = api.store.watch

    def told(prefix: str, **options: Any) -> rows.Subscription:
        opened.put_nowait(prefix)
        return watch(prefix, **options)

    monkeypatch.setattr(api.store, "watch", told)

    async def look() -> None:
        # The server ends each answer after a second, and the client asks again from the last revision.
        async for event, obj in client.watch(core_v1.ConfigMap, labels={"l": "1"}, server_timeout=1):
            assert obj.metadata is not None
            seen.append((event, str(obj.metadata.name)))
            if len(seen) == 4:
                return

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(look())
        for _ in range(2):
            await opened.get()
        await client.create(config_map("w1"))
        for _ in range(2):
            await opened.get()
        await client.delete(core_v1.ConfigMap, "w0")
        await client.create(config_map("w2"))
    assert seen == [("ADDED", "w0"), ("ADDED", "w1"), ("DELETED", "w0"), ("ADDED", "w2")]


async def test_waiting_for_a_condition(client: lightkube.AsyncClient, api: server.Api) -> None:
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "x:1"}]}}
    assert (await server.send(api.app, "POST", "/api/v1/namespaces/default/pods", pod)).status == 201
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        waiting = group.create_task(client.wait(core_v1.Pod, "p", for_conditions=["Ready"]))
        status = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
        await client.patch(core_v1.Pod.Status, "p", status, patch_type=PatchType.STRATEGIC)
    found = await waiting
    assert found.metadata is not None
    assert found.metadata.name == "p"


async def test_own_kinds(client: lightkube.AsyncClient) -> None:
    from lightkube import generic_resource

    unit = generic_resource.create_namespaced_resource("boxfleet.dev", "v1", "Unit", "units")
    spec = {"replicas": 1, "template": {"spec": {"containers": [{"name": "c", "image": "x:1"}]}}}
    made = await client.create(unit(metadata=meta_v1.ObjectMeta(name="u"), spec=spec))
    assert isinstance(made, resources.NamespacedResource)
    changed = await client.patch(unit, "u", {"spec": {"replicas": 2}}, patch_type=PatchType.MERGE)
    assert changed.spec["replicas"] == 2
    await client.delete(unit, "u")
