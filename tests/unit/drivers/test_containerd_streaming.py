"""The client of containerd's streaming server against one made of the same framing, on the loopback address."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest

from boxfleet.drivers.containerd import streaming
from boxfleet.kit import spdy
from boxfleet.ports import runtime

pytestmark = pytest.mark.anyio

ANSWER = b"HTTP/1.1 101 Switching Protocols\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n"


class Server:
    """Answers one upgrade; what stdin brings comes back on stdout in capitals, then the status."""

    def __init__(self, *, answer: bytes = ANSWER, status: bytes = b'{"status":"Success"}') -> None:
        self.answer = answer
        self.status = status
        self.streams: dict[str, int] = {}
        self.request = b""
        self.sizes = b""
        self.url = ""
        self.hang_up = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            self.request = await reader.readuntil(b"\r\n\r\n")
            writer.write(self.answer)
            if self.answer == ANSWER and not self.hang_up:
                await self._streams(reader, writer)
        writer.close()

    async def _streams(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = spdy.Connection(client=False)
        while data := await reader.read(1000):
            for event in server.receive(data):
                if isinstance(event, spdy.Opened):
                    self.streams[event.headers["streamtype"]] = event.stream
                    server.reply(event.stream)
                elif isinstance(event, spdy.Data) and event.stream == self.streams.get("resize"):
                    self.sizes += event.data
                elif isinstance(event, spdy.Data):
                    server.send(self.streams["stdout"], event.data.upper())
                    if event.fin:
                        server.send(self.streams["error"], self.status, fin=True)
                        for kind in ("stdout", "stderr"):
                            if kind in self.streams:
                                server.send(self.streams[kind], b"", fin=True)
            writer.write(server.outbox())
            await writer.drain()


@contextlib.asynccontextmanager
async def serving(server: Server) -> AsyncIterator[Server]:
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    async with listener:
        server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/exec/token"
        yield server


async def collected(session: runtime.Session) -> bytes:
    return b"".join([data async for number, data in session.output() if number == 1])


async def test_streams_both_ways_and_the_exit_code() -> None:
    failed = {"status": "Failure", "details": {"causes": [{"reason": "ExitCode", "message": "7"}]}}
    async with serving(Server(status=json.dumps(failed).encode())) as server:
        session = await streaming.connect(server.url, stdin=True, tty=False, stderr=True)
        await session.send_stdin(b"abc" * 50_000)
        await session.send_stdin(b"")
        await session.close_stdin()
        assert await collected(session) == b"ABC" * 50_000
        assert await session.exit_code() == 7
        await session.close()
        assert server.streams.keys() == {"error", "stdin", "stdout", "stderr"}
        assert b"Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n" in server.request


async def test_a_terminal_has_sizes_and_no_standard_error() -> None:
    async with serving(Server()) as server:
        session = await streaming.connect(server.url, stdin=True, tty=True, stderr=True)
        await session.resize(width=80, height=24)
        await session.close_stdin()
        assert await collected(session) == b""
        assert await session.exit_code() == 0
        await session.close()
        assert server.streams.keys() == {"error", "stdin", "stdout", "resize"}
        assert json.loads(server.sizes) == {"Width": 80, "Height": 24}


async def test_a_command_that_could_not_run_is_a_fault() -> None:
    status = b'{"status":"Failure","message":"no such program"}'
    async with serving(Server(status=status)) as server:
        session = await streaming.connect(server.url, stdin=True, tty=False, stderr=True)
        await session.close_stdin()
        await collected(session)
        with pytest.raises(runtime.RuntimeFault, match="no such program"):
            await session.exit_code()
        await session.close()


async def test_a_connection_that_breaks_has_no_exit_code() -> None:
    server = Server()
    server.hang_up = True
    async with serving(server):
        session = await streaming.connect(server.url, stdin=False, tty=False, stderr=True)
        assert await collected(session) == b""
        with pytest.raises(runtime.Unavailable, match="before the runtime told the outcome"):
            await session.exit_code()
        await session.close()


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\ncannot find token", runtime.RuntimeFault, "404 Not Found: cannot find token"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", runtime.RuntimeFault, "chose protocol ''"),
        (b"", runtime.Unavailable, "cannot open streams"),
        (b"x" * 200_000, runtime.RuntimeFault, "does not speak HTTP"),
    ],
)
async def test_refusals_say_why(answer: bytes, kind: type[Exception], words: str) -> None:
    async with serving(Server(answer=answer)) as server:
        with pytest.raises(kind, match=words):
            await streaming.connect(server.url, stdin=True, tty=False, stderr=True)


async def test_nobody_listens() -> None:
    async with serving(Server()) as server:
        pass
    with pytest.raises(runtime.Unavailable, match="cannot open streams"):
        await streaming.connect(server.url, stdin=True, tty=False, stderr=True)
    with pytest.raises(runtime.RuntimeFault, match="is not an http URL"):
        await streaming.connect("https://x", stdin=True, tty=False, stderr=True)
