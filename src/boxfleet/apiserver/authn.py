"""Who calls: authenticators, tried in order; bearer tokens, known by their hashes."""

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

# Every user who is known is in this group.
AUTHENTICATED = "system:authenticated"
_ACCOUNT = "system:serviceaccount:"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Whom a request comes from. `uid` and `extra` are what the authenticator knows beside the name."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Certificate:
    """A client's certificate, whose chain TLS has checked: DER, and what it is known by."""

    der: bytes
    fingerprint: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Basic:
    """Name and password as HTTP Basic has them (RFC 7617), and from where they come."""

    credentials: str
    address: str


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What a request shows of its sender. A further way to show oneself is a further field."""

    # A bearer token and its `digest`; empty when there is none.
    token: str = ""
    digest: bytes = b""
    # Whom the token must be for, one of them; empty: for this API.
    audiences: tuple[str, ...] = ()
    # Of the connection that the request came on.
    certificate: Certificate | None = None
    # Where one may log in; nowhere else.
    password: Basic | None = None


def digest(token: str) -> bytes:
    """What a token is known by."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()


def shown_token(token: str, *, audiences: tuple[str, ...] = ()) -> Shown:
    """A token alone."""
    return Shown(token=token, digest=digest(token), audiences=audiences)


class Authenticator(Protocol):
    """Knows users by what a request shows."""

    async def authenticate(self, shown: Shown) -> User | None:
        """The user; None when nobody is known by it, and the next authenticator may try."""


class Chain:
    """Authenticators in order: the first that knows the user says who it is."""

    def __init__(self, each: Sequence[Authenticator]) -> None:
        self._each = tuple(each)

    async def authenticate(self, shown: Shown) -> User | None:
        """Ask one after the other."""
        for one in self._each:
            user = await one.authenticate(shown)
            if user is not None:
                return with_implied_groups(user)
        return None


class TokenAuthenticator:
    """A fixed set of users, each with the SHA-256 of a token in hexadecimal."""

    def __init__(self, known: Iterable[tuple[str, User]]) -> None:
        self._known = {bytes.fromhex(digest): with_implied_groups(user) for digest, user in known}

    async def authenticate(self, shown: Shown) -> User | None:
        """Look a token up by its hash: how long that takes tells of the hash, which nobody can choose, at most."""
        # These tokens are for this API alone.
        if not shown.token or shown.audiences:
            return None
        return self._known.get(shown.digest)


def with_implied_groups(user: User) -> User:
    """Every user who is known is in ``system:authenticated``."""
    if AUTHENTICATED in user.groups:
        return user
    return dataclasses.replace(user, groups=(*user.groups, AUTHENTICATED))


def service_account_name(namespace: str, name: str) -> str:
    """The user name of a ServiceAccount."""
    return f"{_ACCOUNT}{namespace}:{name}"


def service_account_of(user: str) -> tuple[str, str] | None:
    """Namespace and name of the ServiceAccount that calls by a user name; None for any other user."""
    if not user.startswith(_ACCOUNT):
        return None
    namespace, mark, name = user.removeprefix(_ACCOUNT).partition(":")
    return (namespace, name) if namespace and mark and name and ":" not in name else None


def service_account_groups(namespace: str) -> tuple[str, str]:
    """The groups of every ServiceAccount of a namespace."""
    return ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
