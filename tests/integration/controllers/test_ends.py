"""Deletion: owners and dependents, namespaces, lost nodes, old events."""

import pathlib

import msgspec
import pytest
from tests.integration.controllers import fleetbed

from boxfleet.api import (
    address,
    box,
    config,
    event,
    labels,
    meta,
    namespace,
    node,
    pod,
    service_account,
    unit,
)
from boxfleet.controllers import settings
from boxfleet.kit import clock

pytestmark = pytest.mark.anyio

BOX = """
apiVersion: boxfleet.dev/v1
kind: Box
metadata: {name: b}
spec:
  units:
    a: {template: {spec: {containers: [{name: c, image: i}]}}}
"""


async def test_deleting_a_box_in_the_background_takes_all_of_it(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        await bed.apply(BOX)
        await bed.until_ready(box.Box, "b")
        await bed.api.delete(box.Box, "b", namespace="default")
        await bed.until(lambda: not bed.all(box.Box) + bed.all(unit.Unit) + bed.all(pod.Pod) + bed.all(address.Address))  # type: ignore[operator]


async def test_deleting_a_box_in_the_foreground_waits_for_its_units(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        await bed.apply(BOX)
        await bed.until_ready(box.Box, "b")
        await bed.api.delete(box.Box, "b", namespace="default", propagation="Foreground")
        await bed.until(lambda: not bed.all(unit.Unit) or bed.all(box.Box))
        await bed.until(lambda: not bed.all(box.Box))
        assert not bed.all(unit.Unit)
        await bed.until(lambda: not bed.all(pod.Pod))


async def test_orphans_stay(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        await bed.apply(BOX)
        await bed.until_ready(box.Box, "b")
        await bed.api.delete(box.Box, "b", namespace="default", propagation="Orphan")
        await bed.until(lambda: not bed.all(box.Box))
        left = bed.get(unit.Unit, "b-a")
        assert left is not None and not left.metadata.ownerReferences
        assert bed.get(pod.Pod, "b-a-0") is not None


async def test_an_object_with_another_owner_left_only_loses_the_reference(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        owners = [
            await bed.api.create(config.ConfigMap(metadata=meta.ObjectMeta(name=name, namespace="default")))
            for name in ("one", "two")
        ]
        references = [msgspec.structs.replace(meta.owner_of(each), controller=None) for each in owners]
        await bed.api.create(
            config.ConfigMap(metadata=meta.ObjectMeta(name="kept", namespace="default", ownerReferences=references))
        )
        await bed.api.delete(config.ConfigMap, "one", namespace="default")

        def left() -> list[str]:
            found = bed.get(config.ConfigMap, "kept")
            return [each.name for each in found.metadata.ownerReferences] if found is not None else ["gone"]

        await bed.until(lambda: left() == ["two"])
        await bed.api.delete(config.ConfigMap, "two", namespace="default")
        await bed.until(lambda: left() == ["gone"])


async def test_a_namespace_goes_with_all_that_is_in_it(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        await bed.api.create(namespace.Namespace(metadata=meta.ObjectMeta(name="team")))
        await bed.until(lambda: bed.get(service_account.ServiceAccount, "default", "team"))
        await bed.apply(BOX.replace("{name: b}", "{name: b, namespace: team}"))
        await bed.until_ready(box.Box, "b", "team")
        await bed.api.delete(namespace.Namespace, "team")
        await bed.until(lambda: bed.get(namespace.Namespace, "team") is None)
        assert not [each for each in bed.all(pod.Pod) + bed.all(unit.Unit) if each.metadata.namespace == "team"]  # type: ignore[operator]
        await bed.until(lambda: not bed.all(address.Address))


async def test_a_silent_node_is_lost_and_heard_of_again(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir, settings.Settings(lease_grace=0.5)) as bed:
        await bed.apply(fleetbed.unit_yaml("app"))

        def taints() -> list[str]:
            found = bed.get(node.Node, "node-1")
            return [each.key for each in found.spec.taints] if found is not None else []

        await bed.until(lambda: bed.condition(node.Node, "node-1", "Ready")[0] == "Unknown")
        await bed.until(lambda: taints() == [labels.TAINT_UNREACHABLE])
        await bed.until(lambda: bed.events("NodeNotReady"))
        await bed.agent.renew()
        ready = {"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "AgentReady"}]}}
        await bed.api.patch(node.Node, "node-1", ready, subresource="status", type="strategic")
        await bed.until(lambda: taints() == [])


async def test_instances_of_a_lost_node_are_not_ready(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir, settings.Settings(lease_grace=2.0)) as bed:
        await bed.apply(fleetbed.unit_yaml("app"))
        await bed.until_ready(pod.Pod, "app-0")
        # The stand-in would say Ready again at once, as a living agent should.
        bed.agent.held["app-0"] = "node is silent"
        await bed.until(lambda: bed.condition(pod.Pod, "app-0", "Ready")[0] == "False")


async def test_pods_of_a_deleted_node_are_removed(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir, settings.Settings(orphaned_pod_grace=0.2)) as bed:
        await bed.apply(fleetbed.unit_yaml("app"))
        await bed.until_ready(unit.Unit, "app")
        held = bed.address_of("app-0")
        await bed.api.delete(node.Node, "node-1")
        await bed.until(lambda: "no nodes are available" in bed.condition(pod.Pod, "app-0", "PodScheduled")[2])
        assert bed.address_of("app-0") == held
        await bed.agent.register()
        await bed.until_ready(unit.Unit, "app")


async def test_old_events_are_removed(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir, settings.Settings(event_ttl=60.0)) as bed:
        old = "2020-01-01T00:00:00Z"
        new = clock.stamp(fleetbed.CLOCK.now())
        for name, said in (("old", old), ("new", new)):
            await bed.api.create(
                event.Event(
                    metadata=meta.ObjectMeta(name=name, namespace="default"),
                    involvedObject=event.ObjectReference(kind="Pod", namespace="default", name="x"),
                    reason="Test",
                    message=name,
                    lastTimestamp=said,
                )
            )
        await bed.until(lambda: bed.events("Test") == ["new"])
