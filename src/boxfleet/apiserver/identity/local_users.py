"""Users with a password, for machines without an issuer of their own: kept in Secrets of kube-system.

A password opens one path, which gives a token for some hours; the token ends with the user, and with the password.
"""

import base64
import binascii
import datetime
import hashlib
from typing import Any

import msgspec

from boxfleet.api import config
from boxfleet.apiserver import authn, faults, registry, route
from boxfleet.apiserver.identity import decisions, passwords, signing
from boxfleet.kit import clock as clocks
from boxfleet.store import rows
from boxfleet.store import store as stores

PATH = "/boxfleet/login"
NAMESPACE = "kube-system"
TYPE = "boxfleet.dev/user"
LABEL = "boxfleet.dev/user"
_LIFE_SECONDS = 12 * 3600
_CLAIM = "boxfleet.dev/user"
_RESERVED = "system:"


def secret_name(user: str) -> str:
    """The Secret of a user, whose name may hold what names of objects may not."""
    return f"user-{hashlib.sha256(user.encode()).hexdigest()[:20]}"


def data(user: str, password: str, groups: list[str]) -> dict[str, str]:
    """What a Secret says of a user."""
    return {"name": user, "hash": passwords.hashed(password), "groups": "\n".join(groups)}


class _User(msgspec.Struct):
    name: str
    hash: str
    groups: tuple[str, ...]
    uid: str
    row: rows.Row

    @property
    def mark(self) -> str:
        """What tokens carry, so that they end with the password."""
        return hashlib.sha256(f"{self.uid}{self.hash}".encode()).hexdigest()


class LocalUsers:
    """Implements authn.Authenticator for passwords and for the tokens that they give."""

    def __init__(self, store: stores.Store, keys: signing.Keys, *, issuer: str, clock: clocks.Clock) -> None:
        self._store = store
        self._keys = keys
        self._issuer = f"{issuer}/local-users"
        self._clock = clock
        self._known = decisions.Decisions(store, clock=clock)
        self._checks = passwords.Checks(clock=clock)

    def routes(self) -> list[route.Route]:
        """Where a password gives a token."""
        return [route.Route(method="POST", path=PATH, access=route.Access(verb="post"), handle=self.login)]

    async def login(self, call: route.Call) -> route.Answer:
        """A token for whoever showed a password; raises Fault 400."""
        user = self._find(call.user.name)
        by_password = call.headers.get("authorization", "").lower().startswith("basic ")
        if user is None or not by_password or call.impersonator is not None:
            raise faults.bad_request("log in with the name and the password of a local user (HTTP Basic)")
        now = self._clock.now()
        token = self._keys.sign(
            {
                "iss": self._issuer,
                "sub": user.name,
                "iat": int(now.timestamp()),
                "exp": int(now.timestamp()) + _LIFE_SECONDS,
                _CLAIM: user.mark,
            }
        )
        end = clocks.stamp(now + datetime.timedelta(seconds=_LIFE_SECONDS))
        body = {"token": token, "expirationTimestamp": end}
        return route.Answer(status=201, body=msgspec.json.encode(body), headers=[("cache-control", "no-store")])

    async def authenticate(self, shown: authn.Shown) -> authn.User | None:
        """By a password where one may log in, else by a token; raises Fault 429 for whoever guesses."""
        if shown.password is not None:
            return await self._by_password(shown.password)
        if not shown.token.startswith("eyJ") or shown.audiences:
            return None
        digest = shown.digest
        decision = self._known.find(digest)
        if decision is None:
            decision = self._judge(shown.token)
            if decision is None or not self._known.keep(digest, decision):
                return None
        return decision.user

    async def _by_password(self, shown: authn.Basic) -> authn.User | None:
        try:
            name, mark, password = base64.b64decode(shown.credentials, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        if not mark:
            return None
        user = self._find(name)
        try:
            fits = await self._checks.check(
                password, user.hash if user is not None else None, user=name, address=shown.address
            )
        except passwords.TooMany as error:
            seconds = max(1, round(error.seconds))
            raise faults.Fault(
                429,
                "TooManyRequests",
                str(error),
                details={"retryAfterSeconds": seconds},
                headers=(("retry-after", str(seconds)),),
            ) from None
        return _as_user(user) if fits and user is not None else None

    def _judge(self, token: str) -> decisions.Decision | None:
        claims = self._keys.verified(token)
        if claims is None or claims.get("iss") != self._issuer:
            return None
        user = self._find(str(claims.get("sub", "")))
        if user is None or claims.get(_CLAIM) != user.mark or not isinstance(claims.get("exp"), int):
            return None
        bond = decisions.Bond(key=user.row.key, uid=user.uid, revision=user.row.revision, whole=True)
        return decisions.Decision(user=_as_user(user), audiences=frozenset(), expires=claims["exp"], bonds=[bond])

    def _find(self, name: str) -> _User | None:
        where = registry.key(config.Secret.KIND, namespace=NAMESPACE, name=secret_name(name))
        row = self._store.get(where)
        if row is None:
            return None
        secret = msgspec.json.decode(row.value, type=config.Secret)
        try:
            said: dict[str, Any] = {key: base64.b64decode(text).decode() for key, text in secret.data.items()}
            known, hash_ = said["name"], said["hash"]
        except (KeyError, ValueError):
            return None
        if secret.type != TYPE or known != name or name.startswith(_RESERVED) or secret.metadata.deletionTimestamp:
            return None
        groups = tuple(each for each in said.get("groups", "").split("\n") if each and not each.startswith(_RESERVED))
        return _User(name=name, hash=hash_, groups=groups, uid=secret.metadata.uid, row=row)


def _as_user(user: _User) -> authn.User:
    return authn.with_implied_groups(authn.User(name=user.name, groups=user.groups, uid=user.uid))
