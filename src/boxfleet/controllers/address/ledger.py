"""Step 1: what is taken, and claiming what is not."""

import dataclasses
from collections.abc import Iterator, Sequence

import msgspec

from boxfleet.api import address, address_pool, labels, meta
from boxfleet.client import cache, client, errors
from boxfleet.controllers import caches
from boxfleet.controllers.address import pool as pool_status
from boxfleet.kit import clock, tasks
from boxfleet.planning import addresses

# Seconds after the start, or after a claim with unknown outcome, in which the server is asked besides the cache:
# an answer that was lost may still become an object.
_DOUBT = 10.0
# Seconds after which a claim that the cache never showed is taken to be gone again.
_UNSEEN = 30.0


class PoolFull(Exception):
    """No address is free; the text says what to do."""


@dataclasses.dataclass(frozen=True, slots=True)
class Claim:
    """Who wants an address; a host has it by what is said in the metadata."""

    spec: address.AddressSpec
    metadata: meta.ObjectMeta = dataclasses.field(default_factory=meta.ObjectMeta)

    @property
    def instance(self) -> str:
        """Namespace and name of the instance, as the cache's index has it."""
        host = self.metadata.annotations.get(labels.HOST_OF, "")
        return f"host/{host}/{self.spec.pool}" if host else f"{self.spec.namespace}/{self.spec.instance}"


class Ledger:
    """Claims addresses. One per process; several processes are told apart by the server, since names are unique."""

    def __init__(
        self,
        api: client.Client,
        known: cache.Cache[address.Address],
        *,
        clock: clock.Clock,
        concurrency: int,
        selects: bool = True,
    ) -> None:
        """`selects`: the server finds Addresses by their fields; others are asked for all of them."""
        self._api = api
        self._known = known
        self._clock = clock
        self._concurrency = concurrency
        self._selects = selects
        self._taken: set[int] = set()
        # Claimed by us and not in the cache yet: number and moment, by instance.
        self._fresh: dict[str, tuple[int, float]] = {}
        self._reserved: set[int] = set()
        self._under_way: set[str] = set()
        self._doubt_until = clock.monotonic() + _DOUBT
        known.listen(self._changed)

    def holds(self, instance: str) -> str:
        """The address that an instance has, or nothing."""
        found = self._known.by_index(caches.INSTANCE, instance)
        if found:
            return min(found, key=caches.order).metadata.name
        fresh = self._fresh.get(instance)
        if fresh is None:
            return ""
        if self._clock.monotonic() - fresh[1] > _UNSEEN:
            del self._fresh[instance]
            self._reserved.discard(fresh[0])
            return ""
        return addresses.text_of(fresh[0])

    def has(self, instance: str, name: str) -> bool:
        """Whether that very address is the instance's."""
        held = self._known.by_index(caches.INSTANCE, instance)
        return self.holds(instance) == name or any(each.metadata.name == name for each in held)

    def reserved(self, instance: str) -> address.Address | None:
        """The address that somebody reserved for an instance by hand."""
        return next((each for each in self._known.by_index(caches.INSTANCE, instance) if each.spec.reserved), None)

    async def claim(self, pools: Sequence[address_pool.AddressPool], claims: Sequence[Claim], *, selector: str) -> None:
        """Give every claim an address unless it has one, from the first pool that has any.

        `selector` is the field selector that finds the claims' Addresses at the server. Raises PoolFull after
        giving out what there was, and ApiError.
        """
        wanted = [each for each in claims if each.instance not in self._under_way and not self.holds(each.instance)]
        if not wanted:
            return
        self._under_way.update(each.instance for each in wanted)
        try:
            if self._clock.monotonic() < self._doubt_until:
                listing = await self._api.list(address.Address, fields=selector if self._selects else "")
                there = {f"{each.spec.namespace}/{each.spec.instance}" for each in listing.items}
                wanted = [each for each in wanted if each.instance not in there]
            free = self._free(pools)
            await tasks.gather((self._one(each, pools, free) for each in wanted), limit=self._concurrency)
        finally:
            self._under_way.difference_update(each.instance for each in claims)

    async def claim_exactly(self, pools: Sequence[address_pool.AddressPool], claim: Claim, wish: str) -> bool:
        """Claim one certain address; False when it is taken or in no pool."""
        number = addresses.number_of(wish)
        if number is None or number in self._taken or number in self._reserved:
            return False
        for pool in pools:
            try:
                inside = number in addresses.range_of(pool.spec)
            except addresses.PoolError:
                continue
            if inside:
                return await self._create(Claim(msgspec.structs.replace(claim.spec, pool=pool.metadata.name)), number)
        return False

    def _free(self, pools: Sequence[address_pool.AddressPool]) -> Iterator[tuple[str, int]]:
        for pool in pools:
            try:
                numbers = addresses.range_of(pool.spec)
            except addresses.PoolError:
                # Said in the pool's own status; the next one may do.
                continue
            for number in addresses.lowest_free(numbers, self._taken):
                if number not in self._reserved:
                    yield pool.metadata.name, number

    async def _one(
        self, claim: Claim, pools: Sequence[address_pool.AddressPool], free: Iterator[tuple[str, int]]
    ) -> None:
        for pool, number in free:
            if await self._create(
                dataclasses.replace(claim, spec=msgspec.structs.replace(claim.spec, pool=pool)), number
            ):
                return
        raise PoolFull(pool_status.advice(pools))

    async def _create(self, claim: Claim, number: int) -> bool:
        # Reserved before the first await, so that no other claim of this process tries the same.
        self._reserved.add(number)
        metadata = msgspec.structs.replace(claim.metadata, name=addresses.text_of(number))
        made = address.Address(metadata=metadata, spec=claim.spec)
        try:
            await self._api.create(made)
        except errors.AlreadyExists:
            self._taken.add(number)
            self._reserved.discard(number)
            return False
        except BaseException:
            # The object may be there all the same.
            self._doubt_until = self._clock.monotonic() + _DOUBT
            self._reserved.discard(number)
            raise
        if number in self._taken:
            # The cache was faster than the answer.
            self._reserved.discard(number)
        else:
            self._fresh[claim.instance] = (number, self._clock.monotonic())
        return True

    def _changed(self, old: address.Address | None, new: address.Address | None) -> None:
        subject = new or old
        number = addresses.number_of(subject.metadata.name) if subject is not None else None
        if subject is None or number is None:
            return
        if new is None:
            self._taken.discard(number)
        else:
            self._taken.add(number)
        self._reserved.discard(number)
        instance = f"{subject.spec.namespace}/{subject.spec.instance}"
        if (fresh := self._fresh.get(instance)) is not None and fresh[0] == number:
            del self._fresh[instance]
