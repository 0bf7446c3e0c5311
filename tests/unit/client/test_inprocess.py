"""Calls into an app of the same process."""

import asyncio
import contextlib
from typing import Any

import pytest

from boxfleet.client import errors, inprocess, transport

pytestmark = pytest.mark.anyio


async def _start(send: Any, status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})


def _app(handle: Any) -> inprocess.InProcess:
    return inprocess.InProcess(handle, token="t")


async def test_a_request_carries_everything() -> None:
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)
        seen["body"] = (await receive())["body"]
        await _start(send, 201)
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})

    answer = await _app(app).request("POST", "/a b", query={"x": "1&2"}, body=b"{}", content_type="text/x")
    assert (answer.status, answer.body) == (201, b"onetwo")
    assert (seen["method"], seen["path"], seen["query_string"], seen["body"]) == ("POST", "/a b", b"x=1%262", b"{}")
    assert (b"authorization", b"Bearer t") in seen["headers"]
    assert (b"content-type", b"text/x") in seen["headers"]


async def test_lines_do_not_care_about_messages() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await _start(send)
        for piece in (b"on", b"e\ntwo\nth", b"ree\n", b""):
            await send({"type": "http.response.body", "body": piece, "more_body": True})

    assert [line async for line in _app(app).lines("/", query={})] == [b"one", b"two", b"three"]


async def test_a_reader_that_leaves_ends_the_call() -> None:
    ended = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await _start(send)
            await send({"type": "http.response.body", "body": b"line\n", "more_body": True})
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with contextlib.aclosing(_app(app).lines("/", query={})) as lines:
        assert await anext(lines) == b"line"
    assert ended.is_set()


async def test_a_slow_reader_makes_the_app_wait() -> None:
    sent = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await _start(send)
        while True:
            await send({"type": "http.response.body", "body": b"line\n", "more_body": True})
            sent += 1

    async with contextlib.aclosing(_app(app).lines("/", query={})) as lines:
        await anext(lines)
        for _ in range(100):
            await asyncio.sleep(0)
        assert sent < 50


async def test_refusals() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await _start(send, 410)
        body = b'{"reason":"Expired",\n"message":"too old"}'
        await send({"type": "http.response.body", "body": body})

    with pytest.raises(errors.Expired, match="too old"):
        async for _ in _app(app).lines("/", query={}):
            pass


async def test_an_app_that_fails_is_unavailable() -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        return

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        await _start(send)
        await send({"type": "http.response.body", "body": b"line\n", "more_body": True})
        raise ZeroDivisionError

    with pytest.raises(errors.Unavailable):
        await _app(silent).request("GET", "/", query={})
    with pytest.raises(errors.Unavailable):
        async for _ in _app(silent).lines("/", query={}):
            pass
    seen = []
    with pytest.raises(errors.Unavailable):
        async for line in _app(broken).lines("/", query={}):
            seen.append(line)
    assert seen == [b"line"]


class Answering:
    """An app that gives whole answers as they are, and others by messages."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("there is a shorter way")

    async def respond(self, scope: Any, receive: Any, send: Any) -> inprocess.Whole | None:
        if scope["path"] == "/whole":
            return transport.Response(201, (await receive())["body"])
        await _start(send, 202)
        await send({"type": "http.response.body", "body": b"piece", "more_body": True})
        await send({"type": "http.response.body", "body": b" by piece"})
        return None


async def test_whole_answers_need_no_messages() -> None:
    via = _app(Answering())
    whole = await via.request("POST", "/whole", query={}, body=b"{}")
    assert (whole.status, whole.body) == (201, b"{}")
    other = await via.request("GET", "/other", query={})
    assert (other.status, other.body) == (202, b"piece by piece")
