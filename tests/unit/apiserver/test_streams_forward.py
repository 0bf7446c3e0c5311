import asyncio
import contextlib
import pathlib
from collections.abc import AsyncIterator

import aiohttp
import pytest
from tests.unit.apiserver import streams_bed as beds

from boxfleet.kit import spdy

pytestmark = pytest.mark.anyio

PATH = beds.POD_URL + "/portforward"
PROTOCOL = "SPDY/3.1+portforward.k8s.io"


class Kubectl:
    """The user's end of port-forward."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.spdy = spdy.Connection(client=True)
        self.received: dict[int, bytes] = {}
        self.ended: set[int] = set()

    async def connect(self, port: int | str, request: int = 0) -> tuple[int, int]:
        headers = {"port": str(port), "requestID": str(request)}
        error = self.spdy.open(headers | {"streamType": "error"}, fin=True)
        data = self.spdy.open(headers | {"streamType": "data"})
        await self.flush()
        return error, data

    async def flush(self) -> None:
        await self.socket.send_bytes(self.spdy.outbox())

    async def until_ended(self, *streams: int) -> None:
        while not self.ended.issuperset(streams):
            await self.take()

    async def take(self) -> None:
        message = await self.socket.receive()
        assert message.type is aiohttp.WSMsgType.BINARY
        for event in self.spdy.receive(message.data):
            if isinstance(event, spdy.Data):
                self.received[event.stream] = self.received.get(event.stream, b"") + event.data
                if event.fin:
                    self.ended.add(event.stream)
            elif isinstance(event, spdy.Reset):
                self.ended.add(event.stream)


@contextlib.asynccontextmanager
async def upper() -> AsyncIterator[int]:
    """A port that answers in capitals once its input ends."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write((await reader.read()).upper())
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_connections_side_by_side(tmp_path: pathlib.Path) -> None:
    async with beds.bed(tmp_path) as bed, upper() as port, bed.websocket(PATH, protocol=PROTOCOL) as socket:
        assert socket.protocol == PROTOCOL
        user = Kubectl(socket)
        pairs = [await user.connect(port, request) for request in range(5)]
        for index, (_, data) in enumerate(pairs):
            user.spdy.send(data, f"hello {index}".encode() * 10_000, fin=True)
        await user.flush()
        async with asyncio.timeout(10):
            await user.until_ended(*(stream for pair in pairs for stream in pair))
        for index, (error, data) in enumerate(pairs):
            assert user.received[error] == b""
            assert user.received[data] == f"HELLO {index}".encode() * 10_000


async def test_much_data_both_ways(tmp_path: pathlib.Path) -> None:
    async with beds.bed(tmp_path) as bed, upper() as port, bed.websocket(PATH, protocol=PROTOCOL) as socket:
        user = Kubectl(socket)
        error, data = await user.connect(port)
        for _ in range(160):
            user.spdy.send(data, b"x" * 50_000)
            await user.flush()
        user.spdy.send(data, b"", fin=True)
        await user.flush()
        async with asyncio.timeout(20):
            await user.until_ended(error, data)
        assert user.received[data] == b"X" * 8_000_000


async def test_a_port_that_nobody_serves(tmp_path: pathlib.Path) -> None:
    async with beds.bed(tmp_path) as bed, bed.websocket(PATH, protocol=PROTOCOL) as socket:
        user = Kubectl(socket)
        for port, words in ((1, b"error forwarding port 1 to pod p"), ("http", b"invalid port")):
            error, data = await user.connect(port, request=len(user.ended))
            await user.until_ended(error, data)
            assert words in user.received[error]


async def test_a_connection_broken_off_by_the_user_ends_in_the_instance(tmp_path: pathlib.Path) -> None:
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"up")
        with contextlib.suppress(ConnectionError):
            await reader.read()
        ended.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, beds.bed(tmp_path) as bed, bed.websocket(PATH, protocol=PROTOCOL) as socket, asyncio.timeout(30):
        user = Kubectl(socket)
        port = server.sockets[0].getsockname()[1]
        error, data = await user.connect(port)
        while user.received.get(data) != b"up":
            await user.take()
        user.spdy.reset(data, spdy.CANCEL)
        await user.flush()
        await user.until_ended(error)
        await ended.wait()
        # Broken off before anything was done about it.
        headers = {"port": str(port), "requestID": "1"}
        error = user.spdy.open(headers | {"streamType": "error"}, fin=True)
        user.spdy.reset(user.spdy.open(headers | {"streamType": "data"}), spdy.CANCEL)
        await user.flush()
        await user.until_ended(error)


async def test_a_user_who_vanishes_leaves_nothing_open(tmp_path: pathlib.Path) -> None:
    async with beds.bed(tmp_path) as bed, upper() as port:
        before = len(asyncio.all_tasks())
        async with bed.websocket(PATH, protocol=PROTOCOL) as socket:
            user = Kubectl(socket)
            await user.connect(port)
            assert (await socket.receive()).data
            socket._response.connection.transport.abort()  # type: ignore[union-attr]
        async with asyncio.timeout(30):
            while len(asyncio.all_tasks()) > before:
                await asyncio.sleep(0.005)


async def test_what_is_not_spdy_ends_the_connection(tmp_path: pathlib.Path) -> None:
    async with beds.bed(tmp_path) as bed, bed.websocket(PATH, protocol=PROTOCOL) as socket:
        await socket.send_bytes(b"\x80\x02\x00\x06\x00\x00\x00\x04rest")
        async with asyncio.timeout(30):
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
