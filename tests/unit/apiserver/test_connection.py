"""HTTP over a real socket: its rules, and what strangers can make the server keep in memory."""

import asyncio
import contextlib
import pathlib
import ssl
from collections.abc import AsyncIterator

import pytest

from boxfleet.apiserver import connection
from boxfleet.testing import server

pytestmark = pytest.mark.anyio

_HEAD = b"POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\n"
_TOKEN = f"Authorization: Bearer {server.ADMIN_TOKEN}\r\n".encode()


async def _talk(socket: server.Socket, *parts: bytes, end: bool = True) -> bytes:
    """Send as much as is taken, and read until the server hangs up or has answered."""
    host, _, port = socket.url.removeprefix("https://").rpartition(":")
    tls = ssl.create_default_context(cafile=str(socket.ca_file))
    reader, writer = await asyncio.open_connection(host, int(port), ssl=tls)
    try:
        async with asyncio.timeout(10):
            try:
                for part in parts:
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(0)
                if end:
                    writer.write(b"\r\n")
                return await reader.readuntil(b"\r\n")
            except (ConnectionError, asyncio.IncompleteReadError):
                return b"hung up"
    finally:
        writer.transport.abort()


@pytest.mark.parametrize(
    "piece", [b"X-Endless: " + b"a" * 65536, b"X-Many: a\r\n" * 6000], ids=["one endless header", "endless headers"]
)
async def test_headers_without_end_are_refused(tmp_path: pathlib.Path, piece: bytes) -> None:
    rest = piece.removeprefix(b"X-Endless: ")
    async with server.running(tmp_path) as api, server.on_socket(api, tmp_path) as socket:
        pieces = [rest] * (2 * connection.LIMIT // len(rest))
        answer = await _talk(socket, _HEAD, piece, *pieces, end=False)
    assert answer in (b"HTTP/1.1 400 Bad Request\r\n", b"hung up")


async def test_trailers_without_end_are_refused(tmp_path: pathlib.Path) -> None:
    async with server.running(tmp_path) as api, server.on_socket(api, tmp_path) as socket:
        head = _HEAD + _TOKEN + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
        pieces = [b"X-Trailer: aaaaaaaaaaaaaaaaaaaa\r\n" * 4096] * 8
        answer = await _talk(socket, head, *pieces, end=False)
    assert answer in (b"HTTP/1.1 400 Bad Request\r\n", b"hung up")


async def test_large_bodies_and_long_queries_are_taken(tmp_path: pathlib.Path) -> None:
    body = b'{"metadata":{"name":"a"},"data":{"a":"' + b"x" * 900_000 + b'"}}'
    head = _HEAD + _TOKEN + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    chunks = [b"%x\r\n%s\r\n" % (len(body[at : at + 1000]), body[at : at + 1000]) for at in range(0, len(body), 1000)]
    chunked = _HEAD + _TOKEN + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    query = b"GET /api/v1/pods?limit=1&x=" + b"y" * 60_000 + b" HTTP/1.1\r\nHost: x\r\n" + _TOKEN
    async with server.running(tmp_path) as api, server.on_socket(api, tmp_path) as socket:
        assert await _talk(socket, head + body, end=False) == b"HTTP/1.1 201 Created\r\n"
        again = await _talk(socket, chunked, *chunks, b"0\r\n")
        assert again == b"HTTP/1.1 409 Conflict\r\n"
        assert await _talk(socket, query) == b"HTTP/1.1 200 OK\r\n"


@contextlib.asynccontextmanager
async def _connected(
    tmp_path: pathlib.Path,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, server.Api]]:
    async with server.running(tmp_path) as api, server.on_socket(api, tmp_path) as socket:
        host, _, port = socket.url.removeprefix("https://").rpartition(":")
        tls = ssl.create_default_context(cafile=str(socket.ca_file))
        reader, writer = await asyncio.open_connection(host, int(port), ssl=tls)
        try:
            async with asyncio.timeout(10):
                yield reader, writer, api
        finally:
            writer.transport.abort()


async def _answer(reader: asyncio.StreamReader, *, bodiless: bool = False) -> tuple[int, dict[str, str], bytes]:
    """The next answer with a known length."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    body = b"" if bodiless else await reader.readexactly(int(headers.get("content-length", 0)))
    return int(head[0].split()[1]), headers, body


def _get(path: str, *, version: str = "1.1", extra: bytes = b"", method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/{version}\r\nHost: x\r\n".encode() + _TOKEN + extra + b"\r\n"


async def test_requests_that_are_sent_ahead_are_answered_in_their_order(tmp_path: pathlib.Path) -> None:
    async with _connected(tmp_path) as (reader, writer, _):
        paths = ["/version", "/api", "/nothing", "/livez"] * 50
        writer.write(b"".join(_get(path) for path in paths))
        answers = [await _answer(reader) for _ in paths]
    assert [status for status, _, _ in answers] == [200, 200, 404, 200] * 50
    assert answers[0][2].startswith(b'{"major"')
    assert answers[3][2] == b"ok"
    assert "date" in answers[0][1]


async def test_each_request_of_a_connection_is_judged_by_its_own_headers(tmp_path: pathlib.Path) -> None:
    path = "/api/v1/namespaces/default"
    stranger = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer nobody's\r\n\r\n".encode()
    nobody = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    other = _get(path, extra=b"Impersonate-User: jane\r\n")
    table = _get(path, extra=b"Accept: application/json;as=Table;v=v1;g=meta.k8s.io\r\n")
    async with _connected(tmp_path) as (reader, writer, _):
        for request, wanted in [(_get(path), 200), (stranger, 401), (nobody, 401), (other, 403), (table, 200)] * 3:
            writer.write(request)
            status, _, body = await _answer(reader)
            assert status == wanted
            assert (b'"kind":"Table"' in body) == (request is table)


async def test_what_stands_behind_a_body_is_no_header(tmp_path: pathlib.Path) -> None:
    path = "/api/v1/namespaces/default"
    other = b"Impersonate-User: jane\r\n"
    trailed = _get(path, extra=b"Transfer-Encoding: chunked\r\n") + b"1\r\nx\r\n0\r\n" + other + b"\r\n"
    headed = _get(path, extra=b"Transfer-Encoding: chunked\r\n" + other) + b"1\r\nx\r\n0\r\n\r\n"
    async with _connected(tmp_path) as (reader, writer, _):
        for request, wanted in [(trailed, 200), (headed, 403)] * 2:
            writer.write(request)
            assert (await _answer(reader))[0] == wanted


async def test_a_body_arrives_in_pieces(tmp_path: pathlib.Path) -> None:
    body = b'{"metadata":{"name":"a"},"data":{"a":"b"}}'
    head = _HEAD + _TOKEN + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with _connected(tmp_path) as (reader, writer, _):
        for at in range(len(head + body)):
            writer.write((head + body)[at : at + 1])
            await writer.drain()
        assert (await _answer(reader))[0] == 201
        writer.write(_get("/api/v1/namespaces/default/configmaps/a"))
        assert (await _answer(reader))[0] == 200


async def test_who_waits_for_the_word_to_go_on_gets_it_once_known(tmp_path: pathlib.Path) -> None:
    body = b'{"metadata":{"name":"a"}}'
    rest = b"Content-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(body)
    async with _connected(tmp_path) as (reader, writer, _):
        writer.write(_HEAD + _TOKEN + rest)
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert (await _answer(reader))[0] == 201
        # A stranger is refused without it.
        writer.write(_HEAD + rest)
        assert (await _answer(reader))[0] == 401


async def test_old_and_closing_clients_are_hung_up_on(tmp_path: pathlib.Path) -> None:
    for request in (_get("/livez", version="1.0"), _get("/livez", extra=b"Connection: close\r\n")):
        async with _connected(tmp_path) as (reader, writer, _):
            writer.write(request)
            status, headers, body = await _answer(reader)
            assert (status, headers["connection"], body) == (200, "close", b"ok")
            assert await reader.read() == b""


async def test_a_head_has_the_length_and_no_body(tmp_path: pathlib.Path) -> None:
    async with _connected(tmp_path) as (reader, writer, _):
        writer.write(_get("/livez", method="HEAD") + _get("/livez"))
        assert (await _answer(reader, bodiless=True))[1]["content-length"] == "2"
        assert (await _answer(reader))[2] == b"ok"


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x16\x03\x01 no http\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused(tmp_path: pathlib.Path, nonsense: bytes) -> None:
    async with _connected(tmp_path) as (reader, writer, _):
        writer.write(nonsense)
        said = await reader.read()
    assert said.startswith((b"HTTP/1.1 400 Bad Request\r\n", b"HTTP/1.1 401 Unauthorized\r\n"))
    assert said.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(("sent", "said"), [(b"", b""), (_HEAD, b"HTTP/1.1 408 Request Timeout\r\n")])
async def test_silence_ends_the_connection(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, sent: bytes, said: bytes
) -> None:
    monkeypatch.setattr(connection, "_IDLE_SECONDS", 0.2)
    monkeypatch.setattr(connection, "_ARRIVAL_SECONDS", 0.2)
    async with _connected(tmp_path) as (reader, writer, _):
        writer.write(sent)
        assert (await reader.read()).startswith(said)


@pytest.mark.parametrize("body", [b"Content-Length: 5", b"Content-Length: 0", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("sent", [b"", b"{}", b"0\r\n\r\n"])
async def test_a_websocket_handshake_with_a_body_is_answered_at_once(
    tmp_path: pathlib.Path, body: bytes, sent: bytes
) -> None:
    wish = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    wish += b"Sec-WebSocket-Protocol: v5.channel.k8s.io\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    path = "/api/v1/namespaces/default/pods/nobody/exec?command=a"
    async with _connected(tmp_path) as (reader, writer, _):
        writer.write(_get(path, extra=wish + body + b"\r\n") + sent)
        assert await reader.readline() == b"HTTP/1.1 404 \r\n"


async def test_a_plain_upgrade_is_answered_as_a_request(tmp_path: pathlib.Path) -> None:
    async with _connected(tmp_path) as (reader, writer, _):
        writer.write(_get("/livez", extra=b"Connection: Upgrade\r\nUpgrade: h2c\r\n"))
        status, headers, body = await _answer(reader)
        assert (status, headers["connection"], body) == (200, "close", b"ok")


async def test_a_client_that_leaves_ends_its_watch(tmp_path: pathlib.Path) -> None:
    async with _connected(tmp_path) as (reader, writer, api):
        # The server itself watches, too.
        before = api.store.watchers
        writer.write(_get("/api/v1/configmaps?watch=1"))
        assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
        assert api.store.watchers == before + 1
        writer.transport.abort()
        while api.store.watchers > before:
            await asyncio.sleep(0)


async def test_a_request_sent_during_a_watch_is_answered_after_it(tmp_path: pathlib.Path) -> None:
    """A stream lets go of what its connection needs between requests, and gets it again."""
    async with server.running(tmp_path) as api, server.on_socket(api, tmp_path) as socket:
        host, _, port = socket.url.removeprefix("https://").rpartition(":")
        tls = ssl.create_default_context(cafile=str(socket.ca_file))
        reader, writer = await asyncio.open_connection(host, int(port), ssl=tls)
        try:
            async with asyncio.timeout(10):
                for path in (b"/api/v1/pods?watch=1&resourceVersion=0", b"/version", b"/livez"):
                    writer.write(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n" + _TOKEN + b"\r\n")
                    if b"watch" in path:
                        assert b"chunked" in await reader.readuntil(b"\r\n\r\n")
                api.store.end_watches()
                assert await reader.readuntil(b"0\r\n\r\n") == b"0\r\n\r\n"
                assert b"gitVersion" in await reader.readuntil(b"}")
                answer = await reader.readuntil(b"\r\n\r\n")
                assert answer.startswith(b"HTTP/1.1 200"), answer
                assert await reader.readexactly(2) == b"ok"
        finally:
            writer.transport.abort()


async def test_a_watch_learns_that_its_client_has_left(tmp_path: pathlib.Path) -> None:
    async with server.running(tmp_path) as api, server.on_socket(api, tmp_path) as socket:
        host, _, port = socket.url.removeprefix("https://").rpartition(":")
        tls = ssl.create_default_context(cafile=str(socket.ca_file))
        reader, writer = await asyncio.open_connection(host, int(port), ssl=tls)
        before = api.store.watchers
        writer.write(b"GET /api/v1/pods?watch=1&resourceVersion=0 HTTP/1.1\r\nHost: x\r\n" + _TOKEN + b"\r\n")
        async with asyncio.timeout(10):
            await reader.readuntil(b"\r\n\r\n")
            assert api.store.watchers == before + 1
            writer.transport.abort()
            while api.store.watchers > before:
                await asyncio.sleep(0)
