"""The stand-ins in memory do what their ports promise."""

import asyncio
import contextlib
import pathlib
from collections.abc import AsyncIterator, Sequence

import pytest

from boxfleet.api import meta
from boxfleet.ports import cluster, network, provider, runtime
from boxfleet.testing import clusters as memory_clusters
from boxfleet.testing import network as memory_network
from boxfleet.testing import providers as memory_providers
from boxfleet.testing import runtime as memory_runtime
from boxfleet.testing.conformance import cluster as cluster_suite
from boxfleet.testing.conformance import network as network_suite
from boxfleet.testing.conformance import provider as provider_suite
from boxfleet.testing.conformance import runtime as runtime_suite

POOL = network.PoolNetwork(name="default", cidr="198.18.0.0/24", gateway="198.18.0.1", bridge="bfdrv0")


async def _nothing(config: runtime.SandboxConfig) -> None:
    return None


class TestMemoryRuntime(runtime_suite.RuntimeConformance):
    @pytest.fixture
    def bed(self, tmp_path: pathlib.Path) -> runtime_suite.Bed:
        images = memory_runtime.MemoryImages(["boxfleet.local/tools:1"])
        return runtime_suite.Bed(
            engine=memory_runtime.MemoryRuntime(images),
            images=images,
            image="boxfleet.local/tools:1",
            logs=tmp_path,
            assign=_nothing,
        )


class TestMemoryNetwork(network_suite.NetworkConformance):
    @pytest.fixture
    def bed(self) -> network_suite.NetworkBed:
        memory = memory_network.MemoryNetwork()

        async def given(namespace: str, name: str) -> str | None:
            return memory.assigned.get((namespace, name))

        return network_suite.NetworkBed(driver=memory, pool=POOL, addresses=("198.18.0.10", "198.18.0.11"), given=given)


class TestMemoryNames(network_suite.NamesConformance):
    @pytest.fixture
    def bed(self) -> network_suite.NamesBed:
        names = memory_network.MemoryNames()

        async def resolve(name: str) -> list[str]:
            return names.resolve(name)

        return network_suite.NamesBed(names=names, address="198.18.0.1", domain="fleet.test", resolve=resolve)


class TestMemoryProvider(provider_suite.ProviderConformance):
    @pytest.fixture
    def bed(self) -> provider_suite.ProviderBed:
        cloud = memory_providers.MemoryCloud()

        def sell_out() -> None:
            cloud.stock = 0

        def refuse() -> None:
            cloud.failures["create"] = [provider.Refused("not this one")]

        def silence() -> None:
            cloud.silent = asyncio.Event()

        return provider_suite.ProviderBed(
            driver=cloud.provider(),
            again=cloud.provider,
            stranger=lambda: cloud.provider(fleet="other"),
            neighbour=lambda: cloud.provider(pool="other"),
            sell_out=sell_out,
            refuse=refuse,
            silence=silence,
        )


class TestMemoryCluster(cluster_suite.ClusterConformance):
    @pytest.fixture
    async def bed(self) -> AsyncIterator[cluster_suite.Bed]:
        place = memory_clusters.MemoryCluster()

        @contextlib.asynccontextmanager
        async def cut() -> AsyncIterator[None]:
            with place.cut():
                yield

        @contextlib.asynccontextmanager
        async def occupy(namespace: str, name: str) -> AsyncIterator[None]:
            place.foreign.add(meta.Key(namespace, name))
            yield
            place.foreign.clear()

        async def traces(namespace: str, name: str) -> Sequence[str]:
            key = meta.Key(namespace, name)
            return [str(share) for (_, each), share in place.shares.items() if each == key]

        async def kill(namespace: str, name: str) -> None:
            place.kill(meta.Key(namespace, name))

        async with cluster_suite.followed(place.driver()) as driver:
            yield cluster_suite.Bed(
                driver=driver,
                image="boxfleet.local/tools:1",
                server=lambda _: [],
                again=place.driver,
                stranger=lambda: place.driver("other"),
                cut=cut,
                occupy=occupy,
                traces=traces,
                kill=kill,
                impossible=({"nodeName": "node-a"}, "nodeName"),
            )


@pytest.mark.anyio
async def test_a_cluster_that_is_lost_says_so() -> None:
    place = memory_clusters.MemoryCluster()
    driver = place.driver()
    with place.cut(), pytest.raises(cluster.Unreachable):
        await driver.run(lambda _: None)
    place.denied = "the token has expired"
    with pytest.raises(cluster.Denied, match="expired"):
        await driver.check()


@pytest.mark.anyio
async def test_a_runtime_that_is_down_says_so() -> None:
    engine = memory_runtime.MemoryRuntime(memory_runtime.MemoryImages())
    engine.down = True
    with pytest.raises(runtime.Unavailable):
        await engine.version()


@pytest.mark.anyio
async def test_a_planned_failure_comes_once() -> None:
    engine = memory_runtime.MemoryRuntime(memory_runtime.MemoryImages())
    engine.failures["run_sandbox"] = runtime.RuntimeFault("no")
    config = runtime.SandboxConfig(name="a", namespace="n", uid="u")
    with pytest.raises(runtime.RuntimeFault, match="no"):
        await engine.run_sandbox(config)
    assert await engine.run_sandbox(config)
