"""Keeps this host able to give addresses and names: pools, the bridge, the name server's records."""

import asyncio
import contextlib
import ipaddress
import pathlib
from collections.abc import Callable

import msgspec
import structlog

from boxfleet.api import address, address_pool
from boxfleet.client import cache, client
from boxfleet.kit import clock as clocks
from boxfleet.kit import durable
from boxfleet.planning import addresses, records
from boxfleet.ports import network

log = structlog.get_logger()

# Seconds after names were published in which further changes are gathered: each time the name server reads all anew.
_GATHER = 0.1


class Upkeep:
    """Follows AddressPools and Addresses. The pools are also kept on disk: a host starts without its server."""

    def __init__(
        self,
        api: client.Client,
        host: network.HostNetwork,
        server: network.NameServer,
        *,
        clock: clocks.Clock,
        domain: str,
        memory: pathlib.Path,
        node: str = "",
        gateway: bool = True,
        api_host: str = "",
        check: float = 10.0,
    ) -> None:
        """`api_host` is where instances reach the API, if they shall; `check` seconds lie between looks at the host."""
        self._api = api
        self._host = host
        self._server = server
        self._clock = clock
        self._domain = domain
        self._node = node
        self._gateway = gateway
        self._memory = memory
        self._api_host = api_host
        self._check = check
        self._checked = 0.0
        self._wake = asyncio.Event()
        self._pools: list[network.PoolNetwork] = []
        self._prepared: list[network.PoolNetwork] = []
        self._published: frozenset[network.Record] | None = None
        self._serving = ""
        self._listener: Callable[[], None] = lambda: None
        self.pools = cache.Cache(api, address_pool.AddressPool)
        self.addresses = cache.Cache(api, address.Address)
        self.pools.listen(lambda _old, _new: self._wake.set())
        self.addresses.listen(lambda _old, _new: self._wake.set())
        self.ready = asyncio.Event()
        # Why instances cannot get a network now; empty when they can.
        self.fault = "no AddressPool is known yet"

    def listen(self, listener: Callable[[], None]) -> None:
        """Hear when the network becomes usable or fails."""
        self._listener = listener

    @property
    def resolver(self) -> str:
        """The name server that instances ask."""
        return self._server.address

    def pool_of(self, ip: str) -> str:
        """The name of the pool that an address belongs to; empty when none does."""
        try:
            wanted = ipaddress.ip_address(ip)
        except ValueError:
            return ""
        return next((pool.name for pool in self._prepared if wanted in ipaddress.ip_network(pool.cidr)), "")

    async def is_given(self, ip: str, *, namespace: str, instance: str) -> bool:
        """Whether the ledger gives that very instance the address; raises ApiError while that cannot be known.

        A Pod only says what address it wants: whoever writes a Pod can write another's address into it.
        """
        if self.is_seen(ip, namespace=namespace, instance=instance):
            return True
        # The list may lag behind the Pod.
        held = await self._api.find(address.Address, ip)
        return held is not None and _is_for(held, namespace, instance)

    def is_seen(self, ip: str, *, namespace: str, instance: str) -> bool:
        """Whether the ledger is known here already to give that very instance the address."""
        held = self.addresses.find(ip)
        return held is not None and _is_for(held, namespace, instance)

    async def run(self) -> None:
        """Keep up until cancelled."""
        with contextlib.suppress(OSError, msgspec.DecodeError):
            self._pools = msgspec.json.decode(self._memory.read_bytes(), type=list[network.PoolNetwork])
        async with asyncio.TaskGroup() as group:
            group.create_task(self.pools.run())
            group.create_task(self.addresses.run())
            group.create_task(self._follow())

    async def _follow(self) -> None:
        while True:
            self._wake.clear()
            try:
                if await self._step():
                    await self._clock.sleep(_GATHER)
                pause = max(0.0, self._checked + self._check - self._clock.monotonic()) or self._check
            except Exception as error:
                # A host whose network fails says so on its Node, and goes on trying.
                self.fault = f"cannot prepare the network of this host: {error}"
                self._listener()
                log.warning("cannot prepare the network", cause=str(error))
                pause = 2.0
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    async def _step(self) -> bool:
        """Do what is to be done; whether names were published."""
        if self.pools.synced.is_set():
            found = [as_network(pool, node=self._node, has_gateway=self._gateway) for pool in self.pools]
            pools = sorted((pool for pool in found if pool is not None), key=lambda pool: pool.name)
            if len(pools) < len(found) and not self._prepared:
                self.fault = "this host has no address of its own in the AddressPool yet"
            # A host that is not among a pool's hosts for a moment goes on with what it knows.
            if pools != self._pools and (pools or not found):
                self._pools = pools
                durable.write(self._memory, msgspec.json.encode(pools))
        damage = await self._damage()
        if damage:
            log.warning("the network of this host is not as it was made: making it again", missing=damage)
        if self._pools and (self._pools != self._prepared or self.fault or damage):
            await self._host.prepare(self._pools)
            # One that serves already is asked whether it still does.
            if self._serving != self._pools[0].gateway or self.fault or damage:
                await self._server.start(address=self._pools[0].gateway, domain=self._domain)
                self._serving = self._pools[0].gateway
            self._prepared = self._pools
            self.fault = ""
            self.ready.set()
            self._listener()
        # Before the list is known the server goes on with what it remembers.
        if self._serving and self.addresses.synced.is_set():
            wanted = records.of(self.addresses, suffix=self._domain, api=self._api_host)
            if wanted != self._published:
                await self._server.publish(wanted)
                self._published = wanted
                return True
        return False

    async def _damage(self) -> str:
        """What somebody took from the network behind its back; looked for as often as is said, not at each change."""
        now = self._clock.monotonic()
        if not self._prepared or now - self._checked < self._check:
            return ""
        self._checked = now
        return await self._host.missing()


def _is_for(held: address.Address, namespace: str, instance: str) -> bool:
    return (held.spec.namespace, held.spec.instance) == (namespace, instance)


def as_network(
    pool: address_pool.AddressPool, *, node: str = "", has_gateway: bool = True
) -> network.PoolNetwork | None:
    """A pool as a host sees it; None while the host has no address of its own there.

    Without a gateway the first address of the network is it.
    """
    gateway = addresses.gateway(pool.spec)
    hosts = {each.node: each for each in pool.status.hosts}
    mine = hosts.pop(node, None)
    if not has_gateway and mine is None:
        return None
    own = gateway if has_gateway or mine is None else mine.address
    # Of two that have the same address only one can be on the network with the others.
    alone = mine is None or mine.address != own
    return network.PoolNetwork(
        name=pool.metadata.name,
        cidr=str(ipaddress.ip_network(pool.spec.cidr, strict=False)),
        gateway=own,
        bridge=pool.spec.bridge,
        mtu=pool.spec.mtu,
        underlay="" if alone or mine is None else mine.underlay,
        peers=() if alone else tuple(sorted(each.underlay for each in hosts.values() if each.underlay)),
    )
