"""A provider of machines in memory, with the manners of the real ones."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Sequence

from boxfleet.ports import provider


async def _nothing(order: provider.Order) -> None:
    return None


async def _gone(name: str) -> None:
    return None


@dataclasses.dataclass(slots=True)
class _Kept:
    fleet: str
    pool: str
    machine: provider.Machine


class MemoryCloud:
    """Somebody who has machines; `provider` gives what speaks to it.

    `stock` is how many more it has. Put exceptions into `failures` under a method's name to make its next calls raise
    them, one each; `after` likewise, when the work was done but the answer gets lost. `created` and `deleted` list what
    was really made and taken away. `on_create` and `on_delete` are what a machine does when it starts and ends.
    """

    def __init__(
        self,
        *,
        stock: int = 1000,
        on_create: Callable[[provider.Order], Awaitable[None]] = _nothing,
        on_delete: Callable[[str], Awaitable[None]] = _gone,
    ) -> None:
        self.stock = stock
        self.on_create = on_create
        self.on_delete = on_delete
        self.failures: dict[str, list[Exception]] = {}
        self.after: dict[str, list[Exception]] = {}
        self.calls: list[tuple[str, str]] = []
        self.created: list[str] = []
        self.deleted: list[str] = []
        self.machines: dict[str, _Kept] = {}
        # While it is set, calls hang, for so many seconds at most.
        self.silent: asyncio.Event | None = None
        self.patience = 0.2

    def provider(self, *, fleet: str = "fleet", pool: str = "pool") -> "MemoryProvider":
        """What a pool of a fleet has of it."""
        return MemoryProvider(self, fleet=fleet, pool=pool)

    def add(self, name: str, *, fleet: str, pool: str) -> None:
        """Have a machine that nobody here asked for."""
        self.machines[name] = _Kept(fleet, pool, provider.Machine(name=name, id=f"id-{name}"))

    async def enter(self, method: str, what: str = "") -> None:
        """Begin a call."""
        self.calls.append((method, what))
        if self.silent is not None:
            try:
                async with asyncio.timeout(self.patience):
                    await self.silent.wait()
            except TimeoutError:
                raise provider.Unreachable("the cloud does not answer") from None
        if self.failures.get(method):
            raise self.failures[method].pop(0)

    def leave(self, method: str) -> None:
        """End one."""
        if self.after.get(method):
            raise self.after[method].pop(0)


class MemoryProvider:
    """Implements `ports.provider.Provider` on a `MemoryCloud`."""

    def __init__(self, cloud: MemoryCloud, *, fleet: str, pool: str) -> None:
        self._cloud = cloud
        self._mark = (fleet, pool)
        self.closed = False

    async def create(self, order: provider.Order) -> provider.Machine:
        """Take one from the stock."""
        cloud = self._cloud
        await cloud.enter("create", order.name)
        known = cloud.machines.get(order.name)
        if known is None:
            if cloud.stock <= 0:
                raise provider.SoldOut("no such machine is left")
            cloud.stock -= 1
            fleet, pool = self._mark
            cloud.add(order.name, fleet=fleet, pool=pool)
            cloud.created.append(order.name)
            known = cloud.machines[order.name]
            await cloud.on_create(order)
        elif (known.fleet, known.pool) != self._mark:
            raise provider.Refused(f"the name {order.name} belongs to somebody else")
        cloud.leave("create")
        return known.machine

    async def delete(self, name: str) -> None:
        """Put it back."""
        cloud = self._cloud
        await cloud.enter("delete", name)
        known = cloud.machines.get(name)
        if known is not None and (known.fleet, known.pool) == self._mark:
            del cloud.machines[name]
            cloud.stock += 1
            cloud.deleted.append(name)
            await cloud.on_delete(name)
        cloud.leave("delete")

    async def list(self) -> Sequence[provider.Machine]:
        """Ours."""
        await self._cloud.enter("list")
        return [each.machine for each in list(self._cloud.machines.values()) if (each.fleet, each.pool) == self._mark]

    async def close(self) -> None:
        """Remember it in `closed`."""
        self.closed = True
