"""Two server processes on one PostgreSQL: each serves what the other wrote, one leads, and either may die."""

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

import msgspec
import pytest

from boxfleet.api import box, config, lease, namespace, roles, unit
from boxfleet.app import bootstrap, credentials, paths, settings
from boxfleet.client import client, errors, http
from boxfleet.testing import postgres

pytestmark = pytest.mark.anyio


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
class _Server:
    known: settings.All
    api: client.Client
    process: asyncio.subprocess.Process

    @property
    def office(self) -> str:
        return self.known.node

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)


@contextlib.asynccontextmanager
async def _server(
    home: pathlib.Path, url: str, *, like: pathlib.Path | None = None, again: bool = False
) -> AsyncIterator[_Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    known = settings.All(state=f"{home}/state", run=f"{home}/run", node=home.name, port=port, store=url)
    where = paths.of(known)
    assert again == where.store.parent.exists()
    if like is not None:
        for folder in ("pki", "credentials"):
            shutil.copytree(like / "state" / folder, where.state / folder)
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
    api = client.Client(http.Http(f"https://127.0.0.1:{port}", token=token, authority=where.ca_certificate))
    try:
        await _until(lambda: _serves(api), f"{(home / 'log')}: {(home / 'log').read_text()[-3000:]}")
        yield _Server(known=known, api=api, process=process)
    finally:
        await api.close()
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _serves(api: client.Client) -> bool:
    with contextlib.suppress(errors.ApiError):
        await api.list(namespace.Namespace)
        return True
    return False


async def _says(home: pathlib.Path, words: str) -> bool:
    return words in (home / "log").read_text()


async def _until(holds, words: str = "it never came true") -> None:
    try:
        async with asyncio.timeout(60):
            while not await holds():
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(words) from None


async def _leader(api: client.Client) -> str:
    try:
        found = await api.get(lease.Lease, roles.OFFICE, namespace="kube-system")
    except errors.NotFound:
        return ""
    return found.spec.holderIdentity.partition("_")[0]


async def test_either_serves_one_leads_and_both_may_die(short_dir: pathlib.Path, cluster: postgres.Cluster) -> None:
    homes = [short_dir / "one", short_dir / "two"]
    for home in homes:
        home.mkdir()
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(_server(homes[0], cluster.url()))
        second = await stack.enter_async_context(_server(homes[1], cluster.url(), like=homes[0]))
        await _until(lambda: _is_leader(second.api, "one"))
        for number in range(10):
            writer, reader = (first, second) if number % 2 else (second, first)
            name = f"shared-{number}"
            await writer.api.create_raw(config.ConfigMap, {"metadata": {"name": name, "namespace": "default"}})
            assert (await reader.api.get(config.ConfigMap, name, namespace="default")).metadata.name == name
        await _deliver(second.api, "before")
        await _until(lambda: _has_units(second.api, "before"))

        first.kill()
        # Who is left serves on, and leads soon: what is delivered meanwhile is worked off then.
        await _deliver(second.api, "after")
        await _until(lambda: _is_leader(second.api, "two"))
        await _until(lambda: _has_units(second.api, "after"))
        assert cluster.sql("SELECT max(revision) = count(*) FROM boxfleet.log") == "t"

        cluster.stop()
        with pytest.raises(errors.Unavailable, match="cannot"):
            await second.api.create_raw(config.ConfigMap, {"metadata": {"name": "away", "namespace": "default"}})
        health = await second.api._via.request("GET", "/readyz", query={})
        assert health.status == 500
        assert b"[-]store failed: the database" in health.body
        old = await second.api._via.request(
            "GET", "/api/v1/namespaces/default/configmaps", query={"resourceVersion": "0"}
        )
        assert len(msgspec.json.decode(old.body)["items"]) >= 10
        new = await second.api._via.request("GET", "/api/v1/namespaces/default/configmaps", query={})
        assert new.status == 503
        assert b"s old" in new.body
        # One that starts meanwhile waits for the database, and serves when it is there.
        third = asyncio.create_task(stack.enter_async_context(_server(homes[0], cluster.url(), again=True)))
        await _until(lambda: _says(homes[0], "waiting for the database"))
        cluster.start()
        await third
        await _until(lambda: _serves(second.api))
        await _until(lambda: _is_leader(second.api, "two"))
        await _deliver(second.api, "again")
        await _until(lambda: _has_units(second.api, "again"))


async def _is_leader(api: client.Client, office: str) -> bool:
    with contextlib.suppress(errors.Unavailable):
        return await _leader(api) == office
    return False


async def _deliver(api: client.Client, name: str) -> None:
    container = {"name": "main", "image": "none", "command": ["true"]}
    units = {"main": {"replicas": 1, "template": {"spec": {"containers": [container]}}}}
    await api.create_raw(box.Box, {"metadata": {"name": name, "namespace": "default"}, "spec": {"units": units}})


async def _has_units(api: client.Client, name: str) -> bool:
    with contextlib.suppress(errors.Unavailable):
        found = await api.list(unit.Unit, namespace="default", labels=f"boxfleet.dev/box={name}")
        return bool(found.items)
    return False
