"""What is measured of a host: on files like the kernel's, on this machine, and against a server's clock."""

import asyncio
import contextlib
import datetime
import pathlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from boxfleet.agent import fencing, settings
from boxfleet.agent.node import facts, keeper, vitals
from boxfleet.api import meta, node
from boxfleet.kit import clock
from boxfleet.testing import runtime as memory
from boxfleet.testing import server

pytestmark = pytest.mark.anyio


class Off(clock.SystemClock):
    """A clock that is wrong, and sleeps only shortly."""

    def __init__(self) -> None:
        self.by = datetime.timedelta()

    def now(self) -> datetime.datetime:
        return super().now() + self.by

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0.01)


@pytest.fixture
async def api(tmp_path: pathlib.Path) -> AsyncIterator[server.Api]:
    (tmp_path / "agent").mkdir()
    async with server.running(tmp_path / "store") as made:
        yield made


async def until(test: Callable[[], Any], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        result = test()
        if await result if asyncio.iscoroutine(result) else result:
            return
        assert time.monotonic() < deadline, "not reached in time"
        await asyncio.sleep(0.01)


def no_fence(folder: pathlib.Path) -> fencing.Fence:
    """Of a host that promises nothing."""

    async def nothing() -> None:
        return

    return fencing.Fence(
        folder="", memory=folder / "fence.json", cgroup_parent="/none", kept=list, resync=nothing, opened=lambda: None
    )


def wish(folder: pathlib.Path, **more: Any) -> settings.Settings:
    return settings.Settings(node=server.NODE, state=str(folder / "agent"), logs=str(folder / "logs"), **more)


def measuring(api: server.Api, folder: pathlib.Path, **more: Any) -> vitals.Vitals:
    known = wish(folder, cgroup_root=str(folder / "cgroup"))
    engine = more.pop("engine", None) or memory.MemoryRuntime(memory.MemoryImages())
    more.setdefault("clock", clock.SystemClock())
    return vitals.Vitals(api.node, engine, settings=known, machine=facts.detect(known), **more)


@contextlib.asynccontextmanager
async def running(*parts: Any) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(part.run()) for part in parts]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_this_machine_is_measured(api: server.Api, tmp_path: pathlib.Path) -> None:
    found = measuring(api, tmp_path).measure()
    for share in (found.memory_free, found.disk_free, found.inodes_free, found.pids_free):
        assert 0 < share <= 100
    assert found.read_only == ()
    assert found.clock_off is None


async def test_memory_of_all_instances_together_counts(api: server.Api, tmp_path: pathlib.Path) -> None:
    made = measuring(api, tmp_path)
    first = tmp_path / "cgroup/memory/boxfleet"
    first.mkdir(parents=True)
    (first / "memory.limit_in_bytes").write_text(str(100 * 2**20))
    (first / "memory.usage_in_bytes").write_text(str(99 * 2**20))
    (first / "memory.stat").write_text(f"cache 1\ntotal_inactive_file {2**20}\n")
    assert made.measure().memory_free == 2
    (first / "memory.limit_in_bytes").write_text("9223372036854771712")
    second = tmp_path / "cgroup/boxfleet"
    second.mkdir()
    (second / "memory.max").write_text("1000000\n")
    (second / "memory.current").write_text("960000\n")
    (second / "memory.stat").write_text("anon 1\ninactive_file 10000\n")
    assert made.measure().memory_free == 5
    (second / "memory.max").write_text("max\n")
    assert made.measure().memory_free > 5


def test_errors_count_only_when_they_come_up(tmp_path: pathlib.Path) -> None:
    disk, system = tmp_path / "sys/block/sda/device", tmp_path / "sys/fs/ext4/sda1"
    for folder in (disk, system, tmp_path / "sys/block/vda"):
        folder.mkdir(parents=True)
    (disk / "ioerr_cnt").write_text("0x10\n")
    (system / "errors_count").write_text("3\n")
    assert vitals.error_counters(tmp_path) == {"sda": 16, "ext4 on sda1": 3}
    errors = vitals.Errors()
    assert errors.lately({"sda": 16}, moment=0.0) == {}
    assert errors.lately({"sda": 18, "sdb": 7}, moment=30.0) == {"sda": 2}
    assert errors.lately({"sda": 18, "sdb": 7}, moment=580.0) == {"sda": 2}
    assert errors.lately({"sda": 18, "sdb": 8}, moment=640.0) == {"sdb": 1}
    assert errors.lately({"sda": 18}, moment=1300.0) == {}


async def test_a_clock_that_differs_is_found_and_is_well_again(api: server.Api, tmp_path: pathlib.Path) -> None:
    watch = Off()
    engine = memory.MemoryRuntime(memory.MemoryImages())
    made = measuring(api, tmp_path, clock=watch, engine=engine)
    known = wish(tmp_path)
    keeping = keeper.Keeper(
        api.node,
        memory.MemoryImages(),
        settings=known,
        machine=facts.detect(known),
        vitals=made,
        clock=watch,
        trouble=lambda: None,
        fence=no_fence(tmp_path),
    )
    async with running(made, keeping):

        def off() -> float:
            found = made.measure().clock_off
            return 1000.0 if found is None else found

        await until(lambda: abs(off()) < 5)
        watch.by = datetime.timedelta(minutes=-2)
        await until(lambda: 115 < off() < 125)
        watch.by = datetime.timedelta()
        await until(lambda: abs(off()) < 5)


async def test_a_runtime_that_is_silent_or_restarts_often_is_a_problem(api: server.Api, tmp_path: pathlib.Path) -> None:
    watch = Off()
    engine = memory.MemoryRuntime(memory.MemoryImages())
    restarts: list[float] = []
    made = measuring(api, tmp_path, clock=watch, engine=engine, restarts=lambda: restarts)

    def problem() -> meta.Condition | None:
        said = made.conditions(trouble=None, now="2026-01-01T00:00:00Z")
        return meta.find_condition(said, "RuntimeProblem")

    async with running(made):
        engine.down = True
        await until(lambda: made.measure().runtime_silent)
        found = problem()
        assert found is not None
        assert (found.status, found.reason) == ("True", "RuntimeSilent")
        engine.down = False
        await until(lambda: not made.measure().runtime_silent)
    now = watch.monotonic()
    restarts += [now - 2000.0, *(now - number for number in range(4))]
    assert made.measure().runtime_restarts == 4
    restarts.append(now)
    found = problem()
    assert found is not None
    assert (found.status, found.reason) == ("True", "RuntimeRestarts")


class Hung(memory.MemoryRuntime):
    """A runtime that takes calls and answers none."""

    async def version(self) -> str:
        await asyncio.Event().wait()
        return ""


async def test_a_runtime_that_hangs_is_a_problem(api: server.Api, tmp_path: pathlib.Path) -> None:
    made = measuring(api, tmp_path, clock=Off(), engine=Hung(memory.MemoryImages()), patience=0.01)
    async with running(made):
        await until(lambda: "gives no answer for 0.01 s" in made.measure().runtime_silent)


async def test_the_node_says_what_is_wrong_with_scripts(api: server.Api, tmp_path: pathlib.Path) -> None:
    faults: list[str] = []
    made = measuring(api, tmp_path, faults=lambda: faults)
    known = wish(tmp_path, node_check=0.05)
    keeping = keeper.Keeper(
        api.node,
        memory.MemoryImages(),
        settings=known,
        machine=facts.detect(known),
        vitals=made,
        clock=clock.SystemClock(),
        trouble=lambda: None,
        fence=no_fence(tmp_path),
    )
    async with running(keeping):

        async def says(status: str, words: str) -> bool:
            mine = await api.admin.find(node.Node, server.NODE)
            found = meta.find_condition(mine.status.conditions, "FactsProblem") if mine is not None else None
            return found is not None and (found.status, found.message) == (status, words)

        await until(lambda: says("False", ""))
        faults.append("10-rack: line 1: no")
        await until(lambda: says("True", "10-rack: line 1: no"))
        faults[0] = "10-rack: line 2: no"
        await until(lambda: says("True", "10-rack: line 2: no"))
