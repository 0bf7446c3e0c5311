"""What machines join by: handed in by whoever knows the server's address and makes tokens."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from boxfleet.api import config, node, node_pool
from boxfleet.ports import provider

# Makes a driver of a pool: from the pool, the data of its Secret, and the mark of this fleet. Raises ProviderFault.
Connect = Callable[[node_pool.NodePool, Mapping[str, str], str], provider.Provider]


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A join token: what is public of it, the whole, and the Secret that makes it good."""

    identifier: str
    token: str
    secret: config.Secret

    def __repr__(self) -> str:
        return f"Token(identifier={self.identifier!r})"


class Joins(Protocol):
    """Lets machines join."""

    def where(self) -> tuple[str, str]:
        """The server's URL and the hash of its authority. Raises provider.Refused when no machine could reach it."""

    def token(self, name: str, *, labels: Mapping[str, str], taints: Sequence[node.Taint], seconds: float) -> Token:
        """A new token, good for that node alone and for so long."""

    def secret_of(self, identifier: str) -> tuple[str, str]:
        """Namespace and name of a token's Secret."""
