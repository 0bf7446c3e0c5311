"""What every provider of machines must do."""

import asyncio
import dataclasses
from collections.abc import Callable

import pytest

from boxfleet.ports import provider


@dataclasses.dataclass(slots=True, kw_only=True)
class ProviderBed:
    """A provider that has machines; what a driver cannot tell of itself is given as functions."""

    driver: provider.Provider
    # A further driver of the same fleet and pool: what a server has that was killed and started anew.
    again: Callable[[], provider.Provider]
    # Drivers on the same machines, of another fleet and of another pool.
    stranger: Callable[[], provider.Provider]
    neighbour: Callable[[], provider.Provider]
    # Have no machine more; refuse the next order; be silent for as long as the driver waits.
    sell_out: Callable[[], None]
    refuse: Callable[[], None]
    silence: Callable[[], None]


def order(name: str) -> provider.Order:
    """A machine that is wanted."""
    join = provider.Join(server="https://192.0.2.1:7443", authority="sha256:00", token="abc123.secret")  # noqa: S106
    return provider.Order(name=name, join=join, zone="z1", resources={"cpu": "4", "memory": "8Gi"}, labels={"a": "b"})


async def names(driver: provider.Provider) -> list[str]:
    """Its machines."""
    return sorted(each.name for each in await driver.list())


@pytest.mark.anyio
class ProviderConformance:
    """Inherit, and give a fixture `bed`."""

    async def test_a_machine_is_made_shown_and_taken_away(self, bed: ProviderBed) -> None:
        """By its name."""
        assert await names(bed.driver) == []
        made = await bed.driver.create(order("pool-a"))
        assert made.name == "pool-a"
        await bed.driver.create(order("pool-b"))
        assert await names(bed.driver) == ["pool-a", "pool-b"]
        await bed.driver.delete("pool-a")
        assert await names(bed.driver) == ["pool-b"]
        await bed.driver.delete("pool-b")
        assert await names(bed.driver) == []

    async def test_the_same_name_is_the_same_machine(self, bed: ProviderBed) -> None:
        """Also for a server that was started anew, and for two that ask at once."""
        first, second = await asyncio.gather(bed.driver.create(order("pool-a")), bed.driver.create(order("pool-a")))
        third = await bed.again().create(order("pool-a"))
        assert first == second == third
        assert await names(bed.again()) == ["pool-a"]
        await bed.driver.delete("pool-a")

    async def test_what_is_not_there_is_deleted_without_fault(self, bed: ProviderBed) -> None:
        """Again and again."""
        await bed.driver.delete("pool-never")
        await bed.driver.create(order("pool-a"))
        await bed.driver.delete("pool-a")
        await bed.driver.delete("pool-a")
        assert await names(bed.driver) == []

    async def test_machines_of_others_are_neither_shown_nor_touched(self, bed: ProviderBed) -> None:
        """Of another fleet and of another pool."""
        await bed.driver.create(order("pool-a"))
        for other in (bed.stranger(), bed.neighbour()):
            assert await names(other) == []
            await other.delete("pool-a")
            with pytest.raises(provider.Refused):
                await other.create(order("pool-a"))
        assert await names(bed.driver) == ["pool-a"]
        await bed.driver.delete("pool-a")

    async def test_sold_out_makes_nothing_and_shows_what_there_is(self, bed: ProviderBed) -> None:
        """And a machine that is there is given still."""
        first = await bed.driver.create(order("pool-a"))
        bed.sell_out()
        with pytest.raises(provider.SoldOut):
            await bed.driver.create(order("pool-b"))
        assert await names(bed.driver) == ["pool-a"]
        assert await bed.driver.create(order("pool-a")) == first
        await bed.driver.delete("pool-a")

    async def test_a_refusal_is_told_as_such(self, bed: ProviderBed) -> None:
        """With words."""
        bed.refuse()
        with pytest.raises(provider.Refused, match=r"."):
            await bed.driver.create(order("pool-a"))
        assert await names(bed.driver) == []

    async def test_silence_is_bounded(self, bed: ProviderBed) -> None:
        """And says nothing of what was done."""
        bed.silence()
        with pytest.raises(provider.Unreachable):
            await bed.driver.list()

    async def test_nothing_secret_is_shown(self) -> None:
        """Not by what is logged of an order."""
        assert "secret" not in repr(order("a"))
