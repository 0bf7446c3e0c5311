import pathlib
from collections.abc import AsyncIterator

import pytest

from boxfleet.testing import server


@pytest.fixture
async def api(tmp_path: pathlib.Path, anyio_backend: str) -> AsyncIterator[server.Api]:
    async with server.running(tmp_path) as running:
        yield running
