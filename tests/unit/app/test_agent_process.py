"""The agent's process against the server's: it joins by itself when it starts, and anew when the store is another."""

import asyncio
import contextlib
import datetime
import pathlib
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from structlog import testing

from boxfleet.api import certificate_request, node
from boxfleet.app import access, agent, bootstrap, host, paths, server, settings
from boxfleet.client import errors
from boxfleet.testing import network, runtime

CGROUP = "/bf-agent-process"

pytestmark = pytest.mark.anyio


class Engine:
    """A containerd without containers."""

    pid = 0
    restarts = ()

    def __init__(self) -> None:
        self.images = runtime.MemoryImages()
        self.runtime = runtime.MemoryRuntime(self.images)

    async def start(self) -> None:
        """It answers."""

    async def supervise(self) -> None:
        """It never dies."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Nothing is held."""


class Names(network.MemoryNames):
    """Names nobody asks for."""

    async def close(self) -> None:
        """Nothing is held."""


@pytest.fixture
async def known(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, anyio_backend: str
) -> AsyncIterator[settings.All]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = settings.All(
        state=str(tmp_path / "state"), run=str(tmp_path / "run"), port=port, node="one", cgroup_parent=CGROUP
    )
    bootstrap.prepare(made, now=datetime.datetime.now(datetime.UTC))
    wired = host.Host.__new__(host.Host)
    for name, part in {"engine": Engine(), "network": network.MemoryNetwork(), "names": Names()}.items():
        object.__setattr__(wired, name, part)
    monkeypatch.setattr(host, "wire", lambda _known, *, told: wired)
    yield made
    # The agent makes the group that its instances would be in.
    for place in pathlib.Path("/sys/fs/cgroup").glob(f"*{CGROUP}"):
        place.rmdir()
    for place in pathlib.Path("/sys/fs/cgroup").glob(CGROUP.strip("/")):
        place.rmdir()


@contextlib.asynccontextmanager
async def serving(known: settings.All) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.create_task(server.run(known, stop=stop))
    try:
        yield
    finally:
        stop.set()
        await running


async def ready(known: settings.All) -> node.Node:
    """The Node once its agent says that it is Ready."""
    async with access.admin(known) as api, asyncio.timeout(20):
        while True:
            with contextlib.suppress(errors.Unavailable):
                found = await api.find(node.Node, known.node)
                if found is not None and any(
                    each.type == "Ready" and each.status == "True" for each in found.status.conditions
                ):
                    return found
            await asyncio.sleep(0.05)


class Supervised:
    """The agent, started again whenever it ends by itself."""

    def __init__(self, known: settings.All) -> None:
        self._known = known
        self._ended = False
        self._stop = asyncio.Event()

    async def run(self) -> None:
        while not self._ended:
            self._stop = asyncio.Event()
            await agent.run(self._known, stop=self._stop)

    def end(self) -> None:
        self._ended = True
        self._stop.set()


@contextlib.asynccontextmanager
async def supervised(known: settings.All) -> AsyncIterator[None]:
    one = Supervised(known)
    running = asyncio.create_task(one.run())
    try:
        yield
    finally:
        one.end()
        async with asyncio.timeout(20):
            await running


async def refused(logged: Sequence[Mapping[str, Any]]) -> None:
    """Wait until a server has refused the agent."""
    async with asyncio.timeout(20):
        while not any(node.GONE in str(each.get("cause")) for each in logged):
            await asyncio.sleep(0.05)


async def told(words: str, logged: Sequence[Mapping[str, Any]]) -> None:
    """Wait until something was logged."""
    async with asyncio.timeout(20):
        while not any(words in each["event"] for each in logged):
            await asyncio.sleep(0.05)


async def test_a_node_that_was_deleted_comes_back_with_its_agents_start(known: settings.All) -> None:
    with testing.capture_logs() as logged:
        async with supervised(known):
            async with serving(known):
                first = await ready(known)
                assert paths.of(known).agent_certificate.stat().st_mode & 0o777 == 0o600
                async with access.admin(known) as api:
                    (asked,) = (await api.list(certificate_request.CertificateSigningRequest)).items
                    assert asked.status.certificate
                    await api.delete(node.Node, known.node)
                await told("this Node was deleted", logged)
            # A server that begins anew does not bring it back either.
            logged.clear()
            async with serving(known):
                await refused(logged)
                async with access.admin(known) as api:
                    assert await api.find(node.Node, known.node) is None
        async with serving(known), supervised(known):
            assert (await ready(known)).metadata.uid != first.metadata.uid


async def test_it_joins_anew_when_its_node_is_not_in_a_restored_store(known: settings.All) -> None:
    async with supervised(known):
        async with serving(known):
            first = await ready(known)
        # As a backup from before it joined has it.
        store = paths.of(known).store
        for file in store.parent.glob(f"{store.name}*"):
            file.unlink()
        async with serving(known):
            assert (await ready(known)).metadata.uid != first.metadata.uid


async def test_it_ends_when_told_so_though_there_is_no_server(known: settings.All) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(agent.run(known, stop=stop))
    await asyncio.sleep(0)
    stop.set()
    async with asyncio.timeout(5):
        await running
