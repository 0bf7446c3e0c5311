import pathlib
from collections.abc import AsyncIterator

import pytest

from boxfleet.store import settings, store


@pytest.fixture
async def log(tmp_path: pathlib.Path, anyio_backend: str) -> AsyncIterator[store.Store]:
    opened = await store.Store.open(tmp_path / "a.db", settings.Settings(history_changes=10, keep_revisions=0))
    yield opened
    await opened.close()
