"""What does not fit says so, and goes on when there is room."""

import pathlib

import pytest
from tests.integration.controllers import fleetbed

from boxfleet.api import address, address_pool, meta, node, pod, unit
from boxfleet.controllers import settings

pytestmark = pytest.mark.anyio

POD = "{apiVersion: v1, kind: Pod, metadata: {name: NAME}, spec: {containers: [{name: c, image: i}]}}"


async def test_a_full_pool_says_what_to_do_and_goes_on_when_something_is_freed(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir, settings.Settings(pool_cidr="10.99.0.0/29")) as bed:
        await bed.api.patch(address_pool.AddressPool, "default", {"spec": {"end": "10.99.0.2"}})
        await bed.until(lambda: (p := bed.get(address_pool.AddressPool, "default")) and p.status.capacity == 1)
        await bed.apply(POD.replace("NAME", "first"))
        await bed.until_ready(pod.Pod, "first")
        assert bed.address_of("first") == "10.99.0.2"
        await bed.until(lambda: (p := bed.get(address_pool.AddressPool, "default")) and p.status.free == 0)
        await bed.apply(fleetbed.unit_yaml("app"))
        await bed.apply(POD.replace("NAME", "second"))
        await bed.until(lambda: bed.condition(unit.Unit, "app", "Ready")[1] == "AddressPoolFull")
        assert "kubectl edit addresspool default" in bed.condition(unit.Unit, "app", "Ready")[2]
        await bed.until(lambda: bed.condition(pod.Pod, "second", "AddressClaimed")[0] == "False")
        await bed.until(lambda: len(bed.events("AddressPoolFull")) == 2)
        # A wider range, something that is freed, or another pool: each lets one go on.
        await bed.api.delete(pod.Pod, "first", namespace="default")
        await bed.until(lambda: bed.address_of("app-0") or bed.address_of("second"))
        await bed.api.patch(address_pool.AddressPool, "default", {"spec": {"end": "10.99.0.3"}})
        await bed.until_ready(pod.Pod, "second")
        await bed.until_ready(unit.Unit, "app")
        await bed.apply(POD.replace("NAME", "third"))
        await bed.until(lambda: bed.condition(pod.Pod, "third", "AddressClaimed")[0] == "False")
        more = address_pool.AddressPool(
            metadata=meta.ObjectMeta(name="more"),
            spec=address_pool.AddressPoolSpec(cidr="10.99.1.0/29", bridge="boxfleet1"),
        )
        await bed.api.create(more)
        await bed.until_ready(pod.Pod, "third")
        assert bed.address_of("third") == "10.99.1.2"
        assert len(bed.all(address.Address)) == 3


async def test_why_a_pod_is_pending(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        await bed.apply(fleetbed.unit_yaml("big", asks="memory: 64Gi"))
        text = "0/1 nodes are available: 1 Insufficient memory (asks 64Gi, free 20Gi)."
        await bed.until(lambda: bed.condition(pod.Pod, "big-0", "PodScheduled") == ("False", "Unschedulable", text))
        await bed.until(lambda: bed.events("FailedScheduling") == [text])
        await bed.until(lambda: text in bed.condition(unit.Unit, "big", "Ready")[2])
        more = {"status": {"allocatable": {"memory": "128Gi"}}}
        await bed.api.patch(node.Node, "node-1", more, subresource="status", type="strategic")
        await bed.until_ready(unit.Unit, "big")


async def test_a_burst_never_overcommits_and_freed_room_is_used(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        await bed.apply(fleetbed.unit_yaml("app", replicas=6, asks="cpu: 1"))
        await bed.until(lambda: sum(1 for each in bed.all(pod.Pod) if each.spec.nodeName) == 4)
        await bed.until(lambda: len(bed.events("FailedScheduling")) == 2)
        assert sum(1 for each in bed.all(pod.Pod) if each.spec.nodeName) == 4
        waiting = [each.metadata.name for each in bed.all(pod.Pod) if not each.spec.nodeName]
        placed = next(each for each in bed.all(pod.Pod) if each.spec.nodeName)
        await bed.api.delete(pod.Pod, placed.metadata.name, namespace="default")
        await bed.until(lambda: any((p := bed.get(pod.Pod, name)) and p.spec.nodeName for name in waiting))


async def test_a_cordoned_node_takes_nothing_new(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        await bed.api.patch(node.Node, "node-1", {"spec": {"unschedulable": True}})
        await bed.until(lambda: (n := bed.get(node.Node, "node-1")) and n.spec.taints)
        await bed.apply(fleetbed.unit_yaml("app"))
        await bed.until(lambda: "cordoned" in bed.condition(pod.Pod, "app-0", "PodScheduled")[2])
        await bed.api.patch(node.Node, "node-1", {"spec": {"unschedulable": False}})
        await bed.until_ready(unit.Unit, "app")


async def test_a_thousand_instances_get_an_address_each(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        bed.agent.held["none"] = ""
        await bed.apply(fleetbed.unit_yaml("many", replicas=1000, extra="  dependsOn: []"))
        await bed.until(lambda: len(bed.all(address.Address)) == 1000)
        assert len({each.spec.instance for each in bed.all(address.Address)}) == 1000
