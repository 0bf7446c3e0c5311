"""Names for the name server, from a real API in process."""

import asyncio
import pathlib

import pytest

from boxfleet.agent import network as upkeep
from boxfleet.api import address, address_pool, meta
from boxfleet.kit import clock
from boxfleet.ports import network
from boxfleet.testing import network as memory
from boxfleet.testing import server

pytestmark = pytest.mark.anyio


class Host:
    """A network that is always fine."""

    async def prepare(self, pools: list[network.PoolNetwork]) -> None: ...

    async def missing(self) -> str:
        return ""

    async def assign(self, *, namespace: str, name: str, address: str, pool: str) -> None: ...

    async def unassign(self, *, namespace: str, name: str) -> None: ...

    async def remove(self) -> None: ...


class Names:
    """A name server that remembers what it was given."""

    address = "10.88.0.1"

    def __init__(self) -> None:
        self.published: list[frozenset[network.Record]] = []
        self.told = asyncio.Event()

    async def start(self, *, address: str, domain: str) -> None: ...

    async def publish(self, records: frozenset[network.Record]) -> None:
        self.published.append(records)
        self.told.set()

    async def stop(self) -> None: ...


class Held(clock.SystemClock):
    """A clock whose sleepers wake when the test lets them."""

    def __init__(self) -> None:
        self.sleeping = asyncio.Event()
        self.over = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.sleeping.set()
        await self.over.wait()


async def test_names_that_change_right_after_others_are_published_together(tmp_path: pathlib.Path) -> None:
    async with server.running(tmp_path) as api:
        pool = address_pool.AddressPoolSpec(cidr="10.88.0.0/24")
        await api.admin.create(address_pool.AddressPool(metadata=meta.ObjectMeta(name="default"), spec=pool))
        names, held = Names(), Held()
        given = upkeep.Upkeep(
            api.admin, Host(), names, clock=held, domain="fleet.internal", memory=tmp_path / "pools.json"
        )
        task = asyncio.create_task(given.run())
        try:
            await held.sleeping.wait()
            before = len(names.published)
            for number in range(10, 20):
                spec = address.AddressSpec(
                    pool="default",
                    namespace="ns",
                    instance=f"i-{number}",
                    domain=f"i-{number}.fleet.internal",
                    reserved=True,
                )
                made = await api.admin.create(
                    address.Address(metadata=meta.ObjectMeta(name=f"10.88.0.{number}"), spec=spec)
                )
                made.status = address.AddressStatus(phase="Bound", ready=True)
                await api.admin.replace(made, subresource="status")
            async with asyncio.timeout(20):
                while sum(each.status.ready for each in given.addresses) < 10:
                    await asyncio.sleep(0.005)
            assert len(names.published) == before
            names.told.clear()
            held.over.set()
            async with asyncio.timeout(20):
                await names.told.wait()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert len(names.published) == before + 1
        assert {each.name for each in names.published[-1]} >= {f"i-{number}.fleet.internal" for number in range(10, 20)}


async def test_what_is_taken_from_the_network_is_made_again_or_told(tmp_path: pathlib.Path) -> None:
    async with server.running(tmp_path) as api:
        pool = address_pool.AddressPoolSpec(cidr="10.88.0.0/24")
        await api.admin.create(address_pool.AddressPool(metadata=meta.ObjectMeta(name="default"), spec=pool))
        host, names = memory.MemoryNetwork(), memory.MemoryNames()
        given = upkeep.Upkeep(
            api.admin,
            host,
            names,
            clock=clock.SystemClock(),
            domain="fleet.internal",
            memory=tmp_path / "pools.json",
            check=0.02,
        )
        told: list[str] = []
        given.listen(lambda: told.append(given.fault))
        task = asyncio.create_task(given.run())
        try:
            async with asyncio.timeout(20):
                await given.ready.wait()
                host.damage = "there is no bridge boxfleet0"
                while host.damage:
                    await asyncio.sleep(0.005)
                assert not given.fault
                told.clear()
                host.failure = network.NetworkFault("boxfleet0 is there and is no bridge")
                host.damage = "boxfleet0 is no bridge"
                while not told:
                    await asyncio.sleep(0.005)
            assert told == ["cannot prepare the network of this host: boxfleet0 is there and is no bridge"]
            # It is tried again until it works.
            async with asyncio.timeout(20):
                while given.fault:
                    await asyncio.sleep(0.01)
            assert not host.damage
            assert told[-1] == ""
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
