"""Tokens by which agents join: good for a while and for some uses, kept hashed in Secrets of kube-system.

They look like Kubernetes' bootstrap tokens (ID.SECRET) with a longer secret, and their users are in
``system:bootstrappers``: these may ask for a node's certificate, and nothing else.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from boxfleet.api import config, roles
from boxfleet.api import node as nodes
from boxfleet.apiserver import authn, registry
from boxfleet.kit import clock as clocks
from boxfleet.store import errors
from boxfleet.store import store as stores

JsonObject = dict[str, Any]

GROUP = "system:bootstrappers"
NAMESPACE = "kube-system"
TYPE = "boxfleet.dev/join-token"
_MARKS = "marks"
_USER = "system:bootstrap:"
_SHOWN = roles.JOINING_NODES
_HOST = "system:bootstrap:host:"
_TOKEN = re.compile(r"([a-z0-9]{6})(?:\.([a-z0-9]{32,128}))?")


def secret_name(identifier: str) -> str:
    """The Secret of a token."""
    return f"join-token-{identifier}"


def host_user(host: str) -> str:
    """Who the agent on the server's own machine is before it has its certificate."""
    return _HOST + host


def public_part(token: str) -> str:
    """What of a token may be shown to whoever answers; empty when it is no token of this kind."""
    match = _TOKEN.fullmatch(token)
    return match[1] if match is not None and match[2] else ""


def data(secret: str, *, expires: str, uses: int, marks: "Marks | None" = None) -> dict[str, str]:
    """What a Secret says of a token; `expires` is RFC 3339."""
    said = {"sha256": hashlib.sha256(secret.encode()).hexdigest(), "expires": expires, "uses": str(uses)}
    return said if marks is None else said | {_MARKS: msgspec.json.encode(marks).decode()}


class Marks(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The one node that a token is for, and what that has from its first moment on; its agent has no say in it."""

    node: str
    labels: dict[str, str] = {}
    taints: list[nodes.Taint] = []


class UsedUp(Exception):
    """The token was good for fewer uses, or for another node."""


class JoinTokens:
    """Implements authn.Authenticator for those who join."""

    def __init__(self, store: stores.Store, *, clock: clocks.Clock) -> None:
        self._store = store
        self._clock = clock

    async def authenticate(self, shown: authn.Shown) -> authn.User | None:
        """Who holds a token that is still good."""
        match = _TOKEN.fullmatch(shown.token)
        if match is None or shown.audiences:
            return None
        known = self._read(match[1])
        if not match[2]:
            # What stands before the point is no secret: it opens the authority's certificate alone, by whose hash a
            # host tells whom it speaks with before it shows the rest.
            return None if known is None else authn.User(name=f"{_SHOWN}:{match[1]}", groups=(_SHOWN,))
        digest = hashlib.sha256(match[2].encode()).hexdigest()
        if known is None or not hmac.compare_digest(known.get("sha256", ""), digest):
            return None
        return authn.User(name=_USER + match[1], groups=(GROUP, _SHOWN, authn.AUTHENTICATED))

    def is_host(self, user: str, host: str) -> bool:
        """Whether it is the agent of that machine itself, which needs nobody's leave."""
        return user == host_user(host)

    def lets_join(self, user: str, groups: Sequence[str], host: str) -> bool:
        """Whether a user may become a node by that name."""
        if GROUP not in groups:
            return False
        return user == host_user(host) or _is_counted(user)

    def check_use(self, user: str, host: str) -> Marks | None:
        """What that node gets by the token of a user; raises UsedUp when it is not good for one more, or not for it."""
        if not _is_counted(user):
            return None
        known = self._read(user.removeprefix(_USER))
        if known is None or int(known["uses"]) <= 0:
            raise UsedUp(
                "this join token has ended or was used as often as it may: boxfleet node token makes a new one"
            )
        if _MARKS not in known:
            return None
        marks = msgspec.json.decode(known[_MARKS], type=Marks)
        if marks.node != host:
            raise UsedUp(f"this join token is for the node {marks.node} alone: boxfleet node token makes another one")
        return marks

    async def use(self, user: str) -> None:
        """Count a use; raises `errors.Conflict` when somebody else does at the moment."""
        if not _is_counted(user):
            return
        identifier = user.removeprefix(_USER)
        row = self._store.get(_key(identifier))
        if row is None or (known := self._read(identifier)) is None:
            raise errors.Conflict(key=_key(identifier), expected=1, actual=0)
        obj: JsonObject = msgspec.json.decode(row.value)
        obj["data"]["uses"] = base64.b64encode(str(int(known["uses"]) - 1).encode()).decode()

        def value(revision: int) -> bytes:
            return msgspec.json.encode(obj | {"metadata": obj["metadata"] | {"resourceVersion": str(revision)}})

        await self._store.write(row.key, value, expected=row.revision)

    def _read(self, identifier: str) -> dict[str, str] | None:
        """What is known of a token that has not ended."""
        row = self._store.get(_key(identifier))
        if row is None:
            return None
        secret = msgspec.json.decode(row.value, type=config.Secret)
        if secret.type != TYPE:
            return None
        try:
            known = {key: base64.b64decode(text, validate=True).decode() for key, text in secret.data.items()}
            if _MARKS in known:
                msgspec.json.decode(known[_MARKS], type=Marks)
            good = int(known["uses"]) >= 0 and clocks.parse(known["expires"]) > self._clock.now()
        except (KeyError, ValueError, TypeError, msgspec.ValidationError):
            return None
        return known if good else None


def _is_counted(user: str) -> bool:
    return user.startswith(_USER) and not user.startswith(_HOST)


def _key(identifier: str) -> str:
    return registry.key(config.Secret.KIND, namespace=NAMESPACE, name=secret_name(identifier))
