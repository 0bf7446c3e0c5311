"""Who calls: bearer tokens, known by their hashes."""

import dataclasses
import hashlib
import hmac
from collections.abc import Iterable
from typing import Protocol


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Whom a request comes from."""

    name: str
    groups: tuple[str, ...] = ()


class Authenticator(Protocol):
    """Knows users by what a request shows."""

    async def authenticate(self, token: str) -> User | None:
        """The user of a bearer token; None when nobody is known by it."""


class TokenAuthenticator:
    """A fixed set of users, each with the SHA-256 of a token in hexadecimal."""

    def __init__(self, known: Iterable[tuple[str, User]]) -> None:
        self._known = [(digest.lower().encode(), user) for digest, user in known]

    async def authenticate(self, token: str) -> User | None:
        """Compare with every hash, each in constant time, so that time tells nothing."""
        digest = hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest().encode()
        found = None
        for known, user in self._known:
            if hmac.compare_digest(known, digest):
                found = user
        return found


def with_implied_groups(user: User) -> User:
    """Every user who is known is in ``system:authenticated``."""
    return dataclasses.replace(user, groups=(*user.groups, "system:authenticated"))
