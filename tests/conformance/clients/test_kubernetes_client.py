"""The official Python client."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from boxfleet.testing import server

kubernetes = pytest.importorskip("kubernetes")

pytestmark = pytest.mark.anyio

NAMESPACE = "default"
GROUP = ("boxfleet.dev", "v1")
UNIT = {
    "apiVersion": "boxfleet.dev/v1",
    "kind": "Unit",
    "metadata": {"name": "u"},
    "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "c", "image": "x:1"}]}}},
}


@contextlib.contextmanager
def opened(socket: server.Socket) -> Iterator[Any]:
    client = kubernetes.config.new_client_from_config(str(socket.kubeconfig))
    try:
        yield client
    finally:
        client.close()


def config_map(name: str, **data: str) -> Any:
    return kubernetes.client.V1ConfigMap(metadata=kubernetes.client.V1ObjectMeta(name=name), data=data)


async def on_a_thread(socket: server.Socket, work: Callable[[Any], None]) -> None:
    def run() -> None:
        with opened(socket) as client:
            work(client)

    await asyncio.to_thread(run)


async def test_objects(socket: server.Socket) -> None:
    def work(client: Any) -> None:
        core = kubernetes.client.CoreV1Api(client)
        made = core.create_namespaced_config_map(NAMESPACE, config_map("a", k="1"))
        assert made.metadata.creation_timestamp.tzinfo is not None
        made.data["k"] = "2"
        replaced = core.replace_namespaced_config_map("a", NAMESPACE, made)
        assert replaced.data == {"k": "2"}
        with pytest.raises(kubernetes.client.ApiException) as caught:
            core.replace_namespaced_config_map("a", NAMESPACE, made)
        assert (caught.value.status, caught.value.reason) == (409, "Conflict")
        # A dict is a strategic merge patch, a list a JSON patch.
        assert core.patch_namespaced_config_map("a", NAMESPACE, {"data": {"l": "3"}}).data == {"k": "2", "l": "3"}
        steps = [{"op": "remove", "path": "/data/k"}]
        assert core.patch_namespaced_config_map("a", NAMESPACE, steps).data == {"l": "3"}
        merged = core.patch_namespaced_config_map(
            "a", NAMESPACE, {"data": {"l": None}}, _content_type="application/merge-patch+json"
        )
        assert not merged.data
        status = core.delete_namespaced_config_map("a", NAMESPACE)
        # Older releases of the client make an object of it.
        assert (status["status"] if isinstance(status, dict) else status.status) == "Success"
        with pytest.raises(kubernetes.client.ApiException) as caught:
            core.read_namespaced_config_map("a", NAMESPACE)
        assert caught.value.status == 404

    await on_a_thread(socket, work)


async def test_lists_in_chunks(socket: server.Socket) -> None:
    def work(client: Any) -> None:
        core = kubernetes.client.CoreV1Api(client)
        for number in range(5):
            core.create_namespaced_config_map(NAMESPACE, config_map(f"c{number}"))
        first = core.list_namespaced_config_map(NAMESPACE, limit=2)
        assert first.metadata.remaining_item_count is not None
        rest = core.list_namespaced_config_map(NAMESPACE, _continue=first.metadata._continue)
        names = [item.metadata.name for item in (*first.items, *rest.items)]
        assert [name for name in names if name.startswith("c")] == [f"c{number}" for number in range(5)]
        found = core.list_config_map_for_all_namespaces(field_selector="metadata.name=c3")
        assert [item.metadata.name for item in found.items] == ["c3"]

    await on_a_thread(socket, work)


async def test_watches_resume_by_themselves(socket: server.Socket) -> None:
    def work(client: Any) -> None:
        core = kubernetes.client.CoreV1Api(client)
        at = core.list_namespaced_config_map(NAMESPACE).metadata.resource_version
        watch = kubernetes.watch.Watch()
        seen = []
        core.create_namespaced_config_map(NAMESPACE, config_map("w0"))
        # Without a limit of its own it goes on where each answer of the server ends.
        events = watch.stream(core.list_namespaced_config_map, NAMESPACE, resource_version=at, _request_timeout=20)
        for event in events:
            seen.append((event["type"], event["object"].metadata.name))
            if len(seen) == 3:
                watch.stop()
            else:
                core.create_namespaced_config_map(NAMESPACE, config_map(f"w{len(seen)}"))
        assert seen == [("ADDED", "w0"), ("ADDED", "w1"), ("ADDED", "w2")]
        # A new one goes on behind the last event.
        core.delete_namespaced_config_map("w1", NAMESPACE)
        again = kubernetes.watch.Watch().stream(
            core.list_namespaced_config_map, NAMESPACE, resource_version=watch.resource_version, timeout_seconds=1
        )
        assert [(event["type"], event["object"].metadata.name) for event in again] == [("DELETED", "w1")]

    await on_a_thread(socket, work)


async def test_own_kinds(socket: server.Socket) -> None:
    def work(client: Any) -> None:
        custom = kubernetes.client.CustomObjectsApi(client)
        where = (*GROUP, NAMESPACE, "units")
        made = custom.create_namespaced_custom_object(*where, UNIT)
        assert made["metadata"]["generation"] == 1
        changed = custom.patch_namespaced_custom_object(*where, "u", {"spec": {"replicas": 2}})
        assert (changed["spec"]["replicas"], changed["metadata"]["generation"]) == (2, 2)
        scale = custom.patch_namespaced_custom_object_scale(*where, "u", {"spec": {"replicas": 3}})
        assert scale["spec"]["replicas"] == 3
        (item,) = custom.list_namespaced_custom_object(*where)["items"]
        assert (item["kind"], item["spec"]["replicas"]) == ("Unit", 3)
        custom.delete_namespaced_custom_object(*where, "u")
        assert custom.list_namespaced_custom_object(*where)["items"] == []

    await on_a_thread(socket, work)


async def test_the_dynamic_client_finds_all_by_discovery(socket: server.Socket) -> None:
    def work(client: Any) -> None:
        dynamic = kubernetes.dynamic.DynamicClient(client)
        units = dynamic.resources.get(api_version="boxfleet.dev/v1", kind="Unit")
        made = units.create(body=UNIT, namespace=NAMESPACE)
        assert made.spec.replicas == 1
        found = units.get(namespace=NAMESPACE)
        assert [each.metadata.name for each in found.items] == ["u"]
        units.patch(
            body={"spec": {"replicas": 4}},
            name="u",
            namespace=NAMESPACE,
            content_type="application/merge-patch+json",
        )
        for event in units.watch(namespace=NAMESPACE, timeout=5):
            assert (event["type"], event["object"].spec.replicas) == ("ADDED", 4)
            break
        units.delete(name="u", namespace=NAMESPACE)
        secrets = dynamic.resources.get(api_version="v1", kind="Secret")
        applied = secrets.server_side_apply(
            body={"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "v"}},
            name="s",
            namespace=NAMESPACE,
            field_manager="test",
        )
        assert applied.data.k == "dg=="

    await on_a_thread(socket, work)


async def test_versions(socket: server.Socket) -> None:
    def work(client: Any) -> None:
        assert kubernetes.client.VersionApi(client).get_code().git_version.startswith("v1.")
        groups = kubernetes.client.ApisApi(client).get_api_versions().groups
        assert "boxfleet.dev" in [group.name for group in groups]

    await on_a_thread(socket, work)
