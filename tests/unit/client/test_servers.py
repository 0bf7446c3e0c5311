"""Which server is spoken to when some do not answer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from boxfleet.api import config
from boxfleet.client import client, errors, http, servers

pytestmark = pytest.mark.anyio


def test_the_next_one_is_asked_and_others_complaints_come_late() -> None:
    known = servers.Servers(["https://a/", "https://b"], announced=["https://b", "https://c"])
    assert known.urls == ("https://a", "https://b", "https://c")
    known.avoid("https://a")
    # Several requests fail at once: each says so.
    known.avoid("https://a")
    assert known.present == "https://b"
    known.announce(["https://c"])
    assert known.present == "https://b"
    known.avoid("https://b")
    assert known.present == "https://c"
    known.announce([])
    assert known.present == "https://c"
    known.avoid("https://c")
    assert known.present == "https://a"
    with pytest.raises(ValueError, match="no server is named"):
        servers.Servers([])


async def test_who_waits_hears_of_changes_alone() -> None:
    known = servers.Servers(["https://a"], announced=["https://b"])
    waiting = asyncio.create_task(known.changed())
    await asyncio.sleep(0)
    known.announce(["https://b/"])
    await asyncio.sleep(0)
    assert not waiting.done()
    known.announce(["https://c"])
    await waiting


class _Server:
    """Answers lists, says 503 when told so, and counts."""

    def __init__(self) -> None:
        self.asked = 0
        self.status = 200
        self.open = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        if self.status != 200:
            return web.json_response({"reason": "ServiceUnavailable", "message": "no database"}, status=self.status)
        if "watch" not in request.query:
            return web.json_response({"items": [], "metadata": {"resourceVersion": "7"}})
        stream = web.StreamResponse()
        await stream.prepare(request)
        self.open.set()
        await asyncio.Event().wait()
        return stream

    @contextlib.asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", self.answer)
        runner = web.AppRunner(app, shutdown_timeout=0.01)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


async def test_a_request_goes_on_with_the_next_server_and_stays_there() -> None:
    one, two = _Server(), _Server()
    async with contextlib.AsyncExitStack() as stack:
        dying = contextlib.AsyncExitStack()
        first = await dying.enter_async_context(one.serving())
        second = await stack.enter_async_context(two.serving())
        known = servers.Servers([first], announced=[second])
        api = client.Client(http.Http(known))
        stack.push_async_callback(api.close)
        await api.list(config.ConfigMap)
        watching = asyncio.create_task(anext(api.watch(config.ConfigMap, resource_version="7")))
        await one.open.wait()
        assert (one.asked, two.asked) == (2, 0)
        await dying.aclose()
        # The watch breaks, and nothing that begins afterwards fails.
        with pytest.raises(errors.Unavailable):
            await watching
        await api.list(config.ConfigMap)
        assert (known.present, two.asked) == (second, 1)
        # One that has lost its database says so, and is left; nobody else is there, so it is asked again.
        two.status = 503
        for times in (2, 3):
            with pytest.raises(errors.Unavailable, match="no database"):
                await api.list(config.ConfigMap)
            assert two.asked == times


async def test_nobody_there_is_told_after_each_was_tried() -> None:
    known = servers.Servers(["http://127.0.0.1:1", "http://127.0.0.1:2"])
    api = client.Client(http.Http(known))
    try:
        with pytest.raises(errors.Unavailable, match=r"cannot reach http://127\.0\.0\.1:2"):
            await api.list(config.ConfigMap)
    finally:
        await api.close()
