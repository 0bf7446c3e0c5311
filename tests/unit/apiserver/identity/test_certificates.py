"""Client certificates on real connections: asked for, approved, signed, used, and refused when worthless."""

import asyncio
import base64
import datetime
import pathlib
import ssl
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from boxfleet.api import node, tunnel
from boxfleet.apiserver.identity import join_tokens
from boxfleet.kit import clock
from boxfleet.testing import certificates, server

pytestmark = pytest.mark.anyio

_REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
_CLIENT = "kubernetes.io/kube-apiserver-client"
_NODE = "kubernetes.io/kube-apiserver-client-kubelet"
_SECRET = "a" * 40


@pytest.fixture
async def api(tmp_path: pathlib.Path, anyio_backend: str) -> AsyncIterator[server.Api]:
    async with server.running(tmp_path) as running:
        yield running


def wish(name: str, *groups: str) -> tuple[str, bytes]:
    """A certificate request as `spec.request` has it, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            *(x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, each) for each in groups),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, name),
        ]
    )
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode(), pem


async def ask(
    api: server.Api,
    request: str,
    *,
    name: str = "a",
    signer: str = _CLIENT,
    token: str = server.ADMIN_TOKEN,
    **spec: Any,
) -> server.Reply:
    body = {"request": request, "signerName": signer, "usages": ["client auth"], **spec}
    return await server.send(api.app, "POST", _REQUESTS, {"metadata": {"name": name}, "spec": body}, token=token)


async def decide(api: server.Api, type_: str, *, name: str = "a", token: str = server.ADMIN_TOKEN) -> server.Reply:
    found = (await server.send(api.app, "GET", f"{_REQUESTS}/{name}")).json
    found["status"] = {"conditions": [{"type": type_, "status": "True", "reason": "R", "message": "m"}]}
    return await server.send(api.app, "PUT", f"{_REQUESTS}/{name}/approval", found, token=token)


async def answered(api: server.Api, name: str = "a") -> Any:
    """The status once the signer has done its part."""
    async with asyncio.timeout(5):
        while True:
            status = (await server.send(api.app, "GET", f"{_REQUESTS}/{name}")).json.get("status") or {}
            types = [each["type"] for each in status.get("conditions", ())]
            if status.get("certificate") or {"Denied", "Failed"} & set(types):
                return status | {"types": types}
            await asyncio.sleep(0)


async def issued(api: server.Api, folder: pathlib.Path, *subject: str, name: str = "a", **options: Any) -> pathlib.Path:
    """A file with a certificate and its key."""
    request, key = wish(*subject)
    assert (await ask(api, request, name=name, **options)).status == 201
    if options.get("signer", _CLIENT) == _CLIENT:
        assert (await decide(api, "Approved", name=name)).status == 200
    status = await answered(api, name)
    path = folder / f"{name}.pem"
    path.write_bytes(base64.b64decode(status["certificate"]) + key)
    return path


class Caller:
    """Speaks over TLS, with a certificate or without."""

    def __init__(self, socket: server.Socket) -> None:
        self._socket = socket

    async def __call__(self, path: str, *, pair: pathlib.Path | None = None, token: str = "") -> tuple[int, Any]:
        async with self.session(pair, token=token) as session, session.get(self._socket.url + path) as answer:
            return answer.status, await answer.json(content_type=None)

    def session(self, pair: pathlib.Path | None, *, token: str = "") -> aiohttp.ClientSession:
        context = ssl.create_default_context(cafile=str(self._socket.ca_file))
        if pair is not None:
            context.load_cert_chain(pair)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context), headers=headers)

    async def who(self, pair: pathlib.Path | None) -> str:
        """The user name, by the words of a refusal; empty for nobody."""
        status, answer = await self("/apis/boxfleet.dev/v1/clusters/none", pair=pair)
        if status == 401:
            return ""
        return answer["message"].split('User "')[1].split('"')[0] if status == 403 else "allowed"


@pytest.fixture
async def call(api: server.Api, tmp_path: pathlib.Path) -> AsyncIterator[Caller]:
    async with server.on_socket(api, tmp_path) as socket:
        yield Caller(socket)


async def test_a_user_by_certificate(api: server.Api, call: Caller, tmp_path: pathlib.Path) -> None:
    pair = await issued(api, tmp_path, "jane", "developers", "auditors-of-nothing")
    assert await call.who(pair) == "jane"
    assert await call.who(None) == ""
    subjects = [{"kind": "Group", "name": "developers", "apiGroup": "rbac.authorization.k8s.io"}]
    body = {
        "metadata": {"name": "x"},
        "roleRef": {"kind": "ClusterRole", "name": "view", "apiGroup": "rbac.authorization.k8s.io"},
        "subjects": subjects,
    }
    path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    assert (await server.send(api.app, "POST", path, body)).status == 201
    assert (await call("/api/v1/pods", pair=pair))[0] == 200
    assert (await call("/api/v1/secrets", pair=pair))[0] == 403
    # What TLS keeps for the next connection keeps the certificate too.
    async with call.session(pair) as session:
        for _ in range(3):
            async with session.get(call._socket.url + "/api/v1/pods") as answer:
                assert answer.status == 200


async def test_the_request_says_who_asked_and_stays_as_it_was(api: server.Api) -> None:
    request, _ = wish("jane")
    lie = {"username": "admin", "groups": ["system:masters"], "uid": "1", "extra": {"a": ["b"]}}
    reply = await ask(api, request, token=server.NODE_TOKEN, **lie)
    made = reply.json["spec"]
    assert made["username"] == f"system:node:{server.NODE}"
    assert made["groups"] == ["system:nodes", "system:authenticated"]
    assert "uid" not in made and "extra" not in made
    changed = {"spec": {"username": "admin", "signerName": "a.b/c"}}
    headers = {"content-type": "application/merge-patch+json"}
    reply = await server.send(api.app, "PATCH", f"{_REQUESTS}/a", changed, headers=headers)
    assert reply.json["spec"] == made


async def test_nothing_is_signed_unless_somebody_who_may_approves(api: server.Api) -> None:
    request, _ = wish("jane")
    await ask(api, request)
    path = "/apis/rbac.authorization.k8s.io/v1/"
    rules = [
        {
            "apiGroups": ["certificates.k8s.io"],
            "resources": ["certificatesigningrequests/approval"],
            "verbs": ["update"],
        }
    ]
    await server.send(api.app, "POST", f"{path}clusterroles", {"metadata": {"name": "x"}, "rules": rules})
    binding = {
        "metadata": {"name": "x"},
        "roleRef": {"kind": "ClusterRole", "name": "x", "apiGroup": "rbac.authorization.k8s.io"},
        "subjects": [{"kind": "User", "name": "system:serviceaccount:default:robot"}],
    }
    await server.send(api.app, "POST", f"{path}clusterrolebindings", binding)
    await server.send(api.app, "POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "robot"}})
    token = (await server.send(api.app, "POST", "/api/v1/namespaces/default/serviceaccounts/robot/token", {})).json
    reply = await decide(api, "Approved", token=token["status"]["token"])
    assert (reply.status, "not permitted to approve" in reply.json["message"]) == (403, True)
    rules.append(
        {
            "apiGroups": ["certificates.k8s.io"],
            "resources": ["signers"],
            "verbs": ["approve"],
            "resourceNames": [_CLIENT],
        }
    )
    await server.send(api.app, "PUT", f"{path}clusterroles/x", {"metadata": {"name": "x"}, "rules": rules})
    assert (await decide(api, "Approved", token=token["status"]["token"])).status == 200
    assert (await answered(api))["types"] == ["Approved"]
    assert (await decide(api, "Denied")).status == 200


async def test_what_is_denied_is_never_signed(api: server.Api) -> None:
    request, _ = wish("jane")
    await ask(api, request)
    assert (await decide(api, "Denied")).status == 200
    status = await answered(api)
    assert status["types"] == ["Denied"]
    assert "certificate" not in status


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"request": "AAAA"}, 422, "CERTIFICATE REQUEST"),
        ({"request": "%%"}, 400, ""),
        ({"signer": "nonsense"}, 422, "fully qualified domain"),
        ({"signer": "kubernetes.io/legacy-unknown"}, 422, "not allowed"),
        ({"usages": []}, 422, "usages must be provided"),
        ({"expirationSeconds": 599}, 422, "greater than or equal to 600"),
    ],
)
async def test_what_makes_no_sense_is_refused(api: server.Api, change: Any, status: int, words: str) -> None:
    reply = await ask(api, **({"request": wish("jane")[0]} | change))
    assert words in reply.json["message"]
    assert reply.status in (status, 422)


async def test_nobody_becomes_a_master_by_a_certificate(api: server.Api) -> None:
    reply = await ask(api, wish("jane", "system:masters")[0])
    assert (reply.status, "system:masters group is not allowed" in reply.json["message"]) == (403, True)


async def test_certificates_of_others_and_old_ones_are_worth_nothing(
    api: server.Api, call: Caller, tmp_path: pathlib.Path
) -> None:
    strange = certificates.Authority.make().issue("admin", organizations=["system:masters"])
    path = tmp_path / "strange.pem"
    path.write_bytes(strange.certificate_pem + strange.key_pem)
    with pytest.raises((aiohttp.ClientError, ssl.SSLError, OSError)):
        await call.who(path)
    # The server's own certificate is for servers.
    own = tmp_path / "own.pem"
    own.write_bytes((tmp_path / "pki" / "server.crt").read_bytes() + (tmp_path / "pki" / "server.key").read_bytes())
    with pytest.raises((aiohttp.ClientError, ssl.SSLError, OSError)):
        await call.who(own)


async def token(
    api: server.Api,
    *,
    uses: int = 1,
    expires: datetime.timedelta = datetime.timedelta(hours=1),
    marks: join_tokens.Marks | None = None,
) -> str:
    end = clock.stamp(datetime.datetime.now(datetime.UTC) + expires)
    data = join_tokens.data(_SECRET, expires=end, uses=uses, marks=marks)
    body = {"metadata": {"name": join_tokens.secret_name("abc123")}, "type": join_tokens.TYPE, "stringData": data}
    reply = await server.send(api.app, "POST", "/api/v1/namespaces/kube-system/secrets", body)
    assert reply.status == 201
    return f"abc123.{_SECRET}"


async def join(api: server.Api, folder: pathlib.Path, host: str, key: str, *, name: str = "j") -> pathlib.Path:
    return await issued(api, folder, f"system:node:{host}", "system:nodes", name=name, signer=_NODE, token=key)


async def test_an_agent_joins_with_a_token_and_its_node_ends_it(
    api: server.Api, call: Caller, tmp_path: pathlib.Path
) -> None:
    key = await token(api)
    pair = await join(api, tmp_path, "new", key)
    assert await call.who(pair) == "system:node:new"
    assert (await call("/api/v1/nodes/new", pair=pair))[0] == 200
    # The way for logs and exec is a WebSocket.
    async with call.session(pair) as session:
        async with session.ws_connect(call._socket.url + tunnel.connect_path("new")) as way:
            assert not way.closed
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(call._socket.url + tunnel.connect_path(server.NODE))
    # It renews by itself, with the certificate that it has.
    async with call.session(pair) as session:
        request, _ = wish("system:node:new", "system:nodes")
        spec = {"request": request, "signerName": _NODE, "usages": ["client auth", "digital signature"]}
        body = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest"}
        body |= {"metadata": {"name": "again"}, "spec": spec}  # type: ignore[dict-item]
        async with session.post(call._socket.url + _REQUESTS, json=body) as answer:
            assert answer.status == 201, await answer.text()
    assert (await answered(api, "again"))["types"] == ["Approved"]
    assert (await server.send(api.app, "DELETE", "/api/v1/nodes/new")).status == 200
    assert await call.who(pair) == ""
    # Not even a new Node of that name brings it back.
    assert (await server.send(api.app, "POST", "/api/v1/nodes", {"metadata": {"name": "new"}})).status == 201
    assert await call.who(pair) == ""


async def test_a_token_is_good_as_often_and_as_long_as_it_says(api: server.Api, tmp_path: pathlib.Path) -> None:
    key = await token(api, uses=2)
    for number in range(2):
        await join(api, tmp_path, f"n{number}", key, name=f"j{number}")
    assert (await ask(api, wish("system:node:n2", "system:nodes")[0], name="j2", signer=_NODE, token=key)).status == 201
    status = await answered(api, "j2")
    assert status["types"] == ["Denied"]
    assert "used as often as it may" in status["conditions"][0]["message"]
    assert (await server.send(api.app, "GET", "/api/v1/nodes/n2")).status == 404
    assert (await server.send(api.app, "GET", "/api/v1/nodes", token=key)).status == 403
    for wrong in ("abc123." + "b" * 40, "abc124." + _SECRET, "abc123.", "abc123." + _SECRET.upper()):
        assert (await server.send(api.app, "GET", "/version", token=wrong)).status == 401
    await server.send(api.app, "DELETE", "/api/v1/namespaces/kube-system/secrets/join-token-abc123")
    key = await token(api, expires=datetime.timedelta(seconds=-1))
    assert (await server.send(api.app, "GET", "/version", token=key)).status == 401


async def test_a_token_for_one_node_opens_no_other_and_says_what_that_one_has(
    api: server.Api, tmp_path: pathlib.Path
) -> None:
    taint = node.Taint(key="gpu", value="yes", effect="NoSchedule")
    marks = join_tokens.Marks(node="mine", labels={"disk": "ssd", "boxfleet.dev/cluster": "other"}, taints=[taint])
    key = await token(api, uses=2, marks=marks)
    await ask(api, wish("system:node:yours", "system:nodes")[0], name="j1", signer=_NODE, token=key)
    status = await answered(api, "j1")
    assert status["types"] == ["Denied"]
    assert "is for the node mine alone" in status["conditions"][0]["message"]
    assert (await server.send(api.app, "GET", "/api/v1/nodes/yours")).status == 404
    await join(api, tmp_path, "mine", key, name="j2")
    made = (await server.send(api.app, "GET", "/api/v1/nodes/mine")).json
    # Whose it is does not come with the token.
    assert made["metadata"]["labels"]["disk"] == "ssd"
    assert made["metadata"]["labels"]["boxfleet.dev/cluster"] == "local"
    assert made["spec"]["taints"] == [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]


async def test_a_name_of_a_living_node_is_not_given_away(api: server.Api, tmp_path: pathlib.Path) -> None:
    key = await token(api, uses=9)
    await join(api, tmp_path, "taken", key)
    spec = {"holderIdentity": "taken", "leaseDurationSeconds": 40}
    spec["renewTime"] = clock.micro_stamp(datetime.datetime.now(datetime.UTC))
    leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
    assert (await server.send(api.app, "POST", leases, {"metadata": {"name": "taken"}, "spec": spec})).status == 201
    request, _ = wish("system:node:taken", "system:nodes")
    await ask(api, request, name="thief", signer=_NODE, token=key)
    status = await answered(api, "thief")
    assert status["types"] == ["Denied"]
    assert "there is a node taken, and it is alive" in status["conditions"][0]["message"]
    # An agent cannot have another node's name either: that waits for an admin.
    await ask(api, request, name="neighbour", signer=_NODE, token=server.NODE_TOKEN)
    for subject in (("system:node:", "system:nodes"), ("admin", "system:nodes"), ("system:node:x", "developers")):
        name = f"odd-{subject[0].strip(':').replace(':', '-')}-{subject[1].replace(':', '-')}"
        await ask(api, wish(*subject)[0], name=name, signer=_NODE, token=key)
        assert (await answered(api, name))["types"] == ["Denied"]
    assert "status" not in (await server.send(api.app, "GET", f"{_REQUESTS}/neighbour")).json
