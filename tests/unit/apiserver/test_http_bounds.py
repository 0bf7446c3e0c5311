"""What strangers can make the server keep in memory, over a real socket."""

import asyncio
import pathlib
import ssl

import pytest

from boxfleet.apiserver import http_bounds
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
        pieces = [rest] * (2 * http_bounds.LIMIT // len(rest))
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
