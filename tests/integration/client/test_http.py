"""The client over a real socket: whole answers, watches, failures."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from boxfleet.api import config
from boxfleet.client import client, errors, http, plain

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("carry", [http.Http, plain.Plain])]
Carry = type[http.Http] | type[plain.Plain]


async def answer(request: web.Request) -> web.StreamResponse:
    if request.headers["Authorization"] != "Bearer good":
        return web.json_response({"reason": "Unauthorized", "message": "who?"}, status=401)
    if "watch" not in request.query:
        return web.json_response({"items": [{"metadata": {"name": "a"}}], "metadata": {"resourceVersion": "7"}})
    if request.query["resourceVersion"] == "old":
        return web.json_response({"reason": "Expired", "message": "too old"}, status=410)
    stream = web.StreamResponse()
    await stream.prepare(request)
    text = b"".join(b'{"type":"ADDED","object":{"metadata":{"name":"%d"}}}\n' % n for n in range(3))
    # Cut in places where no line ends.
    for start in range(0, len(text), 20):
        await stream.write(text[start : start + 20])
        await asyncio.sleep(0)
    return stream


@pytest.fixture
async def url() -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_lists_and_watches(url: str, carry: Carry) -> None:
    api = client.Client(carry(url, token="good"))
    listing = await api.list(config.ConfigMap)
    assert (listing.resource_version, [item.metadata.name for item in listing.items]) == ("7", ["a"])
    seen = [change.object.metadata.name async for change in api.watch(config.ConfigMap, resource_version="7")]
    assert seen == ["0", "1", "2"]
    with pytest.raises(errors.Expired):
        await anext(api.watch(config.ConfigMap, resource_version="old"))
    await api.close()


async def test_a_failure_carries_the_servers_words(url: str, carry: Carry) -> None:
    api = client.Client(carry(url, token="bad"))
    with pytest.raises(errors.ApiError, match=r"who\?"):
        await api.list(config.ConfigMap)
    await api.close()


async def test_nobody_there_is_unavailable(carry: Carry) -> None:
    api = client.Client(carry("http://127.0.0.1:1", token="good"))
    with pytest.raises(errors.Unavailable, match=r"cannot reach http://127\.0\.0\.1:1"):
        await api.list(config.ConfigMap)
    await api.close()
