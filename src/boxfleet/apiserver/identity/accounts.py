"""Tokens of ServiceAccounts: what they say, and whether it still holds.

A bound token lives as long as it says and no longer than its ServiceAccount and the object that it is bound to.
Claims are those of Kubernetes.
"""

import base64
import dataclasses
from typing import Any

import msgspec

from boxfleet.api import config, node, pod, service_account
from boxfleet.api import kind as kinds
from boxfleet.apiserver import authn, registry
from boxfleet.apiserver.identity import decisions, signing
from boxfleet.kit import clock as clocks
from boxfleet.kit import ids
from boxfleet.store import rows
from boxfleet.store import store as stores

ACCOUNT = service_account.ServiceAccount.KIND
BINDABLE: dict[str, kinds.Kind] = {"Pod": pod.Pod.KIND, "Secret": config.Secret.KIND, "Node": node.Node.KIND}
# The issuer of tokens that lie in Secrets and have no end, as Kubernetes names it.
LEGACY_ISSUER = "kubernetes/serviceaccount"
# Clocks of several servers differ a little, in seconds.
_SKEW = 60
_EXTRA = "authentication.kubernetes.io/"


class _Ref(msgspec.Struct):
    name: str
    uid: str


class _Private(msgspec.Struct):
    namespace: str
    serviceaccount: _Ref
    pod: _Ref | None = None
    secret: _Ref | None = None
    node: _Ref | None = None


class _Claims(msgspec.Struct):
    iss: str
    exp: int
    aud: list[str]
    about: _Private = msgspec.field(name="kubernetes.io")
    nbf: int = 0
    jti: str = ""


_LEGACY = "kubernetes.io/serviceaccount/"


class _LegacyClaims(msgspec.Struct):
    iss: str
    namespace: str = msgspec.field(name=f"{_LEGACY}namespace")
    secret: str = msgspec.field(name=f"{_LEGACY}secret.name")
    account: str = msgspec.field(name=f"{_LEGACY}service-account.name")
    account_uid: str = msgspec.field(name=f"{_LEGACY}service-account.uid")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What a token dies with besides its ServiceAccount: kind (Pod, Secret, Node), name, uid; a Pod's node."""

    kind: str
    name: str
    uid: str
    node: tuple[str, str] | None = None


class Accounts:
    """Makes and knows tokens of ServiceAccounts. `issuer` is a URL, and the audience that the API itself is."""

    def __init__(self, store: stores.Store, keys: signing.Keys, *, issuer: str, clock: clocks.Clock) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._known = decisions.Decisions(store, clock=clock)
        self.issuer = issuer

    def bound_token(
        self, *, namespace: str, name: str, uid: str, audiences: list[str], seconds: int, bound: Bound | None
    ) -> str:
        """A new token of a ServiceAccount."""
        now = int(self._clock.now().timestamp())
        about: dict[str, Any] = {"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}}
        if bound is not None:
            about[bound.kind.lower()] = {"name": bound.name, "uid": bound.uid}
            if bound.node is not None:
                about["node"] = dict(zip(("name", "uid"), bound.node, strict=True))
        return self._keys.sign(
            {
                "aud": audiences,
                "exp": now + seconds,
                "iat": now,
                "iss": self.issuer,
                "jti": ids.new_uid(),
                "kubernetes.io": about,
                "nbf": now,
                "sub": authn.service_account_name(namespace, name),
            }
        )

    def secret_token(self, *, namespace: str, secret: str, name: str, uid: str) -> str:
        """The token of a Secret of type kubernetes.io/service-account-token: without end, it dies with the Secret."""
        return self._keys.sign(
            {
                "iss": LEGACY_ISSUER,
                f"{_LEGACY}namespace": namespace,
                f"{_LEGACY}secret.name": secret,
                f"{_LEGACY}service-account.name": name,
                f"{_LEGACY}service-account.uid": uid,
                "sub": authn.service_account_name(namespace, name),
            }
        )

    async def authenticate(self, shown: authn.Shown) -> authn.User | None:
        """The ServiceAccount of a token that is for this API and still holds."""
        token = shown.token
        # A JWT's header is JSON, whose first bytes in base64 are always these.
        if not token.startswith("eyJ"):
            return None
        wanted = shown.audiences or (self.issuer,)
        digest = shown.digest
        decision = self._known.find(digest) or self._judge(digest, token)
        if decision is None or not any(each in decision.audiences for each in wanted):
            return None
        return decision.user

    def _judge(self, digest: bytes, token: str) -> decisions.Decision | None:
        claims = self._keys.verified(token)
        if claims is None:
            return None
        decision = self._legacy(claims, token) if claims.get("iss") == LEGACY_ISSUER else self._bound(claims)
        return decision if decision is not None and self._known.keep(digest, decision) else None

    def _bound(self, claims: dict[str, Any]) -> decisions.Decision | None:
        try:
            said = msgspec.convert(claims, _Claims)
        except msgspec.ValidationError:
            return None
        if said.iss != self.issuer or said.nbf > self._clock.now().timestamp() + _SKEW:
            return None
        about = said.about
        account = about.serviceaccount
        bonds = [_bond(ACCOUNT, about.namespace, account.name, account.uid)]
        extra: list[tuple[str, tuple[str, ...]]] = []
        if said.jti:
            extra.append((f"{_EXTRA}credential-id", (f"JTI={said.jti}",)))
        if about.node is not None:
            extra += [(f"{_EXTRA}node-name", (about.node.name,)), (f"{_EXTRA}node-uid", (about.node.uid,))]
        if about.pod is not None:
            extra += [(f"{_EXTRA}pod-name", (about.pod.name,)), (f"{_EXTRA}pod-uid", (about.pod.uid,))]
            bonds.append(_bond(BINDABLE["Pod"], about.namespace, about.pod.name, about.pod.uid))
        elif about.secret is not None:
            bonds.append(_bond(BINDABLE["Secret"], about.namespace, about.secret.name, about.secret.uid))
        elif about.node is not None:
            bonds.append(_bond(BINDABLE["Node"], "", about.node.name, about.node.uid))
        return decisions.Decision(
            user=_user(about.namespace, account.name, account.uid, tuple(extra)),
            audiences=frozenset(said.aud),
            expires=said.exp,
            bonds=bonds,
        )

    def _legacy(self, claims: dict[str, Any], token: str) -> decisions.Decision | None:
        try:
            said = msgspec.convert(claims, _LegacyClaims)
        except msgspec.ValidationError:
            return None
        row = self._store.get(registry.key(BINDABLE["Secret"], namespace=said.namespace, name=said.secret))
        # The Secret is the proof: a token that was taken out of it, or replaced, is none any more.
        if row is None or (uid := _holder_of(row, token)) is None:
            return None
        return decisions.Decision(
            user=_user(said.namespace, said.account, said.account_uid, ()),
            audiences=frozenset((self.issuer,)),
            expires=None,
            bonds=[
                _bond(ACCOUNT, said.namespace, said.account, said.account_uid),
                decisions.Bond(key=row.key, uid=uid, revision=row.revision, whole=True),
            ],
        )


def _user(namespace: str, name: str, uid: str, extra: tuple[tuple[str, tuple[str, ...]], ...]) -> authn.User:
    return authn.User(
        name=authn.service_account_name(namespace, name),
        uid=uid,
        groups=(*authn.service_account_groups(namespace), authn.AUTHENTICATED),
        extra=extra,
    )


def _bond(kind: kinds.Kind, namespace: str, name: str, uid: str) -> decisions.Bond:
    return decisions.Bond(key=registry.key(kind, namespace=namespace, name=name), uid=uid)


def _holder_of(row: rows.Row, token: str) -> str | None:
    """The uid of the Secret in a row if it holds the token."""
    secret = msgspec.json.decode(row.value, type=config.Secret)
    held = secret.data.get("token", "")
    return secret.metadata.uid if held == base64.b64encode(token.encode()).decode() else None
