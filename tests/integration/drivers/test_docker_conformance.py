"""The docker driver does on a real engine what every driver must."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest

from boxfleet.api import cluster as clusters
from boxfleet.drivers.docker import driver as docker_driver
from boxfleet.kit import clock
from boxfleet.testing import docker, tools
from boxfleet.testing.conformance import cluster as suite

pytestmark = [pytest.mark.machine, pytest.mark.skipif(not docker.is_there(), reason="this machine lacks dockerd")]


@pytest.fixture
async def bed(engine: docker.Engine) -> AsyncIterator[suite.Bed]:
    line = docker.Line(engine)

    def driver(fleet: str = "fleet") -> docker_driver.Driver:
        access = clusters.DockerAccess(host=line.host)
        return docker_driver.Driver(access, fleet=fleet, credentials={}, clock=clock.SystemClock())

    @contextlib.asynccontextmanager
    async def occupy(namespace: str, unit: str) -> AsyncIterator[None]:
        name = f"{namespace}_{unit}-0_main"
        await asyncio.to_thread(engine.docker, "create", "--name", name, tools.IMAGE)
        try:
            yield
        finally:
            await asyncio.to_thread(engine.docker, "rm", "-f", name)

    async def traces(namespace: str, unit: str) -> Sequence[str]:
        filters = [
            word
            for name, value in (("fleet", "fleet"), ("namespace", namespace), ("unit", unit))
            for word in ("--filter", f"label=boxfleet.dev/{name}={value}")
        ]
        containers = await asyncio.to_thread(engine.docker, "ps", "-aq", *filters)
        volumes = await asyncio.to_thread(engine.docker, "volume", "ls", "-q", *filters)
        return [*containers.split(), *volumes.split()]

    async def kill(namespace: str, name: str) -> None:
        await asyncio.to_thread(engine.docker, "rm", "-f", f"{namespace}_{name}_main")

    with engine.inside():
        async with line, suite.followed(driver()) as followed:
            yield suite.Bed(
                driver=followed,
                image=tools.IMAGE,
                server=tools.server,
                again=driver,
                stranger=lambda: driver("other"),
                cut=line.cut,
                occupy=occupy,
                traces=traces,
                kill=kill,
                impossible=({"activeDeadlineSeconds": 5}, "activeDeadlineSeconds"),
            )


class TestDocker(suite.ClusterConformance, suite.RunningConformance):
    pass
