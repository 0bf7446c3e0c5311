"""The driver of dnsmasq against the real one."""

import asyncio
import os
import pathlib
import signal
from collections.abc import AsyncIterator

import pytest

from boxfleet.drivers.dnsmasq import lookup, server
from boxfleet.kit import daemon
from boxfleet.ports import network
from boxfleet.testing import host as test_host
from boxfleet.testing.conformance import network as suite

pytestmark = pytest.mark.machine

ADDRESS = test_host.HOST_ADDRESS
DOMAIN = test_host.DOMAIN


class Bench:
    """A dnsmasq in a network namespace."""

    def __init__(self, host: test_host.Host) -> None:
        self.settings = host.dnsmasq_settings
        self.told: list[str] = []
        self.server = server.Server(self.settings, told=self.told.append)

    async def resolve(self, name: str) -> list[str]:
        found = await lookup.addresses(name, server=ADDRESS, port=53, space=self.settings.space, patience=2)
        assert found is not None
        return sorted(found)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    host = test_host.Host()
    host.connect()
    host.folder.mkdir()
    host.folder.chmod(0o755)
    bench = Bench(host)
    try:
        yield bench
    finally:
        await bench.server.stop()
        left = [one for one in host.leftovers() if one.startswith("process")]
        host.destroy()
    assert left == []


class TestDnsmasq(suite.NamesConformance):
    """All that the port promises."""

    @pytest.fixture
    def bed(self, bench: Bench) -> suite.NamesBed:
        return suite.NamesBed(names=bench.server, address=ADDRESS, domain=DOMAIN, resolve=bench.resolve)


@pytest.mark.anyio
async def test_it_comes_back_when_it_dies(bench: Bench) -> None:
    await bench.server.start(address=ADDRESS, domain=DOMAIN)
    await bench.server.publish(frozenset({network.Record(f"a.{DOMAIN}", "198.18.0.5")}))
    first = daemon.find(bench.settings.pid_file)
    assert first is not None
    os.kill(first, signal.SIGKILL)
    async with asyncio.timeout(10):
        while daemon.find(bench.settings.pid_file) in (None, first):
            await asyncio.sleep(0.01)
        while await lookup.addresses(
            f"a.{DOMAIN}", server=ADDRESS, port=53, space=bench.settings.space, patience=1
        ) != ["198.18.0.5"]:
            await asyncio.sleep(0.01)
    assert bench.told == ["dnsmasq died: starting it again"]


@pytest.mark.anyio
async def test_a_running_one_is_adopted(bench: Bench) -> None:
    await bench.server.start(address=ADDRESS, domain=DOMAIN)
    first = daemon.find(bench.settings.pid_file)
    await bench.server.close()
    other = server.Server(bench.settings, told=bench.told.append)
    await other.start(address=ADDRESS, domain=DOMAIN)
    assert daemon.find(bench.settings.pid_file) == first
    # With another domain it must be another process.
    await other.start(address=ADDRESS, domain="other.test")
    assert daemon.find(bench.settings.pid_file) not in (None, first)
    await other.close()


@pytest.mark.anyio
async def test_it_runs_without_rights(bench: Bench) -> None:
    await bench.server.start(address=ADDRESS, domain=DOMAIN)
    pid = daemon.find(bench.settings.pid_file)
    assert pathlib.Path(f"/proc/{pid}").stat().st_uid != 0


@pytest.mark.anyio
async def test_a_taken_port_is_named(bench: Bench) -> None:
    await bench.server.start(address=ADDRESS, domain=DOMAIN)
    settings = server.Settings(
        folder=bench.settings.folder.with_name("other"),
        pid_file=bench.settings.pid_file.with_name("other.pid"),
        log_file=bench.settings.log_file,
        space=bench.settings.space,
        port=bench.settings.port,
    )
    other = server.Server(settings, told=bench.told.append)
    try:
        with pytest.raises(network.NetworkFault, match="another name server may hold 192"):
            await other.start(address=ADDRESS, domain="other.test")
    finally:
        await other.stop()


@pytest.mark.anyio
async def test_an_unknown_name_of_the_domain_is_not_asked_outside(bench: Bench) -> None:
    await bench.server.start(address=ADDRESS, domain=DOMAIN)
    # The world outside has no server here: a forwarded question would have no answer.
    assert await bench.resolve(f"nobody.{DOMAIN}") == []


@pytest.mark.anyio
async def test_many_names_are_published_together(bench: Bench) -> None:
    await bench.server.start(address=ADDRESS, domain=DOMAIN)
    many = frozenset(network.Record(f"n{i}.{DOMAIN}", f"198.18.{i // 250}.{i % 250 + 1}") for i in range(3000))
    await bench.server.publish(many)
    assert await bench.resolve(f"n2999.{DOMAIN}") == ["198.18.11.250"]
