"""A network namespace, and a way into it from the machine's loopback address."""

import asyncio
import contextlib
import ctypes
import os
import pathlib
import socket
import subprocess
import threading
from collections.abc import Iterator

_CLONE_NEWNET = 0x40000000
_CHUNK = 64 * 1024


class Way:
    """Ports of the machine's loopback address that lead to the same ones inside.

    One thread is in the namespace: what it connects is there, what it accepts was opened outside.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="way", daemon=True)
        self._relays: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._cut = False

    @property
    def inside(self) -> list[str]:
        """The words before a command that make it run in there."""
        return ["nsenter", f"--net={self._path}"]

    def start(self) -> None:
        """Enter the namespace."""
        self._thread.start()
        if not self._ready.wait(10):
            raise OSError(f"cannot enter {self._path}")

    def open(self) -> int:
        """A port that nobody has outside, and that leads inside from now on."""
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        port: int = listener.getsockname()[1]
        asyncio.run_coroutine_threadsafe(self._listen(listener, port), self._loop).result(10)
        return port

    @contextlib.contextmanager
    def cut(self) -> Iterator[None]:
        """Meanwhile connections are refused, and those that were there are gone."""
        self._cut = True
        self._loop.call_soon_threadsafe(self._abort)
        try:
            yield
        finally:
            self._cut = False

    def close(self) -> None:
        """End all connections and leave."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # Of this thread only; Python 3.12 has a call of its own for it.
            entered = ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET) == 0
        finally:
            os.close(descriptor)
        if entered:
            self._ready.set()
            self._loop.run_forever()
        self._loop.close()

    async def _listen(self, listener: socket.socket, port: int) -> None:
        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._relay(reader, writer, port)

        self._servers.append(await asyncio.start_server(accepted, sock=listener))

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._relays.add(task)
        self._writers.add(writer)
        try:
            if self._cut:
                return
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
            self._writers.add(inner_writer)
            try:
                await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))
            finally:
                self._writers.discard(inner_writer)
                inner_writer.transport.abort()
        except OSError:
            return
        finally:
            self._writers.discard(writer)
            writer.transport.abort()
            self._relays.discard(task)

    def _abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        self._abort()
        await asyncio.gather(*self._relays, return_exceptions=True)
        for _ in range(3):
            # What was aborted is let go of in the loop's next turns.
            await asyncio.sleep(0)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


@contextlib.contextmanager
def made(name: str) -> Iterator[Way]:
    """A namespace of that name with an address that is not loopback's, and the way into it; gone at the end."""
    path = pathlib.Path("/run/netns", name)
    _command("ip", "netns", "add", name)
    try:
        way = Way(path)
        _command("ip", "-n", name, "link", "set", "lo", "up")
        _command(*way.inside, "sysctl", "-qw", "net.ipv4.ip_forward=0")
        _command("ip", "-n", name, "link", "add", "node0", "type", "bridge")
        _command("ip", "-n", name, "address", "add", f"{ADDRESS}/24", "dev", "node0")
        _command("ip", "-n", name, "link", "set", "node0", "up")
        way.start()
        try:
            yield way
        finally:
            way.close()
    finally:
        _command("ip", "netns", "delete", name)


# Of the range for documentation: nobody's network has it.
ADDRESS = "192.0.2.1"


def _command(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)
