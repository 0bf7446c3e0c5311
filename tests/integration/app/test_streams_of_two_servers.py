"""Two server processes on one PostgreSQL and one agent: logs, exec and their like through either, whichever dies."""

import asyncio
import contextlib
import dataclasses
import pathlib
import subprocess
import urllib.request
from collections.abc import AsyncIterator

import msgspec
import pytest
from tests.integration.app import servers_bed
from tests.integration.streams import bed as streams_bed

from boxfleet.api import node, pod
from boxfleet.app import agent, host, paths, settings
from boxfleet.client import errors
from boxfleet.drivers.containerd import daemon
from boxfleet.ports import runtime
from boxfleet.testing import network, postgres

pytestmark = [pytest.mark.anyio, pytest.mark.machine]
cluster = servers_bed.cluster


class _Engine:
    """A containerd that somebody else looks after."""

    def __init__(self, real: daemon.Daemon) -> None:
        self.runtime: runtime.Runtime = real.runtime
        self.images: runtime.Images = real.images
        self.pid = real.pid
        # When it had to be started again.
        self.restarts: list[float] = []

    async def start(self) -> None:
        """It runs."""

    async def supervise(self) -> None:
        """It goes on."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Its owner does."""


class _Names(network.MemoryNames):
    async def close(self) -> None:
        """Nothing is held."""


@contextlib.asynccontextmanager
async def _agent(
    known: settings.All, containerd: daemon.Daemon, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[asyncio.Task[None]]:
    wired = host.Host.__new__(host.Host)
    parts = {"engine": _Engine(containerd), "network": network.MemoryNetwork(), "names": _Names()}
    for name, part in parts.items():
        object.__setattr__(wired, name, part)
    monkeypatch.setattr(host, "wire", lambda _known, *, told: wired)
    stop = asyncio.Event()
    running = asyncio.create_task(agent.run(known, stop=stop))
    try:
        yield running
    finally:
        stop.set()
        await running


async def _kubectl(of: servers_bed.Server, *words: str) -> tuple[int, str]:
    config = paths.of(of.known).admin_kubeconfig
    process = await asyncio.create_subprocess_exec(
        "kubectl",
        f"--kubeconfig={config}",
        f"--cache-dir={config.parent / 'cache'}",
        *words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    async with asyncio.timeout(30):
        out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


async def _works(through: servers_bed.Server, name: str, port: int) -> None:
    """Everything that goes to the agent goes through this server, at once."""
    assert await _kubectl(through, "logs", name) == (0, "serving\n")
    assert await _kubectl(through, "exec", name, "--", "sh", "-c", "echo hello; exit 7") == (
        7,
        "hello\ncommand terminated with exit code 7\n",
    )
    figures = await through.api._via.request("GET", "/apis/metrics.k8s.io/v1beta1/nodes", query={})
    assert [one["metadata"]["name"] for one in msgspec.json.decode(figures.body)["items"]] == ["one"]
    config = paths.of(through.known).admin_kubeconfig
    forwarding = await asyncio.create_subprocess_exec(
        "kubectl", f"--kubeconfig={config}", "port-forward", f"pod/{name}", f":{port}", stdout=subprocess.PIPE
    )
    try:
        assert forwarding.stdout is not None
        async with asyncio.timeout(30):
            line = (await forwarding.stdout.readline()).decode()
        local = line.partition("127.0.0.1:")[2].split()[0]
        page = await asyncio.to_thread(_fetch, f"http://127.0.0.1:{local}/")
        assert len(page) == 1_000_000
    finally:
        forwarding.terminate()
        await forwarding.communicate()


def _fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return bytes(answer.read())


async def _run_pod(through: servers_bed.Server, name: str) -> int:
    """A Pod on the agent's node, created through this server and seen Running there; the port it serves on."""
    port = streams_bed.free_port()
    container = {"name": "main", "image": streams_bed.IMAGE, "command": ["perl", "-e", streams_bed.SERVE, str(port)]}
    spec = {"nodeName": "one", "hostNetwork": True, "containers": [container], "terminationGracePeriodSeconds": 0}
    await through.api.create_raw(pod.Pod, {"metadata": {"name": name, "namespace": "default"}, "spec": spec})
    await servers_bed.until(lambda: _is_running(through, name))
    return port


async def _is_running(through: servers_bed.Server, name: str) -> bool:
    found = await through.api.get(pod.Pod, name, namespace="default")
    said = await _kubectl(through, "logs", name)
    return found.status.phase == "Running" and said == (0, "serving\n")


async def _is_ready(through: servers_bed.Server) -> bool:
    with contextlib.suppress(errors.ApiError):
        found = await through.api.find(node.Node, "one")
        return found is not None and any(
            each.type == "Ready" and each.status == "True" for each in found.status.conditions
        )
    return False


async def test_streams_go_through_either_server_whichever_dies(
    short_dir: pathlib.Path, cluster: postgres.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    homes = [short_dir / "one", short_dir / "two"]
    for home in homes:
        home.mkdir()
    async with contextlib.AsyncExitStack() as stack:
        containerd = await stack.enter_async_context(streams_bed.engine())
        first = await stack.enter_async_context(servers_bed.running(homes[0], cluster.url()))
        second = await stack.enter_async_context(servers_bed.running(homes[1], cluster.url(), like=homes[0]))
        known = dataclasses.replace(first.known, cgroup_parent=streams_bed.CGROUP)
        async with _agent(known, containerd, monkeypatch) as working:
            await servers_bed.until(lambda: _is_ready(second))
            # Through the server that the agent was not told of.
            port = await _run_pod(second, "a")
            for each in (first, second):
                await _works(each, "a", port)

            first.kill()
            await _works(second, "a", port)
            # The agent itself has gone over to the other one: what is written there is done.
            port = await _run_pod(second, "b")
            await _works(second, "b", port)

            again = await stack.enter_async_context(
                servers_bed.running(homes[0], cluster.url(), again=True, port=first.known.port)
            )
            await servers_bed.until(lambda: _is_running(again, "a"))
            second.kill()
            await _works(again, "b", port)
            port = await _run_pod(again, "c")
            await _works(again, "c", port)
            assert not working.done()
            for name in "abc":
                await again.api.delete(pod.Pod, name, namespace="default")
            await servers_bed.until(lambda: _is_empty(containerd))

        # An agent that starts while the server that it was told of is away remembers the other one.
        again.kill()
        third = await stack.enter_async_context(
            servers_bed.running(homes[1], cluster.url(), again=True, port=second.known.port)
        )
        async with _agent(known, containerd, monkeypatch):
            port = await _run_pod(third, "d")
            await _works(third, "d", port)
            await third.api.delete(pod.Pod, "d", namespace="default")
            await servers_bed.until(lambda: _is_empty(containerd))


async def _is_empty(containerd: daemon.Daemon) -> bool:
    return not await containerd.runtime.list_sandboxes()
