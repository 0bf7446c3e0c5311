"""What a server gives to a further one that shows a token: keys, the administrator's token, and where the store is.

Whoever has these can be anybody, so the right to make such a token is that of the platform's administrators. What is
handed over is read from the disk when it is asked for: after a rotation a server fetches it again.
"""

import datetime
import hashlib
import pathlib
from typing import Final, TypeVar

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization

import boxfleet
from boxfleet.api import kind as kinds
from boxfleet.api import namespace, roles
from boxfleet.apiserver import bodies, faults, registry, route
from boxfleet.app import access, credentials, paths, server_tokens, settings
from boxfleet.store import errors, where
from boxfleet.store import store as stores

T = TypeVar("T")

_BASE: Final = f"/apis/{kinds.GROUP}/v1"
TOKENS_PATH: Final = f"{_BASE}/{roles.SERVER_TOKENS}"
KEYS_PATH: Final = f"{_BASE}/{roles.SERVER_KEYS}"
# What the files are called below the state folder, and the modes that they have there.
FILES: Final = {
    "pki/ca.key": 0o600,
    "pki/ca-next.key": 0o600,
    "pki/ca.crt": 0o644,
    "pki/secrets.keys": 0o600,
    "pki/tokens.keys": 0o600,
    "authentication.yaml": 0o600,
}
# A token is for a command that somebody is about to run.
LONGEST_MINUTES: Final = 60
_NOT_SHARED: Final = (
    "this server keeps its objects in a SQLite file, which no other server can share: move them to PostgreSQL by "
    "boxfleet down and boxfleet store move --to postgresql://USER@HOST/DATABASE, then boxfleet up"
)


class TokenWish(msgspec.Struct, kw_only=True):
    """How long a token shall be good."""

    minutes: int


class Made(msgspec.Struct, kw_only=True):
    """A new token, the server that made it, and the hash of its authority."""

    token: str
    server: str
    authority: str

    def __repr__(self) -> str:
        return f"Made(server={self.server!r})"


class Authority(msgspec.Struct, kw_only=True):
    """The authority's certificates, as PEM, and what a host has to know of the fleet that it joins."""

    certificates: str
    version: str = ""
    node: str = ""
    domain: str = ""
    cidr: str = ""
    bridge: str = ""


class Wish(msgspec.Struct, kw_only=True):
    """Who asks for the keys. `claim` binds the token to this machine."""

    version: str
    node: str
    claim: str

    def __repr__(self) -> str:
        return f"Wish(node={self.node!r})"


class Keys(msgspec.Struct, kw_only=True):
    """What a further server needs: `fleet` is the uid of what shares the store, the rest goes to settings and files."""

    fleet: str
    node: str
    domain: str
    cidr: str
    bridge: str
    store: str
    store_password: str
    admin_token: str
    # By the names of FILES; what is missing here is not to be there either.
    files: dict[str, bytes]

    def __repr__(self) -> str:
        return f"Keys(node={self.node!r}, store={self.store!r})"


class HandingOver:
    """The routes of one server."""

    def __init__(self, known: settings.Server, store: stores.Store, tokens: server_tokens.ServerTokens) -> None:
        self._known = known
        self._where = paths.of(known)
        self._store = store
        self._tokens = tokens

    def routes(self) -> list[route.Route]:
        """Make a token; see the authority; fetch the keys."""
        create, group = "create", kinds.GROUP
        return [
            route.Route(
                method="POST",
                path=TOKENS_PATH,
                access=route.Access(verb=create, group=group, resource=roles.SERVER_TOKENS),
                handle=self._make,
            ),
            route.Route(
                method="GET",
                path=roles.AUTHORITY_PATH,
                access=route.Access(verb="get"),
                handle=self._show_authority,
            ),
            route.Route(
                method="POST",
                path=KEYS_PATH,
                access=route.Access(verb=create, group=group, resource=roles.SERVER_KEYS),
                handle=self._hand_over,
            ),
        ]

    async def _make(self, call: route.Call) -> route.Answer:
        wish = _decoded(await bodies.read(call), TokenWish)
        if not 1 <= wish.minutes <= LONGEST_MINUTES:
            raise faults.bad_request(f"minutes must be from 1 to {LONGEST_MINUTES}")
        self._require_shared()
        try:
            token = await self._tokens.make(life=datetime.timedelta(minutes=wish.minutes))
        except errors.StoreError as error:
            raise faults.unavailable(str(error)) from None
        known = x509.load_pem_x509_certificates(self._where.ca_certificate.read_bytes())
        # The first one signs what this server shows, also during a rotation.
        made = Made(token=token, server=access.announced_url(self._known), authority=pin_of(known[0]))
        return _answer(201, made)

    async def _show_authority(self, call: route.Call) -> route.Answer:
        known = self._known
        answer = Authority(
            certificates=self._where.ca_certificate.read_text(),
            version=boxfleet.__version__,
            node=known.node,
            domain=known.domain,
            cidr=known.cidr,
            bridge=known.bridge,
        )
        return _answer(200, answer)

    async def _hand_over(self, call: route.Call) -> route.Answer:
        wish = _decoded(await bodies.read(call), Wish)
        self._require_shared()
        if wish.version != boxfleet.__version__:
            raise _conflict(
                f"this server is Boxfleet {boxfleet.__version__} and the machine that joins is {wish.version}: install "
                "the same version there"
            )
        if wish.node == self._known.node:
            raise _conflict(
                f"the machine that joins calls its Node {wish.node}, which is the name of this server's: give it "
                "another one by --node"
            )
        keys = self._keys()
        # Whoever is called like one that joins, without its token, gets nothing.
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if call.impersonator is not None or scheme.lower() != "bearer":
            token = ""
        try:
            # Last, so that a refusal leaves the token good.
            await self._tokens.claim(token.strip(), claim=wish.claim)
        except server_tokens.Refused as error:
            raise faults.bad_request(str(error)) from None
        except errors.StoreError as error:
            raise faults.unavailable(str(error)) from None
        return _answer(200, keys)

    def _require_shared(self) -> None:
        if not self._store.shared:
            raise _conflict(_NOT_SHARED)

    def _keys(self) -> Keys:
        known = self._known
        place = where.parse(known.store, password_file=known.store_password_file, default=self._where.store)
        password = ""
        if isinstance(place, where.Postgres) and place.password_file is not None:
            try:
                password = place.password()
            except errors.StoreError as error:
                raise _conflict(str(error)) from None
        return Keys(
            fleet=fleet_of(self._store),
            node=known.node,
            domain=known.domain,
            cidr=known.cidr,
            bridge=known.bridge,
            store=known.store,
            store_password=password,
            admin_token=credentials.token_of(self._where.admin_kubeconfig),
            files={name: found for name in FILES if (found := _content(self._where.state / name)) is not None},
        )


def pin_of(certificate: x509.Certificate) -> str:
    """By what an authority is known: the hash of its public key, as kubeadm has it."""
    key = certificate.public_key()
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(der).hexdigest()}"


def fleet_of(store: stores.Store) -> str:
    """The uid of kube-system, which nobody can delete; empty in a store that no server used yet."""
    row = store.get(registry.key(namespace.Namespace.KIND, namespace="", name="kube-system"))
    return "" if row is None else msgspec.json.decode(row.value, type=namespace.Namespace).metadata.uid


def _content(path: pathlib.Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _decoded(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError:
        # What was sent may be a secret, so it is not quoted.
        raise faults.bad_request("the body of the request is not what this path takes") from None


def _answer(status: int, body: object) -> route.Answer:
    return route.Answer(status=status, body=msgspec.json.encode(body), headers=[("cache-control", "no-store")])


def _conflict(message: str) -> faults.Fault:
    return faults.Fault(409, "Conflict", message)
