"""Who may make a token for a server, and what a token opens, on a real API."""

import pathlib
from collections.abc import AsyncIterator

import pytest

from boxfleet.api import roles
from boxfleet.apiserver import authn
from boxfleet.app import handing_over
from boxfleet.testing import server

pytestmark = pytest.mark.anyio
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_JOINING = {"impersonate-user": f"{roles.JOINING_SERVERS}:bbbbbbbb", "impersonate-group": roles.JOINING_SERVERS}


@pytest.fixture
async def api(tmp_path: pathlib.Path, anyio_backend: str) -> AsyncIterator[server.Api]:
    async with server.running(tmp_path) as running:
        yield running


async def test_the_administrators_alone_may_make_a_token(api: server.Api) -> None:
    wish = {"minutes": 15}
    for role in ("platform-admin", "tenant-admin", "developer", "viewer", "auditor", "admin", "edit"):
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
        bound = {"metadata": {"name": role}, "roleRef": reference, "subjects": [{"kind": "User", "name": role}]}
        assert (await server.send(api.app, "POST", f"{_RBAC}/clusterrolebindings", bound)).status == 201
        headers = {"impersonate-user": role}
        reply = await server.send(api.app, "POST", handing_over.TOKENS_PATH, wish, headers=headers)
        assert reply.status == (409 if role == "platform-admin" else 403), role
    for user in (*roles.PARTS, authn.service_account_name("kube-system", "default"), f"system:node:{server.NODE}"):
        headers = {"impersonate-user": user}
        reply = await server.send(api.app, "POST", handing_over.TOKENS_PATH, wish, headers=headers)
        assert reply.status == 403, user
    reply = await server.send(api.app, "POST", handing_over.TOKENS_PATH, wish, headers=_JOINING)
    assert reply.status == 403


async def test_a_store_in_a_file_cannot_be_shared(api: server.Api) -> None:
    reply = await server.send(api.app, "POST", handing_over.TOKENS_PATH, {"minutes": 15})
    assert reply.status == 409 and "boxfleet store move --to postgresql://" in reply.json["message"]
    wish = {"version": "0", "node": "two", "claim": "mine"}
    reply = await server.send(api.app, "POST", handing_over.KEYS_PATH, wish)
    assert reply.status == 409 and "SQLite" in reply.json["message"]


async def test_whoever_joins_sees_the_authority_and_nothing_else(api: server.Api, tmp_path: pathlib.Path) -> None:
    reply = await server.send(api.app, "GET", roles.AUTHORITY_PATH, headers=_JOINING)
    assert reply.status == 200
    said = dict(reply.json)
    assert said.pop("certificates") == (tmp_path / "pki" / "ca.crt").read_text()
    # What each host of the fleet knows.
    assert said.keys() == {"version", "node", "domain", "cidr", "bridge"}
    for path in ("/api/v1/secrets", "/api/v1/namespaces", "/audit", "/metrics", "/api/v1/namespaces/default/pods"):
        assert (await server.send(api.app, "GET", path, headers=_JOINING)).status == 403, path


@pytest.mark.parametrize("path", [handing_over.TOKENS_PATH, handing_over.KEYS_PATH])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"secret-word"', b'{"minutes": "secret-word"}', b"\xff"])
async def test_nonsense_is_refused_without_quoting_it(api: server.Api, path: str, body: bytes) -> None:
    reply = await server.send(api.app, "POST", path, body)
    assert reply.status == 400 and b"secret-word" not in reply.body


@pytest.mark.parametrize("minutes", [0, -1, 61, 10**9])
async def test_a_token_lasts_for_minutes(api: server.Api, minutes: int) -> None:
    reply = await server.send(api.app, "POST", handing_over.TOKENS_PATH, {"minutes": minutes})
    assert reply.status == 400 and "from 1 to 60" in reply.json["message"]


def test_secrets_are_in_no_repr() -> None:
    keys = handing_over.Keys(
        fleet="", node="one", domain="", cidr="", bridge="", store="", store_password="hush", admin_token="hush",
        files={"pki/ca.key": b"hush"},
    )  # fmt: skip
    made = handing_over.Made(token="hush", server="", authority="")
    wish = handing_over.Wish(version="", node="two", claim="hush")
    assert "hush" not in f"{keys!r}{made!r}{wish!r}{keys}"
