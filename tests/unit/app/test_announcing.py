"""Servers say where they are; who dies is forgotten, who was only slow comes back; agents learn it."""

import asyncio
import datetime
import pathlib
from collections.abc import AsyncIterator

import pytest

from boxfleet.agent import directory
from boxfleet.api import lease, roles, servers
from boxfleet.app import announcing
from boxfleet.client import errors
from boxfleet.client import servers as known_servers
from boxfleet.testing import server

pytestmark = pytest.mark.anyio


class _Clock:
    """Each sleep is a step of the test; the wall clock of each server is somewhere else."""

    def __init__(self, year: int) -> None:
        self._year = year
        self._now = 0.0
        self._step = asyncio.Event()
        self._slept = asyncio.Event()

    def now(self) -> datetime.datetime:
        return datetime.datetime(self._year, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=self._now)

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self._slept.set()
        await self._step.wait()
        self._step.clear()
        self._now += seconds

    async def step(self) -> None:
        """Let it look once, and wait until it has."""
        await self._slept.wait()
        self._slept.clear()
        self._step.set()
        await self._slept.wait()


class _Server:
    def __init__(self, api: server.Api, name: str, *, year: int) -> None:
        self.clock = _Clock(year)
        self.url = f"https://{name}:7443"
        made = announcing.Announcer(
            api.part(roles.SERVER), name=name, address=self.url, identity=name, clock=self.clock
        )
        self.task = asyncio.create_task(made.run())

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@pytest.fixture
async def api(tmp_path: pathlib.Path, anyio_backend: str) -> AsyncIterator[server.Api]:
    async with server.running(tmp_path) as running:
        yield running


async def _announced(api: server.Api) -> tuple[str, ...]:
    found = await api.admin.list(lease.Lease, namespace=servers.NAMESPACE, labels=servers.SELECTOR)
    return servers.addresses(found.items)


async def test_one_that_dies_is_forgotten_and_comes_back(api: server.Api) -> None:
    one, two = _Server(api, "one", year=1999), _Server(api, "two", year=2050)
    try:
        for each in (one, two):
            await each.clock.step()
        assert await _announced(api) == (one.url, two.url)
        await one.end()
        # Times in it are of another machine's clock, and of no matter: what counts is how long nothing changed.
        for _ in range(5):
            await two.clock.step()
            assert await _announced(api) == (one.url, two.url)
        await two.clock.step()
        assert await _announced(api) == (two.url,)
        one = _Server(api, "one", year=1999)
        await one.clock.step()
        assert await _announced(api) == (one.url, two.url)
        # One that only lost its Lease has it again at its next look.
        for each in (await api.admin.list(lease.Lease, namespace=servers.NAMESPACE)).items:
            await api.admin.delete(lease.Lease, each.metadata.name, namespace=servers.NAMESPACE)
        await one.clock.step()
        assert await _announced(api) == (one.url,)
        # As many looks as would be enough, if the other one gave no sign of life between them.
        for _ in range(8):
            await two.clock.step()
            await one.clock.step()
        assert await _announced(api) == (one.url, two.url)
    finally:
        await one.end()
        await two.end()


async def test_an_agent_follows_the_list_and_remembers_it(api: server.Api, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "servers.json"
    assert directory.remembered(file) == []
    known = known_servers.Servers(["https://fixed"])
    following = asyncio.create_task(directory.Directory(api.node, known, file=file).run())
    one = _Server(api, "one", year=2026)
    try:
        async with asyncio.timeout(30):
            await known.changed()
        assert known.urls == ("https://fixed", one.url)
        assert directory.remembered(file) == [one.url]
        # What is not an address of a server, or not labelled as one, is nothing to dial.
        for name, labels, url in (("plain", servers.LABELS, "http://plain"), ("other", {}, "https://other")):
            metadata = {"name": name, "namespace": servers.NAMESPACE, "labels": labels}
            await api.admin.create_raw(
                lease.Lease, {"metadata": metadata | {"annotations": {servers.ADDRESS: url}}, "spec": {}}
            )
        two = _Server(api, "two", year=2026)
        async with asyncio.timeout(30):
            while two.url not in known.urls:
                await known.changed()
        assert known.urls == ("https://fixed", one.url, two.url)
        await two.end()
    finally:
        await one.end()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    file.write_text("torn")
    assert directory.remembered(file) == []


async def test_a_server_may_do_no_more_than_announce_itself(api: server.Api) -> None:
    with pytest.raises(errors.Forbidden):
        await api.part(roles.SERVER).get(lease.Lease, roles.OFFICE, namespace="kube-system")
