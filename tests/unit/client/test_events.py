"""Events: each said once and counted, however many there are and whatever else is to be done."""

import asyncio
import contextlib
import pathlib
from collections.abc import AsyncIterator

import pytest

from boxfleet.api import config, event, meta
from boxfleet.client import events
from boxfleet.kit import clock
from boxfleet.testing import server

pytestmark = pytest.mark.anyio


class Bed:
    def __init__(self, api: server.Api) -> None:
        self.api = api
        self.busy = False
        self.recorder = events.Recorder(
            api.admin, component="test", clock=clock.SystemClock(), host="here", busy=lambda: self.busy
        )

    def about(self, name: str) -> meta.Object:
        return config.ConfigMap(metadata=meta.ObjectMeta(name=name, namespace="default", uid=f"uid-{name}"))

    @contextlib.asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.recorder.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def until(self, expected: dict[str, int]) -> list[event.Event]:
        """The events once there are those, with their counts."""
        with self.api.store.watch("/", after=self.api.store.revision) as changes:
            async with asyncio.timeout(20):
                while True:
                    found = (await self.api.admin.list(event.Event, namespace="default")).items
                    if {each.involvedObject.name: each.count for each in found} == expected:
                        return found
                    await changes.take(timeout=20)


@pytest.fixture
async def bed(tmp_path: pathlib.Path, anyio_backend: str) -> AsyncIterator[Bed]:
    async with server.running(tmp_path) as api:
        yield Bed(api)


@pytest.mark.parametrize("busy", [False, True])
async def test_each_of_many_is_written(bed: Bed, busy: bool) -> None:
    bed.busy = busy
    async with bed.writing():
        for number in range(50):
            bed.recorder.normal(bed.about(f"a{number}"), "Made", "it is there")
        found = await bed.until({f"a{number}": 1 for number in range(50)})
        assert {(each.reason, each.message, each.type) for each in found} == {("Made", "it is there", "Normal")}
        assert {(each.source.component, each.source.host) for each in found} == {("test", "here")}


async def test_the_same_said_again_is_counted(bed: Bed) -> None:
    async with bed.writing():
        for _ in range(3):
            bed.recorder.warning(bed.about("a"), "Failed", "again")
        await bed.until({"a": 3})
        bed.recorder.warning(bed.about("a"), "Failed", "again")
        bed.recorder.warning(bed.about("b"), "Failed", "again")
        await bed.until({"a": 4, "b": 1})


async def test_another_process_counts_on(bed: Bed) -> None:
    async with bed.writing():
        bed.recorder.warning(bed.about("a"), "Failed", "again")
        await bed.until({"a": 1})
    other = Bed(bed.api)
    async with other.writing():
        other.recorder.warning(bed.about("a"), "Failed", "again")
        await other.until({"a": 2})
