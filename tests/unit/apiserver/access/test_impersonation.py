"""Calling as somebody else."""

from typing import Any

import pytest
from tests.unit.apiserver.access import bed

from boxfleet.testing import server

pytestmark = pytest.mark.anyio
WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


async def who(api: server.Api, headers: list[tuple[str, str]], *, token: str = server.ADMIN_TOKEN) -> server.Reply:
    """Ask with headers that may come more than once."""
    chunks: list[bytes] = []
    started: dict[str, Any] = {}
    messages = [{"type": "http.disconnect"}, {"type": "http.request", "body": b"{}", "more_body": False}]

    async def receive() -> Any:
        return messages.pop()

    async def send(message: Any) -> None:
        started.update(message)
        chunks.append(message.get("body", b""))

    given = [("authorization", f"Bearer {token}"), ("content-type", "application/json"), *headers]
    scope = {
        "type": "http", "method": "POST", "path": WHO, "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in given],
    }  # fmt: skip
    await api.app(scope, receive, send)
    return server.Reply(status=started["status"], headers=[], body=b"".join(chunks))


async def info(api: server.Api, *headers: tuple[str, str]) -> Any:
    reply = await who(api, list(headers))
    assert reply.status == 201, reply.body
    return reply.json["status"]["userInfo"]


async def test_masters_are_whom_they_want(api: server.Api) -> None:
    assert await info(api) == {"username": "admin", "groups": ["system:masters", "system:authenticated"]}
    assert await info(
        api,
        ("Impersonate-User", "jane"), ("Impersonate-Group", "a"), ("Impersonate-Group", "b"), ("Impersonate-Uid", "7"),
        ("Impersonate-Extra-Scopes", "x"), ("Impersonate-Extra-scopes", "y"),
        ("Impersonate-Extra-acme.com%2Fproject", "z"),
    ) == {
        "username": "jane", "uid": "7", "groups": ["a", "b", "system:authenticated"],
        "extra": {"scopes": ["x", "y"], "acme.com/project": ["z"]},
    }  # fmt: skip


async def test_implied_groups(api: server.Api) -> None:
    account = ("impersonate-user", "system:serviceaccount:default:bot")
    every = ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]
    assert (await info(api, account))["groups"] == every
    assert (await info(api, account, ("impersonate-group", "a")))["groups"] == ["a", "system:authenticated"]
    # Who is not known has no rights, not even to ask.
    assert (await who(api, [("impersonate-user", "system:anonymous")])).status == 403


async def test_what_makes_no_sense_without_a_user(api: server.Api) -> None:
    for name in ("Impersonate-Group", "Impersonate-Uid", "Impersonate-Extra-x"):
        assert (await who(api, [(name, "a")])).status == 400
    assert (await who(api, [("Impersonate-User", "")])).status == 400


async def test_everything_that_is_taken_on_takes_a_right(api: server.Api) -> None:
    token = server.NODE_TOKEN
    user = ("impersonate-user", "jane")
    reply = await who(api, [user], token=token)
    assert (reply.status, reply.json["message"]) == (
        403,
        'users "jane" is forbidden: User "system:node:node-1" cannot impersonate resource "users" in API group "" '
        "at the cluster scope",
    )
    node = "system:node:node-1"
    steps = (
        ([], bed.rule("users", "impersonate", names="jane")),
        ([("impersonate-group", "ops")], bed.rule("groups", "impersonate", names="ops")),
        ([("impersonate-uid", "7")], bed.rule("uids", "impersonate", group="authentication.k8s.io", names="7")),
        (
            [("impersonate-extra-scopes", "x")],
            bed.rule("userextras/scopes", "impersonate", group="authentication.k8s.io", names="x"),
        ),
    )
    headers = [user]
    for number, (further, rule) in enumerate(steps):
        headers += further
        assert (await who(api, headers, token=token)).status == 403
        await bed.made(api, "clusterroles", bed.role(f"r{number}", rule))
        await bed.made(api, "clusterrolebindings", bed.binding(f"r{number}", f"r{number}", user=node))
        assert (await who(api, headers, token=token)).status == 201, number
    assert (await who(api, [("impersonate-user", "joe")], token=token)).status == 403
    assert (await who(api, [user, ("impersonate-group", "system:masters")], token=token)).status == 403


async def test_service_accounts_are_taken_on_in_their_namespace(api: server.Api) -> None:
    account = [("impersonate-user", "system:serviceaccount:default:bot")]
    reply = await who(api, account, token=server.NODE_TOKEN)
    assert reply.json["message"] == (
        'serviceaccounts "bot" is forbidden: User "system:node:node-1" cannot impersonate resource "serviceaccounts" '
        'in API group "" in the namespace "default"'
    )
    rule = bed.rule("serviceaccounts", "impersonate")
    await bed.made(api, "namespaces/default/roles", bed.role("r", rule))
    bound = bed.binding("r", "r", user="system:node:node-1", kind="Role")
    await bed.made(api, "namespaces/default/rolebindings", bound)
    # A service account's groups are implied with it.
    assert (await who(api, account, token=server.NODE_TOKEN)).status == 201
    other = [("impersonate-user", "system:serviceaccount:kube-system:bot")]
    assert (await who(api, other, token=server.NODE_TOKEN)).status == 403
