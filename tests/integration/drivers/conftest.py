"""One host with real daemons for all tests of a module; each test makes drivers that adopt what runs."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from boxfleet.testing import docker
from boxfleet.testing import host as test_host


@pytest.fixture(scope="module")
def host() -> Iterator[test_host.Host]:
    host = test_host.Host()
    try:
        asyncio.run(host.start())
        yield host
    finally:
        asyncio.run(host.purge())
        left = host.leftovers()
        host.destroy()
    assert left == []


@pytest.fixture
async def drivers(host: test_host.Host) -> AsyncIterator[test_host.Drivers]:
    async with host.drivers() as drivers:
        await drivers.network.prepare([test_host.POOL])
        await drivers.containerd.start()
        yield drivers


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.Engine]:
    """A Docker engine for all tests of the session."""
    engine = docker.Engine(tls=True)
    try:
        asyncio.run(engine.start())
        yield engine
    finally:
        asyncio.run(engine.stop())
    assert engine.leftovers() == []
