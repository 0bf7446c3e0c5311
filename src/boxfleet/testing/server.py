"""A running API for tests: the real server on a store in a folder of the test, in process or on a TLS socket."""

import asyncio
import contextlib
import dataclasses
import datetime
import hashlib
import ipaddress
import pathlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from boxfleet.api import autoscaler, catalog, meta, roles, v1beta1
from boxfleet.apiserver import app as apps
from boxfleet.apiserver import authn, authz, route, serve
from boxfleet.apiserver.audit import auditor, journal
from boxfleet.apiserver.identity import accounts, join_tokens, wiring
from boxfleet.app import handing_over, pki, server_tokens, token_keys
from boxfleet.app import settings as app_settings
from boxfleet.client import client, inprocess
from boxfleet.kit import clock as clocks
from boxfleet.planning import admission
from boxfleet.store import settings as settings_
from boxfleet.store import store as stores
from boxfleet.store import where

ADMIN_TOKEN = "test-admin-token"  # noqa: S105  # opens test servers only
NODE_TOKEN = "test-node-token"  # noqa: S105
NODE = "node-1"
# Of the agent on the server's own machine, before it has its certificate.
HOST_TOKEN = "test-host-token"  # noqa: S105
# Who makes tokens of ServiceAccounts.
ISSUER = "https://kubernetes.default.svc.fleet.internal"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """A server and its parts."""

    app: apps.ApiServer
    store: stores.Store
    # As the administrator, and as the agent of NODE.
    admin: client.Client
    node: client.Client
    # Makes the tokens that lie in Secrets, and knows all tokens.
    accounts: accounts.Accounts

    def part(self, user: str) -> client.Client:
        """A client as one of Boxfleet's own parts (roles.PARTS)."""
        return client.Client(inprocess.InProcess(self.app, token=user))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole answer as it goes over the wire."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def json(self) -> Any:
        """The body decoded."""
        return msgspec.json.decode(self.body)


async def send(
    app: inprocess.App,
    method: str,
    path: str,
    body: Any = None,
    *,
    token: str = ADMIN_TOKEN,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Call an app with anything, also with what no client of ours would send; `body` is JSON data or bytes."""
    where, _, query = path.partition("?")
    given = {"content-type": "application/json", **(headers or {})}
    if token:
        given["authorization"] = f"Bearer {token}"
    content = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
    incoming = [
        {"type": "http.disconnect"},
        {"type": "http.request", "body": content, "more_body": False},
    ]
    started: dict[str, Any] = {}
    chunks: list[bytes] = []

    async def receive() -> Any:
        return incoming.pop() if len(incoming) > 1 else incoming[0]

    async def answer(message: Any) -> None:
        if message["type"].endswith("http.response.start"):
            started.update(message)
        else:
            chunks.append(message.get("body", b""))

    scope: dict[str, Any] = {
        "type": "websocket" if method == route.WEBSOCKET else "http",
        "method": method,
        "path": where,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "extensions": {"websocket.http.response": {}},
    }
    await app(scope, receive, answer)
    return Reply(
        status=started["status"],
        headers=[(name.decode(), value.decode()) for name, value in started["headers"]],
        body=b"".join(chunks),
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Socket:
    """Where a served API listens, and what it takes to speak to it."""

    url: str
    ca_file: pathlib.Path
    kubeconfig: pathlib.Path
    node_kubeconfig: pathlib.Path


def authenticator() -> authn.TokenAuthenticator:
    """Knows the tokens of tests."""
    admin = authn.User(name="admin", groups=(authz.MASTERS,))
    node = authn.User(name=f"system:node:{NODE}", groups=(authz.NODES,))
    host = authn.User(name=join_tokens.host_user(NODE), groups=(join_tokens.GROUP,))
    # The name of a part is its token.
    known = [
        (ADMIN_TOKEN, admin),
        (NODE_TOKEN, node),
        (HOST_TOKEN, host),
        *((name, authn.User(name=name)) for name in roles.PARTS),
    ]
    return authn.TokenAuthenticator((hashlib.sha256(token.encode()).hexdigest(), user) for token, user in known)


@contextlib.asynccontextmanager
async def running(
    folder: pathlib.Path,
    *,
    types: Sequence[type[meta.Object]] = catalog.TYPES,
    clock: clocks.Clock = clocks.SystemClock(),  # noqa: B008  # it has no state
    settings: settings_.Settings = settings_.Settings(),  # noqa: B008
    extra_routes: Sequence[route.Route] = (),
    audit: auditor.Auditor | None = None,
    database: where.Postgres | None = None,
    names: Sequence[str] = ("127.0.0.1",),
) -> AsyncIterator[Api]:
    """An API in this process, with its store in a folder; again on the same folder, it is a restart.

    On a `database` instead, several share a store. `names` are those that its certificate is for.
    """
    store = await stores.Store.open(database or folder / "boxfleet.db", settings)
    try:
        pki.ensure(folder / "pki", names=list(names), now=clock.now())
        token_keys.ensure(folder / "tokens.keys", now=clock.now())
        who = wiring.identity(
            store,
            token_keys=token_keys.load(folder / "tokens.keys"),
            authority=pki.ClientAuthority(folder / "pki", clock=clock),
            issuer=ISSUER,
            server="https://127.0.0.1:6443",
            clock=clock,
        )
        joining = server_tokens.ServerTokens(store, clock=clock)
        handed = handing_over.HandingOver(app_settings.Server(state=str(folder)), store, joining)
        app = apps.ApiServer(
            store,
            types=types,
            older=[each for each in (*v1beta1.OLDER, *autoscaler.OLDER) if each.kind in [one.KIND for one in types]],
            authenticators=[authenticator(), joining, *who.authenticators],
            clock=clock,
            extra_routes=[*who.routes, *handed.routes(), *extra_routes],
            admission_policy=admission.POLICY,
            default_roles=roles.objects(),
            node_reads=roles.NODE_READS,
            audit=audit,
            own_users=roles.PARTS,
        )
        await app.start()
        kept = [
            asyncio.create_task(app.run(), name="api"),
            asyncio.create_task(who.signer.run(), name="signer"),
        ]
        try:
            yield Api(
                app=app,
                store=store,
                admin=client.Client(inprocess.InProcess(app, token=ADMIN_TOKEN)),
                node=client.Client(inprocess.InProcess(app, token=NODE_TOKEN)),
                accounts=who.accounts,
            )
        finally:
            for each in kept:
                each.cancel()
            await asyncio.wait(kept)
            app.stop()
    finally:
        await store.close()


@contextlib.asynccontextmanager
async def recording(folder: pathlib.Path) -> AsyncIterator[auditor.Auditor]:
    """What records requests of `running` in FOLDER/audit, as a server in use does."""
    book = journal.Journal(folder / "audit", server="one", clock=clocks.SystemClock())
    book.start()
    try:
        yield auditor.Auditor(book, server="one")
    finally:
        await book.stop()


@contextlib.asynccontextmanager
async def on_socket(api: Api, folder: pathlib.Path, *, further: serve.Further | None = None) -> AsyncIterator[Socket]:
    """Serve an API over TLS on a free port of the loopback address, and on a further one."""
    certificate, key = folder / "pki" / "server.crt", folder / "pki" / "server.key"
    clients = folder / "pki" / "ca.crt"
    async with serve.serving(
        api.app, host="127.0.0.1", port=0, certificate=certificate, key=key, clients=clients, further=further
    ) as server:
        yield Socket(
            url=server.address,
            ca_file=clients,
            kubeconfig=_kubeconfig(folder / "admin.kubeconfig", server.address, clients, ADMIN_TOKEN),
            node_kubeconfig=_kubeconfig(folder / "node.kubeconfig", server.address, clients, NODE_TOKEN),
        )


def self_signed(folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """A certificate of 127.0.0.1 that is its own authority, and its key, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "boxfleet test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "server.crt", folder / "server.key"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


def _kubeconfig(path: pathlib.Path, url: str, ca_file: pathlib.Path, token: str) -> pathlib.Path:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": url, "certificate-authority": str(ca_file)}}],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "default"}}],
        "current-context": "test",
    }
    path.write_text(yaml.safe_dump(config))
    return path
