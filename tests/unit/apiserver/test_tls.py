"""TLS over a real socket: what goes wrong with it, and much data."""

import asyncio
import contextlib
import pathlib
import ssl
from collections.abc import AsyncIterator

import pytest

from boxfleet.apiserver import tls
from boxfleet.testing import server

pytestmark = pytest.mark.anyio


class Echo(asyncio.Protocol):
    """Sends back what comes; notes how it ended."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert isinstance(self.transport, asyncio.Transport)
        self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()


@contextlib.asynccontextmanager
async def served(folder: pathlib.Path) -> AsyncIterator[tuple[int, ssl.SSLContext, list[Echo]]]:
    certificate, key = server.self_signed(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    engines = tls.Engines(context)
    made: list[Echo] = []

    def factory() -> tls.Tls:
        made.append(Echo())
        return tls.Tls(engines, made[-1])

    listening = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    async with asyncio.timeout(20):
        yield listening.sockets[0].getsockname()[1], ssl.create_default_context(cafile=str(certificate)), made
    listening.close()
    await listening.wait_closed()


@contextlib.asynccontextmanager
async def connected(
    port: int, trust: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError, ssl.SSLError):
            await writer.wait_closed()


@pytest.mark.parametrize("size", [1, tls._PIECE, tls._PIECE + 1, 3_000_000])
async def test_all_that_is_sent_comes_back(tmp_path: pathlib.Path, size: int) -> None:
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    async with served(tmp_path) as (port, trust, made):
        async with connected(port, trust) as (reader, writer):
            async with asyncio.TaskGroup() as group:
                group.create_task(_send(writer, data))
                back = await reader.readexactly(size)
            assert back == data
        await made[0].ended.wait()


async def test_nothing_is_lost_while_the_protocol_pauses(tmp_path: pathlib.Path) -> None:
    async with served(tmp_path) as (port, trust, made):
        async with connected(port, trust) as (reader, writer):
            writer.write(b"a")
            assert await reader.readexactly(1) == b"a"
            transport = made[0].transport
            assert isinstance(transport, tls.Transport)
            transport.pause_reading()
            writer.write(b"b" * 100_000)
            for _ in range(50):
                await asyncio.sleep(0)
            transport.resume_reading()
            assert await reader.readexactly(100_000) == b"b" * 100_000
        await made[0].ended.wait()


async def test_connections_do_not_mix_though_they_share_memory(tmp_path: pathlib.Path) -> None:
    async with served(tmp_path) as (port, trust, made):
        async with connected(port) as one, connected(port) as other:
            first, second = _ByHand(trust, *one), _ByHand(trust, *other)
            # Each step of one handshake is cut in two by a step of the other.
            await asyncio.gather(first.shake(), second.shake())
            first.engine.write(b"a" * 5000)
            second.engine.write(b"b" * 5000)
            halves = [first.outgoing.read(), second.outgoing.read()]
            for part in (slice(0, 2000), slice(2000, 2003), slice(2003, None)):
                for client, data in ((first, halves[0]), (second, halves[1])):
                    client.writer.write(data[part])
                    await client.writer.drain()
                    await asyncio.sleep(0)
            assert await first.read(5000) == b"a" * 5000
            assert await second.read(5000) == b"b" * 5000
        for each in made:
            await each.ended.wait()


async def test_one_may_end_another_while_it_is_told_of_data(tmp_path: pathlib.Path) -> None:
    async with served(tmp_path) as (port, trust, made):
        async with connected(port) as one, connected(port, trust) as (reader, writer):
            client = _ByHand(trust, *one)
            await client.shake()
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
            mine, its = made
            said = mine.data_received

            def end(data: bytes) -> None:
                assert isinstance(its.transport, tls.Transport)
                its.transport.close()
                said(data)

            mine.data_received = end  # type: ignore[method-assign]
            # Several records at once: the end of the other comes between them.
            for text in (b"1", b"22", b"333"):
                client.engine.write(text)
            client.writer.write(client.outgoing.read())
            assert await client.read(6) == b"122333"
            assert await reader.read() == b""
        for each in made:
            await each.ended.wait()


async def test_damaged_bytes_end_only_their_connection(tmp_path: pathlib.Path) -> None:
    async with served(tmp_path) as (port, trust, made):
        async with connected(port) as one, connected(port, trust) as (reader, writer):
            client = _ByHand(trust, *one)
            await client.shake()
            client.engine.write(b"a")
            client.engine.write(b"b")
            data = bytearray(client.outgoing.read())
            data[10] ^= 1
            client.writer.write(data)
            with pytest.raises((ssl.SSLError, asyncio.IncompleteReadError)):
                await client.read(1)
            writer.write(b"well")
            assert await reader.readexactly(4) == b"well"
        for each in made:
            await each.ended.wait()


async def test_a_goodbye_is_said_and_heard(tmp_path: pathlib.Path) -> None:
    async with served(tmp_path) as (port, trust, made):
        async with connected(port, trust) as (reader, writer):
            writer.write(b"a")
            await reader.readexactly(1)
            transport = made[0].transport
            assert isinstance(transport, tls.Transport)
            transport.write(b"last words")
            transport.close()
            assert await reader.read() == b"last words"
        await made[0].ended.wait()


async def test_who_speaks_no_tls_is_told(tmp_path: pathlib.Path) -> None:
    async with served(tmp_path) as (port, _, _):
        async with connected(port) as (reader, writer):
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"400 Bad Request" in await reader.read()
        async with connected(port) as (reader, writer):
            writer.write(b"\0" * 100)
            # An alert record (RFC 8446, 5.1), or nothing.
            assert (await reader.read())[:1] in (b"\x15", b"")


async def test_a_handshake_must_come_to_its_end(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "_HANDSHAKE_SECONDS", 0.1)
    async with served(tmp_path) as (port, _, made), connected(port) as (reader, writer):
        writer.write(b"\x16\x03\x01\x02")
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        assert not hasattr(made[0], "transport")


class _ByHand:
    """A client that decides which bytes go when."""

    def __init__(self, trust: ssl.SSLContext, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.engine = trust.wrap_bio(self.incoming, self.outgoing, server_hostname="127.0.0.1")

    async def shake(self) -> None:
        """Shake hands; what is sent goes in two halves."""
        while True:
            try:
                self.engine.do_handshake()
            except ssl.SSLWantReadError:
                await self._send_halves()
                await self._hear()
            else:
                await self._send_halves()
                return

    async def read(self, size: int) -> bytes:
        """So many bytes."""
        data = b""
        while len(data) < size:
            try:
                data += self.engine.read(size - len(data))
            except ssl.SSLWantReadError:
                await self._hear()
        return data

    async def _hear(self) -> None:
        data = await self.reader.read(2**16)
        if not data:
            raise asyncio.IncompleteReadError(b"", 1)
        self.incoming.write(data)

    async def _send_halves(self) -> None:
        data = self.outgoing.read()
        for half in (data[: len(data) // 2], data[len(data) // 2 :]):
            self.writer.write(half)
            await self.writer.drain()
            await asyncio.sleep(0)


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()
