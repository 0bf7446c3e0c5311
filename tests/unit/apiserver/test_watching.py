"""Watch: order, selectors, resuming, bookmarks, forms."""

import asyncio
import contextlib
import pathlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from boxfleet.client import errors, inprocess
from boxfleet.store import settings
from boxfleet.testing import server

pytestmark = pytest.mark.anyio

MAPS = "/api/v1/namespaces/default/configmaps"
MERGE = {"content-type": "application/merge-patch+json"}


class Events:
    def __init__(self, lines: AsyncIterator[bytes]) -> None:
        self._lines = lines

    async def next(self) -> tuple[str, dict[str, Any]]:
        async with asyncio.timeout(30):
            event = msgspec.json.decode(await anext(self._lines))
        return event["type"], event["object"]

    async def names(self, count: int) -> list[tuple[str, str]]:
        found = [await self.next() for _ in range(count)]
        return [(type_, obj["metadata"]["name"]) for type_, obj in found]


@contextlib.asynccontextmanager
async def watch(api: server.Api, path: str = MAPS, **query: str) -> AsyncIterator[Events]:
    lines = inprocess.InProcess(api.app, token=server.ADMIN_TOKEN).lines(path, query={"watch": "1", **query})
    async with contextlib.aclosing(lines):
        yield Events(lines)


async def put(api: server.Api, name: str, **labels: str) -> str:
    body = {"metadata": {"name": name, "labels": labels}}
    reply = await server.send(api.app, "POST", MAPS, body)
    assert reply.status == 201
    revision: str = reply.json["metadata"]["resourceVersion"]
    return revision


async def label(api: server.Api, name: str, **labels: str | None) -> None:
    reply = await server.send(api.app, "PATCH", f"{MAPS}/{name}", {"metadata": {"labels": labels}}, headers=MERGE)
    assert reply.status == 200


async def test_state_first_then_changes(api: server.Api) -> None:
    await put(api, "b")
    await put(api, "a")
    async with watch(api) as events:
        assert await events.names(2) == [("ADDED", "a"), ("ADDED", "b")]
        await put(api, "c")
        await label(api, "a", x="y")
        await server.send(api.app, "DELETE", f"{MAPS}/b")
        assert await events.names(3) == [("ADDED", "c"), ("MODIFIED", "a"), ("DELETED", "b")]


async def test_resuming_loses_nothing(api: server.Api) -> None:
    revision = await put(api, "a")
    await put(api, "b")
    await put(api, "c")
    async with watch(api, resourceVersion=revision) as events:
        assert await events.names(2) == [("ADDED", "b"), ("ADDED", "c")]


async def test_resuming_after_a_restart(tmp_path: pathlib.Path) -> None:
    async with server.running(tmp_path) as api:
        revision = await put(api, "a")
        await put(api, "b")
        await server.send(api.app, "DELETE", f"{MAPS}/a")
    async with server.running(tmp_path) as api, watch(api, resourceVersion=revision) as events:
        assert await events.names(2) == [("ADDED", "b"), ("DELETED", "a")]


async def test_too_old_is_said_in_the_stream(tmp_path: pathlib.Path) -> None:
    async with server.running(tmp_path, settings=settings.Settings(history_changes=3)) as api:
        for name in "abcdef":
            await put(api, name)
        async with watch(api, resourceVersion="1") as events:
            type_, status = await events.next()
    assert type_ == "ERROR"
    assert (status["code"], status["reason"]) == (410, "Expired")
    assert status["message"].startswith("too old resource version: 1 (")


async def test_selectors_decide_what_comes_and_goes(api: server.Api) -> None:
    revision = await put(api, "a")
    async with watch(api, resourceVersion=revision, labelSelector="on=yes") as events:
        await put(api, "b", on="yes")
        await label(api, "a", on="yes")
        await label(api, "a", more="1")
        await label(api, "a", on="no")
        await label(api, "a", more="2")
        await server.send(api.app, "DELETE", f"{MAPS}/a")
        await server.send(api.app, "DELETE", f"{MAPS}/b")
        seen = [await events.next() for _ in range(5)]
    assert [(type_, obj["metadata"]["name"]) for type_, obj in seen] == [
        ("ADDED", "b"),
        ("ADDED", "a"),
        ("MODIFIED", "a"),
        ("DELETED", "a"),
        ("DELETED", "b"),
    ]
    left, before = seen[3][1]["metadata"], seen[2][1]["metadata"]
    # The last state that matched, at the revision at which it left.
    assert left["labels"] == before["labels"]
    assert int(left["resourceVersion"]) > int(before["resourceVersion"])


async def test_initial_events_end_with_a_bookmark(api: server.Api) -> None:
    await put(api, "a")
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    async with watch(api, **query) as events:
        assert await events.names(1) == [("ADDED", "a")]
        type_, obj = await events.next()
    assert type_ == "BOOKMARK"
    assert obj["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert obj["metadata"]["resourceVersion"] == str(api.store.revision)


@pytest.mark.parametrize(
    "query",
    [
        {"sendInitialEvents": "true"},
        {"resourceVersionMatch": "NotOlderThan"},
        {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"},
    ],
)
async def test_wrong_combinations(api: server.Api, query: dict[str, str]) -> None:
    with pytest.raises(errors.Invalid):
        async with watch(api, **query) as events:
            await events.next()


async def test_wrong_revisions(api: server.Api) -> None:
    for revision in ("abc", "-1"):
        with pytest.raises(errors.ApiError) as caught:
            async with watch(api, resourceVersion=revision) as events:
                await events.next()
        assert caught.value.code == 400


async def test_a_time_limit_ends_it_with_a_bookmark(api: server.Api) -> None:
    revision = await put(api, "a")
    async with watch(api, resourceVersion=revision, timeoutSeconds="1", allowWatchBookmarks="true") as events:
        type_, obj = await events.next()
        assert (type_, obj["metadata"]["resourceVersion"]) == ("BOOKMARK", revision)
        with pytest.raises(StopAsyncIteration):
            await events.next()


async def test_the_server_ends_watches_when_it_stops(api: server.Api) -> None:
    async with watch(api) as events:
        await put(api, "a")
        await events.next()
        api.app.stop()
        with pytest.raises(StopAsyncIteration):
            await events.next()
    assert (await server.send(api.app, "GET", "/readyz")).status == 500
    assert (await server.send(api.app, "GET", "/livez")).status == 200


async def test_a_slow_reader_is_cut_off_and_costs_nobody_else(tmp_path: pathlib.Path) -> None:
    async with server.running(tmp_path, settings=settings.Settings(watch_backlog=20)) as api:
        async with watch(api) as slow:
            await put(api, "first")
            await slow.next()
            for number in range(60):
                await put(api, f"x{number}")
            seen = 0
            with pytest.raises(StopAsyncIteration):
                while True:
                    await slow.next()
                    seen += 1
            assert seen < 60
        assert len((await server.send(api.app, "GET", MAPS)).json["items"]) == 61


async def test_tables_say_their_columns_once(api: server.Api) -> None:
    await put(api, "a")
    lines = _TableWatch(api)
    first = await lines.next()
    await put(api, "b")
    second = await lines.next()
    await lines.end()
    assert first["object"]["columnDefinitions"][0]["name"] == "Name"
    assert not second["object"]["columnDefinitions"]
    assert second["object"]["rows"][0]["cells"][0] == "b"


class _TableWatch:
    """A watch with an Accept header, which our own client never sends."""

    def __init__(self, api: server.Api) -> None:
        self._lines: asyncio.Queue[bytes] = asyncio.Queue()
        self._gone = asyncio.Event()
        headers = {
            "authorization": f"Bearer {server.ADMIN_TOKEN}",
            "accept": "application/json;as=Table;v=v1;g=meta.k8s.io",
        }
        scope = {
            "type": "http",
            "method": "GET",
            "path": MAPS,
            "query_string": b"watch=1",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        self._task = asyncio.create_task(api.app(scope, self._receive, self._send))

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(30):
            event: dict[str, Any] = msgspec.json.decode(await self._lines.get())
        return event

    async def end(self) -> None:
        # The client leaves: the server must notice by itself.
        self._gone.set()
        await asyncio.wait_for(self._task, 5)

    async def _receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.body" and message.get("body"):
            self._lines.put_nowait(message["body"])
