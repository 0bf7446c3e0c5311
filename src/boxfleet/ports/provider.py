"""Who makes machines (a cloud, a rack, a script), asked for one at a time by names of ours.

Everything is idempotent by name: a server that is killed asks again for the same name and gets the same machine. What a
provider makes bears the mark of the fleet and of the pool; what bears no mark or another one is neither shown nor
deleted. All calls raise ProviderFaults, and are bounded in time.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec


class ProviderFault(Exception):
    """A call came to nothing; the text says what, why and the remedy."""


class SoldOut(ProviderFault):
    """There is no such machine to be had now: nothing was made. Another provider may have one."""


class Refused(ProviderFault):
    """It will not do this as it is asked: wrong settings or credentials, a quota of its own. Nothing was made."""


class Unreachable(ProviderFault):
    """It did not answer in time or not in order: what was asked may have been done or not. Trying later may help."""


class Join(msgspec.Struct, frozen=True, kw_only=True):
    """How a new machine becomes a host; the token is good for this machine's name alone."""

    server: str
    authority: str
    token: str

    def __repr__(self) -> str:
        return f"Join(server={self.server!r})"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A machine that is wanted, and what it is to be like."""

    name: str
    join: Join
    zone: str = ""
    resources: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """A machine of this fleet and pool: our name of it and the provider's."""

    name: str
    id: str = ""


class Provider(Protocol):
    """What makes the machines of one pool. Everything may be called at any time, again and again."""

    async def create(self, order: Order) -> Machine:
        """Have a machine by that name made, or give the one there is; it may still have to start."""

    async def delete(self, name: str) -> None:
        """Have a machine and all that was made for it taken away; one that is not there is no fault."""

    async def list(self) -> Sequence[Machine]:
        """All machines of this fleet and pool, those that are being made or deleted too."""

    async def close(self) -> None:
        """Let go of connections; machines stay."""
