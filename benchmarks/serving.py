"""A server to measure, in a process of its own: TLS, authentication, authorization, audit, a durable store."""

import asyncio
import contextlib
import dataclasses
import pathlib
import signal
import sys
from collections.abc import AsyncIterator

from benchmarks import wrk

from boxfleet.client import http
from boxfleet.kit import collector
from boxfleet.testing import server


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A server under load, and who vouches for it."""

    target: wrk.Target
    ca_file: pathlib.Path


@contextlib.asynccontextmanager
async def served(folder: pathlib.Path) -> AsyncIterator[Side]:
    """Boxfleet's API server, with its store and audit log in a folder."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.serving", str(folder), stdout=asyncio.subprocess.PIPE, limit=2**20
    )
    try:
        assert process.stdout is not None
        url, ca_file = (await process.stdout.readline()).decode().split()
        target = wrk.Target(url=url, token=server.ADMIN_TOKEN, processes=[process.pid])
        yield Side(target=target, ca_file=pathlib.Path(ca_file))
    finally:
        process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def asking(side: Side) -> AsyncIterator[http.Http]:
    """A client of one side."""
    api = http.Http(side.target.url, token=side.target.token, authority=side.ca_file)
    try:
        yield api
    finally:
        await api.close()


async def send(
    api: http.Http, method: str, path: str, body: bytes = b"", *, content_type: str = "application/json"
) -> bytes:
    """One request; raises RuntimeError on a refusal."""
    answer = await api.request(method, path, query={}, body=body, content_type=content_type)
    if answer.status >= 400:
        raise RuntimeError(f"{method} {path} answered {answer.status}: {answer.body[:200]!r}")
    return answer.body


async def _serve(folder: pathlib.Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with (
        server.recording(folder) as audit,
        server.running(folder, audit=audit) as api,
        server.on_socket(api, folder) as socket,
    ):
        print(socket.url, socket.ca_file, flush=True)
        # As the server in use does.
        collector.settle()
        await stop.wait()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve(pathlib.Path(sys.argv[1])))
