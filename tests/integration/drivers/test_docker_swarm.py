"""The docker driver does on a Swarm what every driver must, and what only a Swarm needs."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest

from boxfleet.api import cluster as clusters
from boxfleet.api import tunnel
from boxfleet.drivers.docker import driver as docker_driver
from boxfleet.kit import clock
from boxfleet.ports import cluster, streams
from boxfleet.testing import docker, tools
from boxfleet.testing.conformance import cluster as suite

pytestmark = [pytest.mark.machine, pytest.mark.skipif(not docker.is_there(), reason="this machine lacks dockerd")]

# An overlay's addresses cannot be reached from outside: ports are, through a program of the container. The registry
# refuses at once, since a Swarm asks for every image before it takes its own.
IMAGE = "127.0.0.1:1/tools:1"


@pytest.fixture(scope="module")
def manager() -> Iterator[docker.Engine]:
    engine = docker.Engine()
    try:
        asyncio.run(engine.start())
        engine.load(IMAGE, tools.files("/bin/bash"), tools.CONFIG)
        engine.begin_swarm()
        yield engine
    finally:
        asyncio.run(engine.stop())
    assert engine.leftovers() == []


@pytest.fixture
async def bed(manager: docker.Engine) -> AsyncIterator[suite.Bed]:
    line = docker.Line(manager)

    def driver(fleet: str = "fleet") -> docker_driver.Driver:
        access = clusters.DockerAccess(host=line.host, network="" if fleet == "fleet" else "bridge")
        return docker_driver.Driver(access, fleet=fleet, credentials={}, clock=clock.SystemClock())

    @contextlib.asynccontextmanager
    async def occupy(namespace: str, unit: str) -> AsyncIterator[None]:
        name = f"{namespace}_{unit}-0"
        await asyncio.to_thread(manager.docker, "service", "create", "--detach", "--name", name, "--replicas=0", IMAGE)
        try:
            yield
        finally:
            await asyncio.to_thread(manager.docker, "service", "rm", name)

    async def traces(namespace: str, unit: str) -> Sequence[str]:
        def found() -> list[str]:
            words: list[str] = []
            for kind in ("service", "config", "secret"):
                template = "{{.ID}} {{.Name}}"
                listed = manager.docker(kind, "ls", "--filter", "label=boxfleet.dev/fleet=fleet", "--format", template)
                for line in listed.splitlines():
                    format = "{{json .Spec.Labels}}"
                    table = manager.docker(kind, "inspect", "--format", format, line.split()[0])
                    if f'"boxfleet.dev/namespace":"{namespace}"' in table and f'"boxfleet.dev/unit":"{unit}"' in table:
                        words.append(line)
            return words

        return await asyncio.to_thread(found)

    async def kill(namespace: str, name: str) -> None:
        filters = (
            "--filter",
            f"label=boxfleet.dev/pod={name}",
            "--filter",
            f"label=boxfleet.dev/namespace={namespace}",
        )
        ids = (await asyncio.to_thread(manager.docker, "ps", "-q", *filters)).split()
        await asyncio.to_thread(manager.docker, "rm", "-f", *ids)

    with manager.inside():
        async with line, suite.followed(driver()) as followed:
            yield dataclasses.replace(
                _bed(followed),
                again=driver,
                stranger=lambda: driver("other"),
                cut=line.cut,
                occupy=occupy,
                traces=traces,
                kill=kill,
            )


def _bed(driver: cluster.Cluster) -> suite.Bed:
    async def nothing(*_: str) -> list[str]:
        return []

    async def untouched(*_: str) -> None:
        return

    return suite.Bed(
        driver=driver,
        image=IMAGE,
        server=tools.server,
        again=lambda: driver,
        stranger=lambda: driver,
        cut=contextlib.AsyncExitStack,
        occupy=lambda *_: contextlib.AsyncExitStack(),
        traces=nothing,
        kill=untouched,
        impossible=({"hostPID": True}, "hostPID"),
        claims=False,
        files_in_place=False,
    )


@pytest.fixture
def worker(manager: docker.Engine) -> Iterator[docker.Engine]:
    """A second host of the Swarm, for as long as a test."""
    engine = docker.Engine()
    try:
        asyncio.run(engine.start())
        engine.load(IMAGE, tools.files("/bin/bash"), tools.CONFIG)
        engine.join(manager)
        yield engine
    finally:
        manager.docker("node", "update", "--availability=active", manager.node_id)
        if engine.node_id:
            manager.docker("node", "rm", "--force", engine.node_id)
        asyncio.run(engine.stop())
    assert engine.leftovers() == []


def test_on_another_host(manager: docker.Engine, worker: docker.Engine) -> None:
    """Its logs are read, its commands are refused; a host that is drained is left, by the Swarm's own hand."""
    manager.docker("node", "update", "--availability=drain", manager.node_id)
    with manager.inside():
        asyncio.run(_on_another_host(manager, worker))


async def _on_another_host(manager: docker.Engine, worker: docker.Engine) -> None:
    access = clusters.DockerAccess(host=manager.host)
    driver = docker_driver.Driver(access, fleet="fleet", credentials={}, clock=clock.SystemClock())
    async with suite.followed(driver):
        bed = _bed(driver)
        share = bed.share("moved", command=("sh", "-c", "echo I am here; while :; do sleep 1; done"))
        async with bed.delivered(share) as [one]:
            nodes = {each.info["machineID"]: each for each in driver.nodes()}
            assert set(nodes) == {manager.node_id, worker.node_id}
            assert nodes[manager.node_id].unschedulable and not nodes[worker.node_id].unschedulable
            assert one.node == nodes[worker.node_id].name != nodes[manager.node_id].name
            order = tunnel.LogOrder(namespace=one.namespace, pod=one.name, uid=one.uid, container="main")
            channels = suite.Recorded()
            async with asyncio.timeout(60):
                while channels.said(tunnel.Channel.STDOUT) != b"I am here\n":
                    channels = suite.Recorded()
                    await driver.stream(order, channels)
            with pytest.raises(streams.Refusal, match=f"is on the host {one.node} of the Swarm"):
                await bed.run(one, "echo")
            with pytest.raises(cluster.Unsupported, match=f"not on {one.node}"):
                await driver.usage(one.node)
            update = ("node", "update", "--availability")
            await asyncio.to_thread(manager.docker, *update, "active", manager.node_id)
            await asyncio.to_thread(manager.docker, *update, "drain", worker.node_id)
            home = nodes[manager.node_id].name
            [after] = await bed.until(
                share.key, lambda now: [(each.node, suite.is_ready(each)) for each in now] == [(home, True)]
            )
            assert after.incarnation != one.incarnation
            assert await bed.run(after, "echo", "hello") == "hello\n"
            assert (await driver.usage(home)).containers


class TestSwarm(suite.ClusterConformance, suite.RunningConformance):
    @pytest.mark.skip(reason="a Swarm has no hooks, and says so")
    async def test_hooks_run(self, bed: suite.Bed) -> None: ...
