"""One containerd for all tests of this folder, a fresh API and agent for each."""

import pathlib
import shutil
import tempfile
from collections.abc import AsyncIterator

import pytest
from tests.integration.agent import bed as beds


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def host(anyio_backend: str) -> AsyncIterator[beds.Host]:
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bf-agent-", dir="/tmp"))
    try:
        async with beds.host(folder) as shared:
            yield shared
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def bed(host: beds.Host, tmp_path: pathlib.Path) -> AsyncIterator[beds.Bed]:
    async with beds.bed(host, tmp_path) as made:
        yield made
