"""The stand-ins in memory do what their ports promise."""

import pathlib

import pytest

from boxfleet.ports import network, runtime
from boxfleet.testing import network as memory_network
from boxfleet.testing import runtime as memory_runtime
from boxfleet.testing.conformance import network as network_suite
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
