"""Units that share memory on their hosts: where consumers run, what they wait for, when they follow."""

import pathlib

import pytest
from tests.integration.controllers import fleetbed

from boxfleet.api import event, meta, node, placement, pod, unit
from boxfleet.app import why

pytestmark = pytest.mark.anyio

PROVIDES = "  provides: [{name: ipc/orders}]"
CONSUMES = "  consumes: [{name: ipc/orders}]"
EXCLUSIVE = "  provides: [{name: ipc/orders, exclusive: true}]"


DB_ON_FIRST = """
apiVersion: boxfleet.dev/v1
kind: Unit
metadata: {name: db}
spec:
  replicas: 1
  provides: [{name: ipc/orders}]
  template:
    spec:
      nodeSelector: {kubernetes.io/hostname: node-1}
      containers:
      - {name: main, image: "db:1"}
"""


def node_of(bed: fleetbed.Bed, name: str) -> str:
    found = bed.get(pod.Pod, name)
    return found.spec.nodeName if found is not None and not found.metadata.deletionTimestamp else ""


def uid_of(bed: fleetbed.Bed, name: str) -> str:
    found = bed.get(pod.Pod, name)
    return found.metadata.uid if found is not None else ""


def told(bed: fleetbed.Bed, name: str, reason: str) -> str:
    found = [each for each in bed.all(event.Event) if each.involvedObject.name == name and each.reason == reason]
    return "\n".join(each.message for each in found)


async def test_a_consumer_waits_for_its_provider_and_says_so(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        await bed.add_agent("node-2")
        await bed.add_agent("node-3")
        await bed.apply(fleetbed.unit_yaml("web", replicas=2, extra=CONSUMES))
        await bed.until(
            lambda: "no Unit of Namespace default provides it" in bed.condition(unit.Unit, "web", "Ready")[2]
        )
        assert bed.condition(unit.Unit, "web", "Ready")[1] == "WaitingForProvider"
        await bed.until(lambda: "nobody provides ipc/orders" in told(bed, "web", "NotPlaced"))
        assert not bed.all(placement.Placement)
        # Its provider comes, and is not ready yet.
        bed.agent.held["db-0"] = "ImagePullBackOff"
        await bed.apply(DB_ON_FIRST)
        words = "node(s) had no ready provider of ipc/orders (db-0, which provides it there, is not ready)"
        await bed.until(lambda: words in told(bed, "web-0", "FailedScheduling"))
        assert "2 node(s) had no ready provider of ipc/orders (Unit db provides it)" in told(
            bed, "web-0", "FailedScheduling"
        )
        said = await why.explain(bed.api, meta.Key("default", "web"))
        assert {each.name: each.obstacles for each in said.nodes["local"]}["node-1"] == [words]
        assert all("ipc/orders" in each.reason for each in said.waiting)
        bed.agent.release("db-0")
        await bed.until_ready(unit.Unit, "web")
        assert {node_of(bed, "web-0"), node_of(bed, "web-1")} == {"node-1"}
        main = bed.all(pod.Pod)[0].spec.containers[0]
        assert {each.name: each.value for each in main.env}["BOXFLEET_IPC_ORDERS"] == "/dev/shm/orders"


async def test_an_exclusive_provider_has_one_consumer_at_a_time(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        await bed.add_agent("node-2")
        await bed.apply(fleetbed.unit_yaml("db", extra=EXCLUSIVE))
        await bed.until_ready(unit.Unit, "db")
        await bed.apply(fleetbed.unit_yaml("web", replicas=2, extra=CONSUMES))
        await bed.until(
            lambda: any(
                "in exclusive use (by web-" in told(bed, f"web-{each}", "FailedScheduling") for each in range(2)
            )
        )
        assert sorted(bool(node_of(bed, f"web-{each}")) for each in range(2)) == [False, True]
        # A further provider, on the other host, has room for the other one.
        await bed.api.patch(unit.Unit, "db", {"spec": {"replicas": 2}}, namespace="default")
        await bed.until_ready(unit.Unit, "web")
        assert {node_of(bed, "web-0"), node_of(bed, "web-1")} == {"node-1", "node-2"}


async def test_consumers_follow_a_provider_that_goes_elsewhere(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        await bed.apply(fleetbed.unit_yaml("db", extra=PROVIDES))
        await bed.apply(fleetbed.unit_yaml("web", replicas=2, extra=CONSUMES))
        await bed.until_ready(unit.Unit, "web")
        before = {each.metadata.name: each.metadata.uid for each in bed.all(pod.Pod)}
        second = await bed.add_agent("node-2")
        second.held["db-0"] = "ImagePullBackOff"
        await bed.api.patch(node.Node, "node-1", {"spec": {"unschedulable": True}})
        await bed.api.delete(pod.Pod, "db-0", namespace="default")
        # They end with it, and wait for the new one.
        await bed.until(lambda: "is not ready" in told(bed, "web-0", "FailedScheduling"))
        await bed.until(lambda: all(uid_of(bed, name) not in ("", uid) for name, uid in before.items()))
        assert "nobody provides ipc/orders any more" in told(bed, "web", "ProviderGone")
        assert not any(node_of(bed, f"web-{each}") for each in range(2))
        second.release("db-0")
        await bed.until_ready(unit.Unit, "web")
        assert {node_of(bed, each) for each in before} == {"node-2"}
