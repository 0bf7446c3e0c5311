"""Users with a password: one path takes it and gives a token, which ends with the user and the password."""

import base64
import datetime
import pathlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from boxfleet.apiserver.identity import local_users, passwords
from boxfleet.testing import server

pytestmark = pytest.mark.anyio

_SECRETS = "/api/v1/namespaces/kube-system/secrets"
_WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_WHO_BODY = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


class Clock:
    """Stands where it is put."""

    def __init__(self) -> None:
        self.moment = datetime.datetime(2026, 5, 1, tzinfo=datetime.UTC)

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
        data = local_users.data("jane@x.org", "correct horse", ["developers", "system:masters"])
        body = {
            "metadata": {"name": local_users.secret_name("jane@x.org")},
            "type": local_users.TYPE,
            "stringData": data,
        }
        assert (await server.send(running.app, "POST", _SECRETS, body)).status == 201
        yield running


async def login(
    api: server.Api, name: str = "jane@x.org", password: str = "correct horse", **extra: str
) -> server.Reply:
    basic = base64.b64encode(f"{name}:{password}".encode()).decode()
    headers = {"authorization": f"Basic {basic}", **extra}
    return await server.send(api.app, "POST", local_users.PATH, token="", headers=headers)


async def who(api: server.Api, token: str) -> Any:
    reply = await server.send(api.app, "POST", _WHO, _WHO_BODY, token=token)
    return reply.json["status"]["userInfo"] if reply.status == 201 else None


async def test_a_password_gives_a_token_that_ends(api: server.Api, clock: Clock) -> None:
    reply = await login(api)
    assert reply.status == 201
    assert reply.json["expirationTimestamp"] == "2026-05-01T12:00:00Z"
    user = await who(api, reply.json["token"])
    assert (user["username"], user["groups"]) == ("jane@x.org", ["developers", "system:authenticated"])
    clock.wait(12 * 3600)
    assert await who(api, reply.json["token"]) is None


async def test_the_token_ends_with_the_password_and_with_the_user(api: server.Api) -> None:
    first = (await login(api)).json["token"]
    where = f"{_SECRETS}/{local_users.secret_name('jane@x.org')}"
    headers = {"content-type": "application/merge-patch+json"}
    # Another change of the user is no other password.
    await server.send(api.app, "PATCH", where, {"metadata": {"labels": {"a": "b"}}}, headers=headers)
    assert await who(api, first)
    changed = {"stringData": {"hash": passwords.hashed("battery staple")}}
    assert (await server.send(api.app, "PATCH", where, changed, headers=headers)).status == 200
    assert await who(api, first) is None
    assert (await login(api)).status == 401
    second = (await login(api, password="battery staple")).json["token"]
    assert await who(api, second)
    await server.send(api.app, "DELETE", where)
    assert await who(api, second) is None
    assert (await login(api, password="battery staple")).status == 401


async def test_a_password_opens_nothing_but_the_login(api: server.Api) -> None:
    basic = base64.b64encode(b"jane@x.org:correct horse").decode()
    headers = {"authorization": f"Basic {basic}"}
    assert (await server.send(api.app, "GET", "/version", token="", headers=headers)).status == 401
    # Who is known otherwise has no password to show.
    token = (await login(api)).json["token"]
    for each in (token, server.ADMIN_TOKEN):
        assert (await server.send(api.app, "POST", local_users.PATH, token=each)).status == 400
    for wrong in ("", "jane@x.org", "%%%", base64.b64encode(b"jane@x.org").decode()):
        reply = await server.send(
            api.app, "POST", local_users.PATH, token="", headers={"authorization": f"Basic {wrong}"}
        )
        assert reply.status == 401


async def test_guessing_gets_slow_for_user_and_address_and_is_forgiven(api: server.Api, clock: Clock) -> None:
    for _ in range(6):
        assert (await login(api, password="guess")).status == 401
    reply = await login(api)
    assert (reply.status, ("retry-after", "1") in reply.headers) == (429, True)
    clock.wait(1.1)
    assert (await login(api, password="guess")).status == 401
    assert (await login(api)).status == 429
    clock.wait(2.1)
    assert (await login(api)).status == 201
    assert (await login(api)).status == 201


async def test_checks_are_bounded(clock: Clock) -> None:
    checks = passwords.Checks(clock=clock)
    known = passwords.hashed("right word")
    assert await checks.check("right word", known, user="a", address="1")
    assert not await checks.check("right word", None, user="a", address="1")
    assert not await checks.check("x" * 100000, known, user="a", address="1")
    for number in range(5000):
        checks._fail(f"user {number}")
    assert len(checks._failures) <= 4096
