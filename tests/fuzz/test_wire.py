"""Requests with bytes changed by chance, over real sockets: each is answered or hung up on, and nothing is left of it.

The seed of a failure is in the test's name; `-k` runs it again.
"""

import asyncio
import contextlib
import pathlib
import random
import re
import ssl

import pytest

from boxfleet.testing import server

pytestmark = pytest.mark.anyio

TOKEN = f"Authorization: Bearer {server.ADMIN_TOKEN}\r\n".encode()
POD = b'{"metadata":{"name":"a"},"spec":{"containers":[{"name":"c","image":"x"}]}}'
PATHS = [
    b"/api/v1/namespaces/default/configmaps",
    b"/api/v1/namespaces/default/pods/a/log?follow=true&tailLines=3",
    b"/apis/boxfleet.dev/v1/namespaces/default/boxes?limit=2&continue=abc",
    b"/openapi/v3/api/v1",
    b"/readyz?verbose",
    b"/metrics",
]
HEADERS = [
    b"Accept: application/json;as=Table;v=v1;g=meta.k8s.io\r\n",
    b"Accept-Encoding: gzip\r\n",
    b"Impersonate-User: somebody\r\n",
    b'If-None-Match: "x"\r\n',
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n",
    b"Expect: 100-continue\r\n",
    b"X-Long: " + b"y" * 3000 + b"\r\n",
]
ODD = [
    b"\0",
    b"\xff\xfe",
    b"\r\n",
    b"\r\n\r\n",
    b"%00",
    b"%",
    b"../",
    b"//",
    b"\xc0\xaf",
    b"[" * 500,
    b'{"a":' * 500,
    b"-1",
    b"9" * 40,
]


def request(chance: random.Random) -> bytes:
    """A request that makes sense, mostly."""
    method = chance.choice([b"GET", b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"HEAD", b"OPTIONS"])
    head = method + b" " + chance.choice(PATHS) + b" HTTP/1.1\r\nHost: x\r\n"
    if chance.random() < 0.9:
        head += TOKEN
    for header in chance.sample(HEADERS, chance.randint(0, 2)):
        head += header
    if method in (b"POST", b"PUT", b"PATCH"):
        kinds = [b"application/json", b"application/merge-patch+json", b"application/json-patch+json", b"text/html"]
        head += b"Content-Type: " + chance.choice(kinds) + b"\r\n"
        if chance.random() < 0.3:
            return head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(POD), POD)
        return head + b"Content-Length: %d\r\n\r\n%s" % (len(POD), POD)
    return head + b"\r\n"


def changed(chance: random.Random, data: bytes) -> bytes:
    """The same with some bytes other, missing, doubled or in between."""
    for _ in range(chance.randint(0, 4)):
        at = chance.randrange(len(data))
        how = chance.randrange(5)
        if how == 0:
            data = data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
        elif how == 1:
            data = data[:at] + data[at + chance.randint(1, 20) :]
        elif how == 2:
            data = data[:at] + chance.choice(ODD) + data[at:]
        elif how == 3:
            data = data[:at] + data[at : at + 30] + data[at:]
        else:
            data = data[:at]
        if not data:
            return b"\r\n"
    return data


@pytest.mark.parametrize("seed", range(4))
async def test_changed_bytes_harm_nobody(tmp_path: pathlib.Path, seed: int, caplog: pytest.LogCaptureFixture) -> None:
    chance = random.Random(seed)
    statuses: set[int] = set()
    async with server.running(tmp_path) as api, server.on_socket(api, tmp_path) as socket:
        host, _, port = socket.url.removeprefix("https://").rpartition(":")
        trust = ssl.create_default_context(cafile=str(socket.ca_file))

        async def talk(pieces: list[bytes]) -> None:
            reader, writer = await asyncio.open_connection(host, int(port), ssl=trust)
            try:
                with contextlib.suppress(ConnectionError, ssl.SSLError):
                    for piece in pieces:
                        writer.write(piece)
                        await writer.drain()
                    # Whatever came before, this ends the connection, if only by being no request.
                    writer.write(b"\r\n\r\n!\r\n\r\n")
                    said = await _all(reader)
                    statuses.update(int(found) for found in re.findall(rb"^HTTP/1\.1 (\d{3}) ", said, re.MULTILINE))
            finally:
                writer.transport.abort()

        # The server's own.
        watchers = api.store.watchers
        async with asyncio.timeout(60):
            for _ in range(25):
                talks = [[changed(chance, request(chance)) for _ in range(chance.randint(1, 3))] for _ in range(40)]
                await asyncio.gather(*(talk(pieces) for pieces in talks))
        assert (await server.send(api.app, "GET", "/readyz")).status == 200
        # Whoever left has left the store as well.
        async with asyncio.timeout(10):
            while api.store.watchers > watchers:
                await asyncio.sleep(0.01)
    assert {200, 400, 401, 404} <= statuses
    assert not {status for status in statuses if status >= 500}
    assert "Traceback" not in caplog.text


async def _all(reader: asyncio.StreamReader) -> bytes:
    """What is said until the connection ends, or until nothing more comes: a watch goes on for ever."""
    said = b""
    while True:
        try:
            async with asyncio.timeout(0.3):
                piece = await reader.read(65536)
        except TimeoutError:
            return said
        if not piece:
            return said
        said += piece
