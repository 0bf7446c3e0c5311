"""Server processes that share one PostgreSQL, each with folders of its own below its home."""

import asyncio
import contextlib
import dataclasses
import datetime
import pathlib
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator

import pytest

from boxfleet.api import namespace
from boxfleet.app import bootstrap, credentials, paths, settings
from boxfleet.client import client, errors, http
from boxfleet.testing import postgres


@pytest.fixture
def cluster(short_dir: pathlib.Path) -> Iterator[postgres.Cluster]:
    if not postgres.installed():
        pytest.skip("this machine lacks PostgreSQL; ./run test installs it")
    folder = short_dir / "pg"
    folder.mkdir()
    # PostgreSQL runs as somebody else, who must reach its folder.
    short_dir.chmod(0o755)
    with postgres.cluster(folder) as running:
        yield running


@dataclasses.dataclass(slots=True, kw_only=True)
class Server:
    known: settings.All
    api: client.Client
    process: asyncio.subprocess.Process

    @property
    def office(self) -> str:
        return self.known.node

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)


def settings_of(home: pathlib.Path, url: str, *, port: int = 0) -> settings.All:
    """Those of a server below its home, on a free port unless one is named."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = port or free.getsockname()[1]
    return settings.All(state=f"{home}/state", run=f"{home}/run", node=home.name, port=port, store=url)


@contextlib.asynccontextmanager
async def running(
    home: pathlib.Path, url: str, *, like: pathlib.Path | None = None, again: bool = False, port: int = 0
) -> AsyncIterator[Server]:
    known = settings_of(home, url, port=port)
    where = paths.of(known)
    assert again == where.store.parent.exists()
    if like is not None:
        for folder in ("pki", "credentials"):
            shutil.copytree(like / "state" / folder, where.state / folder)
    async with started(home, known) as one:
        yield one


@contextlib.asynccontextmanager
async def started(home: pathlib.Path, known: settings.All) -> AsyncIterator[Server]:
    """The process of a server with these settings."""
    where = paths.of(known)
    bootstrap.prepare(known, now=datetime.datetime.now(datetime.UTC))
    with (home / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "boxfleet",
            "server",
            "--state",
            known.state,
            "--run",
            known.run,
            stdout=log,
            stderr=log,
        )
    token = credentials.token_of(where.admin_kubeconfig)
    api = client.Client(http.Http(f"https://127.0.0.1:{known.port}", token=token, authority=where.ca_certificate))
    try:
        await until(lambda: serves(api), f"{(home / 'log')}: {(home / 'log').read_text()[-3000:]}")
        yield Server(known=known, api=api, process=process)
    finally:
        await api.close()
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def serves(api: client.Client) -> bool:
    with contextlib.suppress(errors.ApiError):
        await api.list(namespace.Namespace)
        return True
    return False


async def until(holds, words: str = "it never came true") -> None:
    try:
        async with asyncio.timeout(60):
            while not await holds():
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(words) from None
