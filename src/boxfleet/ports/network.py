"""The network of a host: addresses that the ledger chose, and names."""

import ipaddress
from typing import Protocol

import msgspec


class NetworkFault(Exception):
    """The host's network or its name server refused or failed; the text says what, why and the remedy."""


class PoolNetwork(msgspec.Struct, frozen=True, kw_only=True):
    """One AddressPool as a host sees it: `gateway` is this host's own address on it, that its instances send to."""

    name: str
    cidr: str
    gateway: str
    bridge: str
    mtu: int = 0
    # This host's address among hosts, and those of the others on the network.
    underlay: str = ""
    peers: tuple[str, ...] = ()

    def may_give(self, address: str) -> bool:
        """Whether an instance may have the address: it is of this network and not the host's own."""
        try:
            return ipaddress.ip_address(address) in ipaddress.ip_network(self.cidr) and address != self.gateway
        except ValueError:
            return False


class Record(msgspec.Struct, frozen=True, order=True):
    """One name and one address that answers to it."""

    name: str
    address: str


class HostNetwork(Protocol):
    """Bridges and addresses of this host. All calls raise NetworkFault."""

    async def prepare(self, pools: list[PoolNetwork]) -> None:
        """Make the host able to give sandboxes addresses of these pools; repeated calls are harmless."""

    async def missing(self) -> str:
        """What is gone of what `prepare` made, in words; empty when all is there. Cheap; `prepare` mends it."""

    async def assign(self, *, namespace: str, name: str, address: str, pool: str) -> None:
        """Say which address the sandbox of that instance gets when it is made."""

    async def unassign(self, *, namespace: str, name: str) -> None:
        """Forget an assignment."""

    async def remove(self) -> None:
        """Take away everything that `prepare` made on the host."""


class NameServer(Protocol):
    """The name server that the instances of this host ask. All calls raise NetworkFault."""

    @property
    def address(self) -> str:
        """Where instances reach it; empty until it is started and once it is stopped."""

    async def start(self, *, address: str, domain: str) -> None:
        """Serve on that address with authority for that domain; keep it running until `stop`."""

    async def publish(self, records: frozenset[Record]) -> None:
        """Make exactly these records the answers, at once and also after a restart."""

    async def stop(self) -> None:
        """End the server."""
