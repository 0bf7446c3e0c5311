"""SIGTERM under load: every request that was sent is answered whole, watches end as they should, and it is quick."""

import asyncio
import collections
import pathlib
import ssl
import sys

import pytest

from boxfleet.testing import server

pytestmark = pytest.mark.anyio

_SERVER = pathlib.Path(__file__).with_name("stopped_server.py")
_PATH = "/api/v1/namespaces/default/configmaps"
_CLIENTS = 24
# The server says itself that it ends within five seconds.
_SECONDS = 10.0


class Client:
    """One connection after the other, each kept for as long as the server keeps it."""

    def __init__(self, url: str, folder: pathlib.Path) -> None:
        host, _, port = url.removeprefix("https://").rpartition(":")
        self._where = (host, int(port))
        self._tls = ssl.create_default_context(cafile=str(folder / "pki" / "ca.crt"))

    def head(self, method: str, path: str, *, length: int = 0) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {server.ADMIN_TOKEN}"]
        lines += ["Content-Type: application/json", f"Content-Length: {length}"] if length else []
        return "\r\n".join([*lines, "", ""]).encode()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self._where, ssl=self._tls)

    async def load(self, number: int, ended: collections.Counter[str]) -> None:
        """Write and read until nobody answers any more; counts how."""
        sent = 0
        while True:
            try:
                reader, writer = await self.connect()
            except OSError:
                ended["refused before anything was sent"] += 1
                return
            try:
                again = True
                while again:
                    sent += 1
                    body = b'{"metadata":{"name":"a%d-%d"}}' % (number, sent)
                    request = self.head("POST", _PATH, length=len(body)) + body
                    writer.write(request if sent % 2 else self.head("GET", f"{_PATH}?limit=5"))
                    status, again = await _answer(reader)
                    ended[f"status {status}"] += 1
            except (OSError, asyncio.IncompleteReadError):
                ended["cut off"] += 1
                return
            finally:
                writer.transport.abort()

    async def watch_again_and_again(self) -> None:
        """As informers do: when a watch has ended, begin another one; ends when nobody answers."""
        while True:
            try:
                reader, writer = await self.connect()
            except OSError:
                return
            try:
                writer.write(self.head("GET", f"{_PATH}?watch=true"))
                while b"0\r\n\r\n" not in await reader.read(65536):
                    if reader.at_eof():
                        break
            except OSError:
                continue
            finally:
                writer.transport.abort()

    async def watch(self, watching: asyncio.Event) -> bytes:
        """The last bytes of a watch."""
        reader, writer = await self.connect()
        writer.write(self.head("GET", f"{_PATH}?watch=true&allowWatchBookmarks=true"))
        await reader.readuntil(b"\r\n\r\n")
        watching.set()
        last = b""
        try:
            while chunk := await reader.read(65536):
                last = (last + chunk)[-100:]
            return last
        finally:
            writer.transport.abort()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """Status, and whether the connection goes on."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
    headers = dict(line.split(": ", 1) for line in head[1:] if line)
    await reader.readexactly(int(headers["content-length"]))
    return int(head[0].split()[1]), headers.get("connection") != "close"


async def test_nothing_under_way_is_cut_off(tmp_path: pathlib.Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(_SERVER), str(tmp_path), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        client = Client((await process.stdout.readline()).decode().strip(), tmp_path)
        ended: collections.Counter[str] = collections.Counter()
        watching = asyncio.Event()
        watch = asyncio.create_task(client.watch(watching))
        await watching.wait()
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(client.watch_again_and_again())
            for number in range(_CLIENTS):
                group.create_task(client.load(number, ended))
            while ended["status 201"] < 500:
                await asyncio.sleep(0.01)
            process.terminate()
        async with asyncio.timeout(_SECONDS):
            assert await process.wait() == 0
        assert process.stderr is not None
        # Nothing had to be given up.
        assert await process.stderr.read() == b""
        assert ended["cut off"] == 0, ended
        assert ended["refused before anything was sent"] == _CLIENTS
        assert {name for name in ended if name.startswith("status")} == {"status 200", "status 201"}
        # The chunk that says that the watch ended as it should (RFC 9112, 7.1).
        assert (await watch).endswith(b"0\r\n\r\n")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
