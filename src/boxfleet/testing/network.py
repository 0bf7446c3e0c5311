"""A host's network and name server in memory, with the manners of the real ones."""

import re

from boxfleet.ports import network

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,252}")
_DOMAIN_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")


class MemoryNetwork:
    """Remembers pools and assignments: (namespace, name) to address. `failure` makes the next call raise.

    `damage` is what was done to it behind its back; `prepare` mends it.
    """

    def __init__(self) -> None:
        self.pools: dict[str, network.PoolNetwork] = {}
        self.assigned: dict[tuple[str, str], str] = {}
        self.failure: network.NetworkFault | None = None
        self.damage = ""

    async def prepare(self, pools: list[network.PoolNetwork]) -> None:
        """Remember the pools; refuses several, as a host does."""
        self._enter()
        if len(pools) > 1:
            raise network.NetworkFault(f"cannot prepare {len(pools)} pools: a host serves one")
        self.pools = {pool.name: pool for pool in pools}
        self.damage = ""

    async def missing(self) -> str:
        """What somebody did to it."""
        return self.damage

    async def assign(self, *, namespace: str, name: str, address: str, pool: str) -> None:
        """Remember the address, which must be one of the pool's."""
        self._enter()
        self._check_name(namespace, name)
        if pool not in self.pools:
            raise network.NetworkFault(f"cannot assign {address}: pool {pool!r} is not prepared")
        known = self.pools[pool]
        if not known.may_give(address):
            raise network.NetworkFault(f"cannot assign {address!r}: it is no address for an instance in {known.cidr}")
        self.assigned[namespace, name] = address

    async def unassign(self, *, namespace: str, name: str) -> None:
        """Forget the address."""
        self._enter()
        self._check_name(namespace, name)
        self.assigned.pop((namespace, name), None)

    async def remove(self) -> None:
        """Forget everything."""
        self._enter()
        self.pools.clear()
        self.assigned.clear()

    def _enter(self) -> None:
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure

    def _check_name(self, *words: str) -> None:
        for word in words:
            if not _NAME.fullmatch(word):
                raise network.NetworkFault(f"cannot assign an address: {word!r} is no name")


class MemoryNames:
    """Remembers the records; they outlive `stop`, as the real one's file does."""

    def __init__(self) -> None:
        self._address = ""
        self.domain = ""
        self.records: frozenset[network.Record] = frozenset()

    @property
    def address(self) -> str:
        """Where it would serve."""
        return self._address

    async def start(self, *, address: str, domain: str) -> None:
        """Serve in imagination."""
        self._address, self.domain = address, domain

    async def publish(self, records: frozenset[network.Record]) -> None:
        """Replace the records."""
        for record in records:
            if not _DOMAIN_NAME.fullmatch(record.name):
                raise network.NetworkFault(f"cannot publish {record.name!r}: it is no domain name")
        self.records = records

    async def stop(self) -> None:
        """End the imagined service."""
        self._address = ""

    def resolve(self, name: str) -> list[str]:
        """The addresses that a question would get, in order."""
        return sorted(record.address for record in self.records if record.name == name) if self._address else []


def _conforms(one: MemoryNetwork, other: MemoryNames) -> tuple[network.HostNetwork, network.NameServer]:
    """Let the type checker prove that the stand-ins fit their ports."""
    return one, other
