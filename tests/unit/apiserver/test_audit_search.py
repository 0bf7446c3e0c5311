"""Finding records in files and by the API; showing them."""

import asyncio
import contextlib
import datetime
import pathlib
from collections.abc import AsyncIterator

import msgspec
import pytest

from boxfleet.api import audit
from boxfleet.apiserver.audit import auditor, files, journal, policy, search, served
from boxfleet.app import settings
from boxfleet.cli import audit as command
from boxfleet.cli import faults, options
from boxfleet.client import client, inprocess
from boxfleet.client import errors as client_errors
from boxfleet.kit import clock
from boxfleet.testing import server

pytestmark = pytest.mark.anyio

NOW = datetime.datetime(2030, 1, 1, 12, tzinfo=datetime.UTC)


def line(
    at: int, *, user: str = "jane", verb: str = "create", code: int = 201, tenant: str = "", **about: str
) -> bytes:
    moment = NOW + datetime.timedelta(seconds=at)
    return audit.encode(
        audit.Event(
            auditID=str(at),
            stage=audit.COMPLETE,
            requestURI="/x",
            verb=verb,
            user=audit.User(username=user),
            requestReceivedTimestamp=moment,
            stageTimestamp=moment,
            objectRef=audit.Reference(**({"resource": "pods", "namespace": "shop", "name": "a"} | about)),
            responseStatus=audit.Status(code=code),
            annotations={audit.TENANT: tenant} if tenant else {},
        )
    )


def ids(folder: pathlib.Path, **wish: object) -> list[str]:
    return [found.event.auditID for found in search.Search(folder, search.Wish(**wish)).run()]  # type: ignore[arg-type]


def test_records_of_all_servers_come_in_order_of_time(tmp_path: pathlib.Path) -> None:
    (tmp_path / "one.jsonl").write_bytes(line(1) + line(4))
    files.set_aside(tmp_path, "one", now=NOW + datetime.timedelta(seconds=5))
    (tmp_path / "one.jsonl").write_bytes(line(6) + b'{"torn\n' + line(8))
    (tmp_path / "two.jsonl").write_bytes(line(2) + line(7))
    assert ids(tmp_path) == ["1", "2", "4", "6", "7", "8"]
    assert ids(tmp_path, limit=2) == ["7", "8"]
    assert ids(tmp_path, since=NOW + datetime.timedelta(seconds=6), until=NOW + datetime.timedelta(seconds=7)) == [
        "6",
        "7",
    ]
    looking = search.Search(tmp_path, search.Wish())
    assert len(list(looking.run())) == 6
    assert looking.unreadable == 1


def test_each_word_narrows(tmp_path: pathlib.Path) -> None:
    (tmp_path / "one.jsonl").write_bytes(
        line(1)
        + line(2, user="joe", verb="delete", code=403)
        + line(3, tenant="acme", subresource="exec")
        + line(4, resource="secrets", namespace="bank", name="b")
    )
    assert ids(tmp_path, user="joe") == ["2"]
    assert ids(tmp_path, verb="delete") == ["2"]
    assert ids(tmp_path, denied=True) == ["2"]
    assert ids(tmp_path, tenant="acme") == ["3"]
    assert ids(tmp_path, resource="pods/exec") == ["3"]
    assert ids(tmp_path, resource="pods") == ["1", "2", "3"]
    assert ids(tmp_path, namespace="bank") == ids(tmp_path, name="b") == ["4"]
    # What only looks like it is not it.
    assert ids(tmp_path, user="acme") == []


def test_times_are_said_in_two_ways() -> None:
    assert search.moment("2h", now=NOW) == NOW - datetime.timedelta(hours=2)
    assert search.moment("2030-01-01T12:00:00Z", now=NOW) == NOW
    assert search.moment("2030-01-01", now=NOW) == NOW.replace(hour=0)
    with pytest.raises(search.SearchError, match="yesterday"):
        search.moment("yesterday", now=NOW)


def test_what_is_written_is_followed_over_a_turn(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "one.jsonl"
    path.write_bytes(line(1))
    tail = search.Tail(tmp_path, search.Search(tmp_path, search.Wish(user="jane")))
    try:
        assert tail.take() == []
        with path.open("ab") as file:
            file.write(line(2) + line(3, user="joe") + line(4)[:20])
            file.flush()
            assert [found.event.auditID for found in tail.take()] == ["2"]
            file.write(line(4)[20:])
        files.set_aside(tmp_path, "one", now=NOW)
        path.write_bytes(line(5))
        (tmp_path / "two.jsonl").write_bytes(line(6))
        assert [found.event.auditID for found in tail.take()] == ["4", "5", "6"]
    finally:
        tail.close()


@contextlib.asynccontextmanager
async def asked(folder: pathlib.Path) -> AsyncIterator[tuple[server.Api, client.Client]]:
    book = journal.Journal(folder / "audit", server="one", clock=clock.SystemClock())
    book.start()
    routes = served.Served(folder / "audit", clock=clock.SystemClock()).routes()
    made = auditor.Auditor(book, server="one", rules=policy.Policy())
    async with server.running(folder, audit=made, extra_routes=routes) as api:
        yield api, client.Client(inprocess.InProcess(api.app, token=server.ADMIN_TOKEN))
    await book.stop()


async def test_auditors_ask_the_api(tmp_path: pathlib.Path) -> None:
    async with asked(tmp_path) as (api, admin):
        for name in "ab":
            path = "/api/v1/namespaces/default/configmaps"
            await server.send(api.app, "POST", path, {"metadata": {"name": name}})
        found = [msgspec.json.decode(each) async for each in admin.lines("/audit", query={"name": "b", "since": "1h"})]
        assert [each["objectRef"]["name"] for each in found] == ["b"]
        auditor_of = {
            "metadata": {"name": "who"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "auditor"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ann"}],
        }
        ann, joe = {"impersonate-user": "ann"}, {"impersonate-user": "joe"}
        path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
        assert (await server.send(api.app, "POST", path, auditor_of)).status == 201
        async with asyncio.timeout(20):
            # The auditor's role is gathered from others.
            while (await server.send(api.app, "GET", "/audit?limit=1", headers=ann)).status != 200:
                await asyncio.sleep(0.01)
        assert (await server.send(api.app, "GET", "/audit", headers=joe)).status == 403
        assert (await server.send(api.app, "GET", "/audit?since=yesterday")).status == 400
        with pytest.raises(client_errors.ApiError, match="yesterday"):
            [each async for each in admin.lines("/audit", query={"since": "yesterday"})]


def shown(folder: pathlib.Path, form: options.Lines, capsys: pytest.CaptureFixture[str], **given: str) -> str:
    known = settings.All(state=str(folder))
    assert command.run(known, form, given, follow=False, kubeconfig=None) == 0
    return capsys.readouterr().out


def test_the_command_shows_a_table_and_exports(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit" / "one.jsonl").write_bytes(line(1) + line(2, user="joe", verb="delete", code=403))
    head, first, second = shown(tmp_path, options.Lines.TABLE, capsys).splitlines()
    assert head.split() == ["TIME", "USER", "VERB", "OBJECT", "CODE", "FROM"]
    assert "jane  create  pods shop/a  201" in first
    assert "joe   delete" in second
    assert (
        shown(tmp_path, options.Lines.JSONL, capsys, user="joe")
        == line(2, user="joe", verb="delete", code=403).decode()
    )
    whole = msgspec.json.decode(shown(tmp_path, options.Lines.JSON, capsys, denied="true"))
    assert (whole["kind"], len(whole["items"])) == ("EventList", 1)


def test_the_command_says_what_is_wrong(tmp_path: pathlib.Path) -> None:
    known = settings.All(state=str(tmp_path))
    with pytest.raises(faults.CommandFailed, match="no server has run here"):
        command.run(known, options.Lines.TABLE, {}, follow=False, kubeconfig=None)
    with pytest.raises(faults.CommandFailed, match="yesterday"):
        command.run(known, options.Lines.TABLE, {"since": "yesterday"}, follow=False, kubeconfig=None)
