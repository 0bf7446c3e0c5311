"""Instances leave busy hosts, one at a time and no further than it helps."""

import contextlib
import pathlib
from collections.abc import AsyncIterator

import msgspec
import pytest
from tests.integration.controllers import fleetbed

from boxfleet.api import cluster, event, node, pod, tunnel
from boxfleet.controllers import settings as controller_settings
from boxfleet.ports import streams

QUICK = controller_settings.Settings(rebalance_look=0.4)
GIB = 2**30


class Meters:
    """Measures the bed's nodes: each instance uses what its Unit's name is told to use, in cores."""

    def __init__(self, bed: fleetbed.Bed, use: dict[str, float]) -> None:
        self._bed = bed
        self._use = use

    def serves(self, node: str) -> bool:
        return True

    async def carry_out(self, node: str, order: tunnel.Order, channels: streams.Channels) -> bytes:
        here = [each for each in self._bed.all(pod.Pod) if each.spec.nodeName == node]
        containers = [
            tunnel.ContainerReport(
                namespace="default",
                pod=each.metadata.name,
                container="main",
                cpu=self._use.get(each.metadata.name.rpartition("-")[0], 0.0),
                memory=GIB // 4,
            )
            for each in here
        ]
        report = tunnel.UsageReport(
            at=0.0,
            seconds=10.0,
            cpu=sum(each.cpu for each in containers),
            memory=sum(each.memory for each in containers),
            containers=containers,
        )
        await channels.send(tunnel.Channel.STDOUT, b"")
        await channels.send(tunnel.Channel.STDOUT, msgspec.json.encode(report))
        return tunnel.success()


@contextlib.asynccontextmanager
async def crowded(folder: pathlib.Path, use: dict[str, float]) -> AsyncIterator[fleetbed.Bed]:
    """A host with an instance of each Unit, and a second one that came later."""
    async with fleetbed.bed(folder, QUICK) as bed:
        bed.server.app.agents.elsewhere = Meters(bed, use)
        for name in use:
            await bed.apply(fleetbed.unit_yaml(name, asks="cpu: 500m"))
        await bed.until(lambda: len([each for each in bed.all(pod.Pod) if each.spec.nodeName]) == len(use))
        second = await bed.add_agent("node-2")
        assert second.name == "node-2"
        yield bed


def where(bed: fleetbed.Bed) -> dict[str, str]:
    return {each.metadata.name: each.spec.nodeName for each in bed.all(pod.Pod)}


@pytest.mark.anyio
async def test_a_busy_host_gives_what_evens_out_and_no_more(tmp_path: pathlib.Path) -> None:
    async with crowded(tmp_path, {"big": 1.8, "mid": 1.5, "small": 0.4}) as bed:
        assert set(where(bed).values()) == {"node-1"}
        await bed.api.patch(cluster.Cluster, "local", {"spec": {"rebalance": {"mode": "Even"}}})
        await bed.until(lambda: sorted(where(bed).values()) == ["node-1", "node-1", "node-2"])
        assert where(bed)["big-0"] == "node-2"
        await bed.until(lambda: bed.events("Rebalanced"))
        said = [each for each in bed.all(event.Event) if each.reason == "Rebalanced"]
        assert len(said) == 1
        assert "is 92% in use" in said[0].message
        # What is even stays as it is, and hosts that were to be avoided are no longer.
        await bed.until(lambda: not any(each.spec.taints for each in bed.all(node.Node)))


@pytest.mark.anyio
async def test_consolidation_empties_a_host_and_keeps_new_instances_off_it(tmp_path: pathlib.Path) -> None:
    async with crowded(tmp_path, {"one": 0.2, "two": 0.2}) as bed:
        await bed.apply(fleetbed.unit_yaml("three", asks="cpu: 400m"))
        await bed.until(lambda: where(bed).get("three-0") == "node-2")
        await bed.api.patch(cluster.Cluster, "local", {"spec": {"rebalance": {"mode": "Consolidate"}}})
        await bed.until(
            lambda: len(set(where(bed).values())) == 1 and len(where(bed)) == 3 and "" not in where(bed).values()
        )
        await bed.until(lambda: [each for each in bed.all(node.Node) if each.spec.taints])


@pytest.mark.anyio
async def test_what_may_not_be_moved_stays(tmp_path: pathlib.Path) -> None:
    async with crowded(tmp_path, {"big": 1.8, "mid": 1.8}) as bed:
        windows = [{"start": "00:00", "minutes": 1, "days": ["Mon"]}, {"start": "00:00", "minutes": 1, "days": ["Tue"]}]
        change = {"spec": {"rebalance": {"mode": "Even", "windows": windows}}}
        await bed.api.patch(cluster.Cluster, "local", change)
        # It is seen to be busy, which needs no window, and nothing leaves it.
        await bed.until(lambda: [each for each in bed.all(node.Node) if each.spec.taints])
        assert set(where(bed).values()) == {"node-1"}
        assert not bed.events("Rebalanced")
