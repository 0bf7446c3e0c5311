"""What is recorded, in which words, and when nothing is done because nothing can be recorded."""

import contextlib
import pathlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest

from boxfleet.api import audit
from boxfleet.apiserver.audit import auditor, journal, policy
from boxfleet.kit import clock
from boxfleet.testing import server

pytestmark = pytest.mark.anyio

PATH = "/api/v1/namespaces/default/configmaps"


@contextlib.asynccontextmanager
async def audited(
    folder: pathlib.Path, *, rules: Sequence[policy.Rule] = (), required: bool = True, flush_first: bool = False
) -> AsyncIterator[tuple[server.Api, journal.Journal]]:
    book = journal.Journal(folder / "audit", server="one", clock=clock.SystemClock(), flush_first=flush_first)
    book.start()
    try:
        made = auditor.Auditor(book, server="one", rules=policy.Policy(rules), required=required)
        async with server.running(folder, audit=made) as api:
            yield api, book
    finally:
        await book.stop()


def lines(folder: pathlib.Path, *, server: str = "one") -> list[Any]:
    text = (folder / "audit" / f"{server}.jsonl").read_bytes()
    assert not text or text.endswith(b"\n")
    return [msgspec.json.decode(line) for line in text.splitlines()]


async def test_a_write_is_on_disk_when_it_is_answered(tmp_path: pathlib.Path) -> None:
    async with audited(tmp_path) as (api, _):
        body = {"metadata": {"name": "a"}, "data": {"password": "hunter2"}}
        reply = await server.send(api.app, "POST", PATH, body, headers={"user-agent": "me/1"})
        [line] = lines(tmp_path)
        headers = dict(reply.headers)
    assert b"hunter2" not in msgspec.json.encode(line)
    assert line["kind"] == "Event"
    assert line["apiVersion"] == "audit.k8s.io/v1"
    assert line["level"] == "Metadata"
    assert line["stage"] == "ResponseComplete"
    assert line["auditID"] == headers["audit-id"]
    assert line["verb"] == "create"
    assert line["requestURI"] == PATH
    assert line["user"] == {"username": "admin", "groups": ["system:masters", "system:authenticated"]}
    assert line["userAgent"] == "me/1"
    assert line["objectRef"] == {
        "resource": "configmaps",
        "namespace": "default",
        "name": "a",
        "apiVersion": "v1",
    }
    assert line["responseStatus"] == {"code": 201}
    assert line["annotations"][audit.DECISION] == "allow"
    assert line["annotations"][audit.SERVER] == "one"
    assert float(line["annotations"][audit.MILLISECONDS]) > 0
    assert line["requestReceivedTimestamp"] <= line["stageTimestamp"]


async def test_reads_are_not_recorded_unless_a_rule_says_so(tmp_path: pathlib.Path) -> None:
    rule = policy.Rule(
        level="Metadata", resources=(policy.Resources(resources=("secrets",)),), verbs=("get", "list", "watch")
    )
    async with audited(tmp_path, rules=[rule]) as (api, _):
        await server.send(api.app, "GET", PATH)
        await server.send(api.app, "GET", "/version")
        await server.send(api.app, "GET", "/api/v1/namespaces/default/secrets")
        found = lines(tmp_path)
    assert [(line["verb"], line["objectRef"]["resource"]) for line in found] == [("list", "secrets")]


async def test_refusals_of_writes_and_of_secrets_are_recorded(tmp_path: pathlib.Path) -> None:
    node = server.NODE_TOKEN
    async with audited(tmp_path) as (api, _):
        assert (await server.send(api.app, "GET", PATH, token="nobody")).status == 401
        assert (await server.send(api.app, "POST", PATH, {}, token="nobody")).status == 401
        assert (await server.send(api.app, "POST", PATH, {"metadata": {"name": "a"}}, token=node)).status == 403
        assert (await server.send(api.app, "GET", PATH, token=node)).status == 403
        assert (await server.send(api.app, "GET", "/api/v1/secrets", token=node)).status == 403
        found = lines(tmp_path)
    told = [(line["verb"], line["responseStatus"]["code"], line["annotations"].get(audit.DECISION)) for line in found]
    assert told == [("post", 401, None), ("create", 403, "forbid"), ("list", 403, "forbid")]
    assert found[1]["user"]["username"] == "system:node:node-1"
    assert found[1]["responseStatus"]["reason"] == "Forbidden"


async def test_refused_strangers_cannot_fill_the_disk(tmp_path: pathlib.Path) -> None:
    async with audited(tmp_path) as (api, _):
        for _ in range(200):
            await server.send(api.app, "POST", PATH, {}, token="nobody")
        found = lines(tmp_path)
    # The two hundred may fall on several seconds.
    assert 20 <= len(found) < 200


async def test_who_acts_in_anothers_name_is_recorded_with_both(tmp_path: pathlib.Path) -> None:
    async with audited(tmp_path) as (api, _):
        await server.send(api.app, "GET", PATH, headers={"impersonate-user": "jane", "impersonate-group": "dev"})
        [line] = lines(tmp_path)
    assert line["user"]["username"] == "admin"
    assert line["impersonatedUser"]["username"] == "jane"
    assert "dev" in line["impersonatedUser"]["groups"]
    assert line["responseStatus"]["code"] == 403


async def test_every_answer_names_its_record(tmp_path: pathlib.Path) -> None:
    async with server.running(tmp_path) as api:
        ids = [
            dict((await server.send(api.app, "GET", path)).headers)["audit-id"] for path in ("/version", "/no", PATH)
        ]
    assert len(set(ids)) == 3
    assert all(len(one) == 36 and one.count("-") == 4 for one in ids)


async def test_the_tenant_of_a_namespace_is_told(tmp_path: pathlib.Path) -> None:
    async with audited(tmp_path) as (api, _):
        labels = {"boxfleet.dev/tenant": "acme"}
        await server.send(api.app, "POST", "/api/v1/namespaces", {"metadata": {"name": "shop", "labels": labels}})
        await server.send(api.app, "DELETE", "/api/v1/namespaces/shop/configmaps/none")
        found = lines(tmp_path)
    assert found[-1]["annotations"][audit.TENANT] == "acme"
    assert found[-1]["responseStatus"]["reason"] == "NotFound"


async def test_secrets_in_a_query_are_hidden(tmp_path: pathlib.Path) -> None:
    async with audited(tmp_path) as (api, _):
        await server.send(api.app, "DELETE", f"{PATH}/a?access_token=hunter2&dryRun=All")
        [line] = lines(tmp_path)
    assert "hunter2" not in line["requestURI"]
    assert "dryRun=All" in line["requestURI"]


async def test_heartbeats_are_left_out_by_rule(tmp_path: pathlib.Path) -> None:
    async with audited(tmp_path, rules=[policy.HEARTBEATS]) as (api, _):
        lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
        body = {"metadata": {"name": server.NODE}}
        assert (await server.send(api.app, "POST", lease, body, token=server.NODE_TOKEN)).status == 201
        found = (await server.send(api.app, "GET", f"{lease}/{server.NODE}", token=server.NODE_TOKEN)).json
        found["spec"] = {"renewTime": "2030-01-01T00:00:00.000000Z"}
        put = await server.send(api.app, "PUT", f"{lease}/{server.NODE}", found, token=server.NODE_TOKEN)
        assert put.status == 200
        assert [line["verb"] for line in lines(tmp_path)] == ["create"]


async def test_answers_can_wait_for_the_disk(tmp_path: pathlib.Path) -> None:
    async with audited(tmp_path, flush_first=True) as (api, _):
        for name in "abc":
            assert (await server.send(api.app, "POST", PATH, {"metadata": {"name": name}})).status == 201
        assert len(lines(tmp_path)) == 3
