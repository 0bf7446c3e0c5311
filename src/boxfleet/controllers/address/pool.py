"""Step 4: how full a pool is."""

from collections.abc import Sequence

from boxfleet.api import address_pool
from boxfleet.planning import addresses, conditions


def status(
    subject: address_pool.AddressPool, *, used: int, shadow: str, hosts: list[address_pool.PoolHost], now: str
) -> address_pool.AddressPoolStatus:
    """The pool's status for that many addresses in use; `shadow` says which older pool it gets in the way of."""
    said = conditions.Conditions(subject.status.conditions, now=now)
    try:
        capacity = addresses.range_of(subject.spec).capacity
    except addresses.PoolError as error:
        said.put("Available", "False", "InvalidPool", str(error))
        capacity = 0
    else:
        if shadow:
            said.put("Available", "False", "Overlaps", f"nothing is handed out: {shadow}, or delete this one")
        elif used < capacity:
            said.put("Available", "True", "HasFreeAddresses", "addresses are free")
        else:
            said.put(
                "Available",
                "False",
                "PoolFull",
                f"{used} of {capacity} addresses are in use: {advice([subject])}",
            )
    return address_pool.AddressPoolStatus(
        observedGeneration=subject.metadata.generation,
        capacity=capacity,
        used=used,
        free=max(0, capacity - used),
        hosts=hosts,
        conditions=said.items,
    )


def is_older(one: address_pool.AddressPool, other: address_pool.AddressPool) -> bool:
    """Whether a pool was made before another; of two within a second, the names decide."""
    first, second = one.metadata, other.metadata
    return (first.creationTimestamp, first.name) < (second.creationTimestamp, second.name)


def advice(pools: Sequence[address_pool.AddressPool]) -> str:
    """What is full, and what to do about it."""
    names = ", ".join(f"AddressPool {each.metadata.name} ({each.spec.cidr})" for each in pools)
    return (
        f"{names} has no free address: delete or scale down what is not needed, widen start, end or exclude with "
        f"`kubectl edit addresspool {pools[0].metadata.name}`, or create another AddressPool"
    )
