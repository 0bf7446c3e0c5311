"""What Pods refer to, asked of a real API in process."""

import asyncio
import contextlib
import pathlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from boxfleet.agent import sources
from boxfleet.api import config, meta, namespace
from boxfleet.client import client, errors, transport
from boxfleet.kit import clock
from boxfleet.testing import server

pytestmark = pytest.mark.anyio


class Counting:
    """A transport that counts, and fails when it is told to."""

    def __init__(self, via: transport.Transport) -> None:
        self._via = via
        self.asked = 0
        self.cut = False

    async def request(self, method: str, path: str, **more: Any) -> transport.Response:
        self.asked += 1
        await asyncio.sleep(0)
        if self.cut:
            raise errors.Unavailable(code=503, reason="ServiceUnavailable", message="cut")
        return await self._via.request(method, path, **more)

    async def lines(self, path: str, **more: Any) -> AsyncIterator[bytes]:
        async for line in self._via.lines(path, **more):
            yield line

    async def close(self) -> None:
        await self._via.close()


async def test_pods_that_begin_together_ask_once_for_what_they_share(tmp_path: pathlib.Path) -> None:
    async with server.running(tmp_path) as api:
        with contextlib.suppress(errors.AlreadyExists):
            await api.admin.create(namespace.Namespace(metadata=meta.ObjectMeta(name="default")))
        await api.admin.create(config.ConfigMap(metadata=meta.ObjectMeta(name="c", namespace="default")))
        via = Counting(api.admin._via)
        given = sources.Sources(client.Client(via), clock=clock.SystemClock())
        found = await asyncio.gather(*(given.find(config.ConfigMap, "default", "c") for _ in range(5)))
        assert [one.metadata.name for one in found if one is not None] == ["c"] * 5
        assert via.asked == 1
        # Who asks later hears what is so then.
        await api.admin.delete(config.ConfigMap, "c", namespace="default")
        assert await given.find(config.ConfigMap, "default", "c") is None


async def test_one_that_leaves_or_fails_takes_the_answer_from_nobody(tmp_path: pathlib.Path) -> None:
    async with server.running(tmp_path) as api:
        with contextlib.suppress(errors.AlreadyExists):
            await api.admin.create(namespace.Namespace(metadata=meta.ObjectMeta(name="default")))
        await api.admin.create(config.ConfigMap(metadata=meta.ObjectMeta(name="c", namespace="default")))
        via = Counting(api.admin._via)
        given = sources.Sources(client.Client(via), clock=clock.SystemClock())
        first = asyncio.create_task(given.find(config.ConfigMap, "default", "c"))
        await asyncio.sleep(0)
        second = asyncio.create_task(given.find(config.ConfigMap, "default", "c"))
        await asyncio.sleep(0)
        first.cancel()
        assert await second is not None
        via.cut = True
        failed = await asyncio.gather(
            *(given.find(config.ConfigMap, "default", "c") for _ in range(3)), return_exceptions=True
        )
        assert all(isinstance(one, errors.Unavailable) for one in failed)
        via.cut = False
        assert await given.find(config.ConfigMap, "default", "c") is not None
