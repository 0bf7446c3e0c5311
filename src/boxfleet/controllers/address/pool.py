"""Step 4: how full a pool is."""

from boxfleet.api import address_pool
from boxfleet.planning import addresses, conditions


def status(subject: address_pool.AddressPool, *, used: int, now: str) -> address_pool.AddressPoolStatus:
    """The pool's status for that many addresses in use."""
    said = conditions.Conditions(subject.status.conditions, now=now)
    try:
        capacity = addresses.range_of(subject.spec).capacity
    except addresses.PoolError as error:
        said.put("Available", "False", "InvalidPool", str(error))
        capacity = 0
    else:
        if used < capacity:
            said.put("Available", "True", "HasFreeAddresses", "addresses are free")
        else:
            said.put(
                "Available",
                "False",
                "PoolFull",
                f"AddressPool {subject.metadata.name} ({subject.spec.cidr}) has no free address ({used} of {capacity} "
                f"in use): delete or scale down what is not needed, or give the pool more room with "
                f"`kubectl edit addresspool {subject.metadata.name}`",
            )
    return address_pool.AddressPoolStatus(
        observedGeneration=subject.metadata.generation,
        capacity=capacity,
        used=used,
        free=max(0, capacity - used),
        conditions=said.items,
    )
