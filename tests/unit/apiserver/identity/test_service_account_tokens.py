"""Tokens of ServiceAccounts: asked for, checked, and ended by what they are bound to."""

import base64
import datetime
import pathlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from joserfc import jwk, jwt

from boxfleet.app import token_keys
from boxfleet.testing import server

pytestmark = pytest.mark.anyio

_ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
_PODS = "/api/v1/namespaces/default/pods"
_WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_WHO_BODY = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
START = datetime.datetime(2026, 5, 1, tzinfo=datetime.UTC)


class Clock:
    """Stands where it is put."""

    def __init__(self) -> None:
        self.moment = START

    def now(self) -> datetime.datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.moment.timestamp()

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError

    def wait(self, seconds: float) -> None:
        self.moment += datetime.timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def api(tmp_path: pathlib.Path, clock: Clock, anyio_backend: str) -> AsyncIterator[server.Api]:
    async with server.running(tmp_path, clock=clock) as running:
        await make(running, _ACCOUNTS, {"metadata": {"name": "robot"}})
        yield running


async def make(api: server.Api, path: str, body: Any) -> Any:
    reply = await server.send(api.app, "POST", path, body)
    assert reply.status == 201, reply.body
    return reply.json


async def pod(api: server.Api, name: str = "p", *, node: str = server.NODE, account: str = "robot") -> Any:
    spec = {"nodeName": node, "serviceAccountName": account, "containers": [{"name": "a", "image": "i"}]}
    return await make(api, _PODS, {"metadata": {"name": name}, "spec": spec})


async def ask(
    api: server.Api, spec: Any = None, *, account: str = "robot", token: str = server.ADMIN_TOKEN
) -> server.Reply:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec or {}}
    return await server.send(api.app, "POST", f"{_ACCOUNTS}/{account}/token", body, token=token)


async def token_of(api: server.Api, spec: Any = None) -> str:
    reply = await ask(api, spec)
    assert reply.status == 201, reply.body
    return str(reply.json["status"]["token"])


async def who(api: server.Api, token: str) -> Any:
    """The user that a token stands for; None when nobody."""
    reply = await server.send(api.app, "POST", _WHO, _WHO_BODY, token=token)
    if reply.status == 401:
        return None
    assert reply.status == 201, reply.body
    return reply.json["status"]["userInfo"]


async def test_a_token_says_what_it_is_and_is_known(api: server.Api) -> None:
    reply = await ask(api)
    assert reply.json["spec"] == {"audiences": [server.ISSUER], "expirationSeconds": 3600, "boundObjectRef": None}
    assert reply.json["status"]["expirationTimestamp"] == "2026-05-01T01:00:00Z"
    account = (await server.send(api.app, "GET", f"{_ACCOUNTS}/robot")).json["metadata"]
    user = await who(api, reply.json["status"]["token"])
    assert user["username"] == "system:serviceaccount:default:robot"
    assert user["uid"] == account["uid"]
    assert user["groups"] == ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]
    assert user["extra"]["authentication.kubernetes.io/credential-id"][0].startswith("JTI=")


async def test_anybody_can_check_a_token_with_the_published_keys(api: server.Api) -> None:
    token = await token_of(api)
    configuration = (await server.send(api.app, "GET", "/.well-known/openid-configuration", token=token)).json
    assert configuration["issuer"] == server.ISSUER
    assert configuration["jwks_uri"].endswith("/openid/v1/jwks")
    published = await server.send(api.app, "GET", "/openid/v1/jwks", token=token)
    assert ("content-type", "application/jwk-set+json") in published.headers
    assert all("d" not in key for key in published.json["keys"])
    found = jwt.decode(token, jwk.KeySet.import_key_set(published.json), algorithms=["ES256"])
    assert found.claims["sub"] == "system:serviceaccount:default:robot"
    assert found.claims["kubernetes.io"]["namespace"] == "default"
    assert found.claims["exp"] - found.claims["iat"] == 3600


async def test_it_ends_when_it_says(api: server.Api, clock: Clock) -> None:
    token = await token_of(api, {"expirationSeconds": 600})
    clock.wait(599)
    assert await who(api, token)
    clock.wait(1)
    assert await who(api, token) is None


async def test_it_dies_with_its_account_and_does_not_come_back_with_a_new_one(api: server.Api) -> None:
    token = await token_of(api)
    assert await who(api, token)
    await server.send(api.app, "DELETE", f"{_ACCOUNTS}/robot")
    assert await who(api, token) is None
    await make(api, _ACCOUNTS, {"metadata": {"name": "robot"}})
    assert await who(api, token) is None


async def test_it_survives_changes_of_what_it_is_bound_to_and_dies_with_it(api: server.Api) -> None:
    made = await pod(api)
    token = await token_of(api, {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p"}})
    user = await who(api, token)
    assert user["extra"]["authentication.kubernetes.io/pod-name"] == ["p"]
    assert user["extra"]["authentication.kubernetes.io/pod-uid"] == [made["metadata"]["uid"]]
    assert user["extra"]["authentication.kubernetes.io/node-name"] == [server.NODE]
    status = {"status": {"phase": "Running"}}
    headers = {"content-type": "application/merge-patch+json"}
    assert (await server.send(api.app, "PATCH", f"{_PODS}/p/status", status, headers=headers)).status == 200
    assert await who(api, token)
    await server.send(api.app, "DELETE", f"{_PODS}/p?gracePeriodSeconds=0")
    assert await who(api, token) is None
    await pod(api)
    assert await who(api, token) is None


@pytest.mark.parametrize("kind", ["Secret", "Node"])
async def test_it_can_be_bound_to_other_things(api: server.Api, kind: str) -> None:
    path = "/api/v1/namespaces/default/secrets" if kind == "Secret" else "/api/v1/nodes"
    await make(api, path, {"metadata": {"name": "x"}})
    token = await token_of(api, {"boundObjectRef": {"kind": kind, "apiVersion": "v1", "name": "x"}})
    assert await who(api, token)
    await server.send(api.app, "DELETE", f"{path}/x")
    assert await who(api, token) is None


@pytest.mark.parametrize(
    ("spec", "status", "words"),
    [
        ({"expirationSeconds": 599}, 422, "may not specify a duration less than 10 minutes"),
        ({"expirationSeconds": 2**33}, 422, "may not specify a duration larger than 2^32 seconds"),
        ({"expirationSeconds": "long"}, 400, "cannot be handled as a TokenRequest"),
        ({"audiences": "me"}, 400, "cannot be handled as a TokenRequest"),
        ({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "nobody"}}, 404, 'pods "nobody" not found'),
        (
            {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": "x"}},
            409,
            "does not match the UID",
        ),
        (
            {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "other"}},
            400,
            "different serviceaccount name",
        ),
        (
            {"boundObjectRef": {"kind": "ConfigMap", "apiVersion": "v1", "name": "p"}},
            400,
            "cannot bind token to object",
        ),
    ],
)
async def test_what_cannot_be_asked_for_is_said(api: server.Api, spec: Any, status: int, words: str) -> None:
    await pod(api)
    await pod(api, "other", account="default")
    reply = await ask(api, spec)
    assert (reply.status, words in reply.json["message"]) == (status, True), reply.body


async def test_of_whom_there_is_none_there_is_no_token(api: server.Api) -> None:
    reply = await ask(api, account="nobody")
    assert (reply.status, reply.json["message"]) == (404, 'serviceaccounts "nobody" not found')


async def test_a_token_for_others_opens_nothing_here_and_is_known_when_asked_for_them(api: server.Api) -> None:
    token = await token_of(api, {"audiences": ["vault", "registry"]})
    assert await who(api, token) is None
    path = "/apis/authentication.k8s.io/v1/tokenreviews"
    body: dict[str, Any] = {"spec": {"token": token, "audiences": ["registry", "strange"]}}
    status = (await server.send(api.app, "POST", path, body)).json["status"]
    assert status["authenticated"]
    assert status["audiences"] == ["registry"]
    assert status["user"]["username"] == "system:serviceaccount:default:robot"
    for audiences in ([], ["strange"]):
        body = {"spec": {"token": token, "audiences": audiences}}
        assert "authenticated" not in (await server.send(api.app, "POST", path, body)).json["status"]


async def test_an_agent_gets_tokens_for_pods_on_its_node_and_for_nothing_else(api: server.Api) -> None:
    await pod(api)
    await pod(api, "far", node="node-2")
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "p"}
    reply = await ask(api, {"boundObjectRef": bound}, token=server.NODE_TOKEN)
    assert reply.status == 201
    assert (await who(api, reply.json["status"]["token"]))["username"] == "system:serviceaccount:default:robot"
    for spec in (
        {},
        {"boundObjectRef": bound | {"name": "far"}},
        {"boundObjectRef": {"kind": "Node", "name": "node-1"}},
    ):
        assert (await ask(api, spec, token=server.NODE_TOKEN)).status in (403, 404), spec


async def test_nothing_changed_or_made_elsewhere_is_believed(api: server.Api, tmp_path: pathlib.Path) -> None:
    token = await token_of(api)
    head, body, signature = token.split(".")
    claims = base64.urlsafe_b64decode(body + "==").replace(b"robot", b"other")
    other = base64.urlsafe_b64encode(claims).decode().rstrip("=")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    token_keys.ensure(tmp_path / "strange.keys", now=START)
    strange = token_keys.load(tmp_path / "strange.keys").sign(
        {"iss": server.ISSUER, "exp": 2**40, "aud": [server.ISSUER]}
    )
    published = (await server.send(api.app, "GET", "/openid/v1/jwks")).json["keys"][0]
    # Whoever takes the public key for a shared secret.
    shared = jwk.OctKey.import_key(published["x"])
    mixed = jwt.encode({"alg": "HS256", "kid": published["kid"]}, {"iss": server.ISSUER}, shared, algorithms=["HS256"])
    for each in (
        f"{head}.{other}.{signature}", f"{none}.{body}.", f"{none}.{body}.{signature}", token[:-4] + "AAAA", strange,
        mixed, token + "A" * 20000, "eyJ.eyJ.x", "eyJ..", "eyJhbGciOiJFUzI1NiJ9.e30.AA",
    ):  # fmt: skip
        assert await who(api, each) is None, each[:60]
    assert await who(api, token)


async def test_keys_are_rotated_without_ending_tokens_and_can_end_them(tmp_path: pathlib.Path) -> None:
    keys = tmp_path / "tokens.keys"
    async with server.running(tmp_path) as api:
        await make(api, _ACCOUNTS, {"metadata": {"name": "robot"}})
        first = await token_of(api)
    now = datetime.datetime.now(datetime.UTC)
    token_keys.rotate(keys, now=now, revoke=False)
    async with server.running(tmp_path) as api:
        second = await token_of(api)
        assert first.split(".")[0] != second.split(".")[0]
        assert await who(api, first)
        assert await who(api, second)
    token_keys.rotate(keys, now=now, revoke=True)
    async with server.running(tmp_path) as api:
        assert await who(api, first) is None
        assert await who(api, second) is None
        assert await who(api, await token_of(api))


def test_a_replaced_key_goes_once_no_token_of_it_can_be_left(tmp_path: pathlib.Path) -> None:
    keys = tmp_path / "tokens.keys"
    token_keys.ensure(keys, now=START)
    token_keys.rotate(keys, now=START + datetime.timedelta(days=30), revoke=False)
    later = START + datetime.timedelta(days=30 + 368)
    token_keys.rotate(keys, now=later, revoke=False)
    assert len(token_keys.load(keys).published()["keys"]) == 2
