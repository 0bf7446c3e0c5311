"""What every host network and every name server must do."""

import dataclasses
from collections.abc import Awaitable, Callable

import pytest

from boxfleet.ports import network


@dataclasses.dataclass(slots=True, kw_only=True)
class NetworkBed:
    """A network, not prepared; `given` tells which address a sandbox would get now, None for none."""

    driver: network.HostNetwork
    pool: network.PoolNetwork
    # Two addresses of the pool.
    addresses: tuple[str, str]
    given: Callable[[str, str], Awaitable[str | None]]


@pytest.mark.anyio
class NetworkConformance:
    """Inherit, and give a fixture `bed`."""

    async def test_an_assigned_address_is_given(self, bed: NetworkBed) -> None:
        """Until it is changed or taken back."""
        first, second = bed.addresses
        await bed.driver.prepare([bed.pool])
        await bed.driver.prepare([bed.pool])
        assert await bed.given("ns", "a") is None
        await bed.driver.assign(namespace="ns", name="a", address=first, pool=bed.pool.name)
        await bed.driver.assign(namespace="ns", name="a", address=first, pool=bed.pool.name)
        assert await bed.given("ns", "a") == first
        assert await bed.given("ns", "b") is None
        await bed.driver.assign(namespace="ns", name="a", address=second, pool=bed.pool.name)
        assert await bed.given("ns", "a") == second
        await bed.driver.unassign(namespace="ns", name="a")
        await bed.driver.unassign(namespace="ns", name="a")
        assert await bed.given("ns", "a") is None

    async def test_nothing_is_missing_of_what_was_prepared(self, bed: NetworkBed) -> None:
        """Before, there is nothing that could be."""
        assert await bed.driver.missing() == ""
        await bed.driver.prepare([bed.pool])
        assert await bed.driver.missing() == ""

    @pytest.mark.parametrize("address", ["10.255.0.1", "gateway", "x", ""])
    async def test_a_wrong_address_is_refused(self, bed: NetworkBed, address: str) -> None:
        """Out of the range, the gateway's, or none at all."""
        await bed.driver.prepare([bed.pool])
        wrong = bed.pool.gateway if address == "gateway" else address
        with pytest.raises(network.NetworkFault, match="no address for an instance"):
            await bed.driver.assign(namespace="ns", name="a", address=wrong, pool=bed.pool.name)

    async def test_an_unknown_pool_is_refused(self, bed: NetworkBed) -> None:
        """By its name."""
        with pytest.raises(network.NetworkFault, match="elsewhere"):
            await bed.driver.assign(namespace="ns", name="a", address=bed.addresses[0], pool="elsewhere")

    @pytest.mark.parametrize("name", ["../a", "", ".", "a/b", "A", "a_b"])
    async def test_a_wrong_name_is_refused(self, bed: NetworkBed, name: str) -> None:
        """Names become files: no tricks with paths."""
        await bed.driver.prepare([bed.pool])
        with pytest.raises(network.NetworkFault, match="no name"):
            await bed.driver.assign(namespace="ns", name=name, address=bed.addresses[0], pool=bed.pool.name)
        with pytest.raises(network.NetworkFault, match="no name"):
            await bed.driver.assign(namespace=name, name="a", address=bed.addresses[0], pool=bed.pool.name)

    async def test_a_second_pool_is_refused_aloud(self, bed: NetworkBed) -> None:
        """And nothing changes."""
        await bed.driver.prepare([bed.pool])
        other = network.PoolNetwork(name="other", cidr="198.19.9.0/24", gateway="198.19.9.1", bridge="bfother0")
        with pytest.raises(network.NetworkFault, match="pools"):
            await bed.driver.prepare([bed.pool, other])
        await bed.driver.assign(namespace="ns", name="a", address=bed.addresses[0], pool=bed.pool.name)

    async def test_removal_forgets_everything(self, bed: NetworkBed) -> None:
        """And can be repeated."""
        await bed.driver.prepare([bed.pool])
        await bed.driver.assign(namespace="ns", name="a", address=bed.addresses[0], pool=bed.pool.name)
        await bed.driver.remove()
        await bed.driver.remove()
        await bed.driver.prepare([bed.pool])
        assert await bed.given("ns", "a") is None


@dataclasses.dataclass(slots=True, kw_only=True)
class NamesBed:
    """A name server, not started; `resolve` asks what runs, and gives the addresses in order."""

    names: network.NameServer
    address: str
    domain: str
    resolve: Callable[[str], Awaitable[list[str]]]


@pytest.mark.anyio
class NamesConformance:
    """Inherit, and give a fixture `bed`."""

    async def test_published_names_are_right_at_once(self, bed: NamesBed) -> None:
        """New ones answer, changed ones change, and removed ones are gone when `publish` returns."""
        a, b = f"a.box.ns.{bed.domain}", f"b.box.ns.{bed.domain}"
        assert bed.names.address == ""
        await bed.names.start(address=bed.address, domain=bed.domain)
        assert bed.names.address == bed.address
        assert await bed.resolve(a) == []
        await bed.names.publish(frozenset({network.Record(a, "198.18.0.5"), network.Record(a, "198.18.0.6")}))
        assert await bed.resolve(a) == ["198.18.0.5", "198.18.0.6"]
        await bed.names.publish(frozenset({network.Record(a, "198.18.0.6"), network.Record(b, "198.18.0.7")}))
        assert await bed.resolve(a) == ["198.18.0.6"]
        assert await bed.resolve(b) == ["198.18.0.7"]
        await bed.names.publish(frozenset())
        assert await bed.resolve(a) == []
        assert await bed.resolve(b) == []

    async def test_names_outlive_the_server(self, bed: NamesBed) -> None:
        """A restarted one knows them without being told."""
        a = f"a.box.ns.{bed.domain}"
        await bed.names.start(address=bed.address, domain=bed.domain)
        await bed.names.publish(frozenset({network.Record(a, "198.18.0.5")}))
        await bed.names.stop()
        assert bed.names.address == ""
        await bed.names.start(address=bed.address, domain=bed.domain)
        assert await bed.resolve(a) == ["198.18.0.5"]

    @pytest.mark.parametrize("name", ["", "a b", "a\n198.18.0.9 b", "A", "a..b"])
    async def test_a_wrong_name_is_refused(self, bed: NamesBed, name: str) -> None:
        """Nothing that would become another line of a file; the others stay."""
        await bed.names.start(address=bed.address, domain=bed.domain)
        good = f"good.{bed.domain}"
        await bed.names.publish(frozenset({network.Record(good, "198.18.0.5")}))
        with pytest.raises(network.NetworkFault, match="no domain name"):
            await bed.names.publish(frozenset({network.Record(name, "198.18.0.5")}))
        assert await bed.resolve(good) == ["198.18.0.5"]
