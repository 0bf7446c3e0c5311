"""Boxfleet's API on a socket, as other people's clients meet it; they run on threads of their own."""

import pathlib
from collections.abc import AsyncIterator

import pytest

from boxfleet.testing import server


@pytest.fixture
async def api(tmp_path: pathlib.Path, anyio_backend: str) -> AsyncIterator[server.Api]:
    async with server.running(tmp_path) as running:
        yield running


@pytest.fixture
async def socket(api: server.Api, tmp_path: pathlib.Path) -> AsyncIterator[server.Socket]:
    async with server.on_socket(api, tmp_path) as served:
        yield served
