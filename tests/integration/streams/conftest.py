"""One containerd for all tests of this folder; a server, an agent and Pods for each."""

import pathlib
from collections.abc import AsyncIterator

import pytest
from tests.integration.streams import bed as beds

from boxfleet.drivers.containerd import daemon


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def containerd(anyio_backend: str) -> AsyncIterator[daemon.Daemon]:
    async with beds.engine() as made:
        yield made


@pytest.fixture
async def bed(containerd: daemon.Daemon, tmp_path: pathlib.Path) -> AsyncIterator[beds.Bed]:
    async with beds.bed(containerd, tmp_path) as made:
        yield made
