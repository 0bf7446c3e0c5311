"""Watchers by the thousand in a process of their own, which costs so little that it is no bottleneck.

Sockets, TLS by the standard library, and one epoll: no task and no buffer for each. The process takes one command a
line and answers each with one line of JSON. What is written must say in a field ``sent`` when it was sent, by the
machine's monotonic clock in nanoseconds, which all processes share; so nothing has to be matched.
"""

import asyncio
import contextlib
import math
import pathlib
import re
import resource
import select
import socket
import ssl
import statistics
import sys
import time
import urllib.parse
from collections.abc import AsyncIterator, Sequence

import msgspec

_MARK = b'"sent":"'
# Between two chunks of an answer (RFC 9112, 7.1), which may be in the middle of an event; JSON has no such line ends.
_CHUNK = re.compile(rb"\r\n[0-9a-f]+\r\n")
# Bytes of a cut mark and of what is between two chunks.
_KEPT = 32
_PIECE = 64 * 1024
# Descriptors that a process needs beside its connections.
_SPARE = 200


class Command(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Open a watch of each path, or hear so many events (as far as they come in time)."""

    open: list[str] = []
    hear: int = 0
    seconds: float = 60.0


class Heard(msgspec.Struct, kw_only=True):
    """What came of a command: watches that are open, events, and milliseconds from sending a write to hearing of it."""

    open: int
    events: int = 0
    median: float = 0.0
    p99: float = 0.0
    most: float = 0.0


def limit() -> int:
    """How many connections one process may have here."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1] - _SPARE


def stamp() -> str:
    """What a write puts into its field ``sent``."""
    return str(time.monotonic_ns())


class Listeners:
    """Watchers in another process, of one server."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def open(self, paths: Sequence[str]) -> int:
        """Watch further paths; how many there are now."""
        at = 0
        opened = 0
        while at < len(paths):
            opened = (await self._ask(Command(open=list(paths[at : at + 500])))).open
            at += 500
        return opened

    async def hear(self, events: int, *, seconds: float = 60.0) -> Heard:
        """Wait for so many events, of all watchers together; raises RuntimeError when fewer came in time."""
        heard = await self._ask(Command(hear=events, seconds=seconds))
        if heard.events < events:
            raise RuntimeError(f"only {heard.events} of {events} events were heard within {seconds:g} s")
        return heard

    async def _ask(self, command: Command) -> Heard:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(command) + b"\n")
        answer = await self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the process of the watchers ended")
        return msgspec.json.decode(answer, type=Heard)


@contextlib.asynccontextmanager
async def listening(url: str, *, token: str, authority: pathlib.Path) -> AsyncIterator[Listeners]:
    """A process for watchers of one server; they leave with it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.listeners", url, str(authority),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdin is not None
        # Not among its arguments, which everybody on the machine can read.
        process.stdin.write(token.encode() + b"\n")
        yield Listeners(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


class _Process:
    """The other side."""

    def __init__(self, url: str, token: str, authority: str) -> None:
        parts = urllib.parse.urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 443)
        self._host = parts.netloc
        self._token = token
        self._context = ssl.create_default_context(cafile=authority)
        self._context.check_hostname = False
        self._poll = select.epoll()
        self._open: dict[int, ssl.SSLSocket] = {}
        # The end of what was read, since a server may cut an event anywhere.
        self._rest: dict[int, bytes] = {}

    def do(self, command: Command) -> Heard:
        """One command."""
        for path in command.open:
            self._watch(path)
        return self._hear(command) if command.hear else Heard(open=len(self._open))

    def _watch(self, path: str) -> None:
        plain = socket.create_connection(self._address)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one = self._context.wrap_socket(plain)
        head = f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\nAuthorization: Bearer {self._token}\r\n\r\n"
        one.sendall(head.encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            piece = one.recv(_PIECE)
            if not piece:
                raise RuntimeError(f"no answer to {path}")
            answer += piece
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{path} answered {answer[:200]!r}")
        one.setblocking(False)
        self._open[one.fileno()] = one
        self._poll.register(one.fileno(), select.EPOLLIN)

    def _hear(self, command: Command) -> Heard:
        took: list[float] = []
        end = time.monotonic() + command.seconds
        while len(took) < command.hear and (left := end - time.monotonic()) > 0:
            for number, _ in self._poll.poll(left):
                self._read(number, took)
        took.sort()
        if not took:
            return Heard(open=len(self._open))
        return Heard(
            open=len(self._open),
            events=len(took),
            median=statistics.median(took),
            p99=took[math.ceil(len(took) * 0.99) - 1],
            most=took[-1],
        )

    def _read(self, number: int, took: list[float]) -> None:
        one = self._open[number]
        while True:
            try:
                data = one.recv(_PIECE)
            except ssl.SSLWantReadError:
                return
            now = time.monotonic_ns()
            if not data:
                raise RuntimeError("the server ended a watch")
            data = _CHUNK.sub(b"", self._rest.get(number, b"") + data)
            at = data.find(_MARK)
            while at >= 0 and (end := data.find(b'"', at + len(_MARK))) >= 0:
                took.append((now - int(data[at + len(_MARK) : end])) / 1e6)
                data = data[end:]
                at = data.find(_MARK)
            self._rest[number] = data[at:] if at >= 0 else data[-_KEPT:]


def _main(url: str, authority: str) -> None:
    process = _Process(url, sys.stdin.readline().strip(), authority)
    for line in sys.stdin:
        print(msgspec.json.encode(process.do(msgspec.json.decode(line, type=Command))).decode(), flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
