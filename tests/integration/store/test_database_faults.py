"""PostgreSQL restarted, crashed, frozen and cut off under load: a write is there or it is not, and its writer knows."""

import asyncio
import contextlib
import pathlib
import random
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.integration.store import oracle

from boxfleet.store import errors, settings, store, where
from boxfleet.store.postgres import backend, connecting
from boxfleet.testing import postgres

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(7200 if oracle.ROUNDS else 300)]

_KNOWN = settings.Settings(
    history_changes=200_000,
    history_bytes=2**30,
    watch_backlog=200_000,
    answer_seconds=2.0,
    stall_seconds=0.5,
    poll_every=0.2,
)


@pytest.fixture
def own() -> Iterator[postgres.Cluster]:
    """A cluster for tests that stop it."""
    if not postgres.installed():
        pytest.skip("this machine lacks PostgreSQL; ./run test installs it")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bf-store-own-", dir="/tmp"))
    try:
        with postgres.cluster(folder) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Load:
    """Sixteen writers on some stores, and what each write came to."""

    def __init__(self, logs: list[store.Store]) -> None:
        self._logs = logs
        self.acknowledged: list[str] = []
        self.refused: list[str] = []
        self._count = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for number in range(16):
                group.create_task(self._work(number, stop))
            try:
                yield
            finally:
                stop.set()

    async def progress(self, writes: int = 30) -> None:
        """Until so many more are acknowledged."""
        wanted = len(self.acknowledged) + writes
        async with asyncio.timeout(60):
            while len(self.acknowledged) < wanted:
                await asyncio.sleep(0.005)

    async def _work(self, writer: int, stop: asyncio.Event) -> None:
        log = self._logs[writer % len(self._logs)]
        while not stop.is_set():
            self._count += 1
            key = f"/{self._count % 20}"
            mark = f"mark-{writer}-{self._count}"
            present = log.get(key)
            try:
                row = await log.write(
                    key, lambda _, mark=mark: mark.encode(), expected=present.revision if present else 0
                )
            except errors.Conflict:
                await asyncio.sleep(0)
            except errors.Unavailable:
                self.refused.append(mark)
                await asyncio.sleep(0.01)
            else:
                self.acknowledged.append(f"{row.revision} {key} {mark}")


async def _check(load: _Load, url: where.Postgres, watched: list[oracle.Watcher]) -> None:
    log = await store.Store.open(url, _KNOWN)
    try:
        fresh = oracle.Watcher()
        with log.watch("/", after=0) as watch:
            fresh.hear(await watch.take(timeout=0))
        fresh.check(load.acknowledged, log.range("/"))
        there = {mark for _, mark in fresh.marks.values()}
        assert not there & set(load.refused), "a write that was refused is there"
        assert sorted(fresh.marks) == list(range(1, log.revision + 1))
        for watcher in watched:
            # Heard live, over every fault, without being told to begin anew.
            assert watcher.marks == fresh.marks
    finally:
        await log.close()


@contextlib.asynccontextmanager
async def _loaded(url: where.Postgres) -> AsyncIterator[tuple[_Load, list[store.Store]]]:
    """Two servers under load, each with a watcher that stays; everything is checked at the end."""
    async with contextlib.AsyncExitStack() as stack:
        logs = []
        for _ in range(2):
            logs.append(await store.Store.open(url, _KNOWN))
            stack.push_async_callback(logs[-1].close)
        load = _Load(logs)
        watches = [log.watch("/", after=0) for log in logs]
        async with load.running():
            yield load, logs
        watched = []
        for log, watch in zip(logs, watches, strict=True):
            await _back(log)
            watcher = oracle.Watcher()
            assert not watch.closed
            watcher.hear(await watch.take(timeout=0))
            watched.append(watcher)
        await _check(load, url, watched)


async def _back(log: store.Store) -> None:
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(errors.Unavailable):
                await log.current()
                return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["restart", "crash"])
async def test_the_database_restarts(own: postgres.Cluster, how: signal.Signals) -> None:
    async with _loaded(where.Postgres(own.url())) as (load, logs):
        for _ in range(oracle.rounds(3)):
            await load.progress()
            await asyncio.to_thread(own.stop, how=how)
            with pytest.raises(errors.Unavailable, match="cannot write"):
                await logs[0].write("/refused", lambda _: b"x", expected=0)
            with pytest.raises(errors.Unavailable, match="s old"):
                await logs[0].current()
            assert "cannot be reached" in logs[0].trouble
            # What is known is still read.
            assert logs[0].range("/")
            await asyncio.to_thread(own.start)
            await _back(logs[0])
            await _back(logs[1])
            assert logs[0].trouble == ""
        assert load.refused


async def test_the_database_stands_still(own: postgres.Cluster) -> None:
    async with _loaded(where.Postgres(own.url())) as (load, logs):
        for moment in range(oracle.rounds(2)):
            await load.progress()
            own.stand_still()
            try:
                if moment % 2:
                    # Too short to be noticed.
                    await asyncio.sleep(0.2)
                else:
                    with pytest.raises(errors.Unavailable):
                        await logs[0].current()
                    assert logs[0].trouble
            finally:
                own.go_on()
            await _back(logs[0])
            await _back(logs[1])


async def test_connections_break_at_any_moment(cluster: postgres.Cluster, database: str, url: where.Postgres) -> None:
    dice = random.Random(3)
    async with _loaded(url) as (load, logs):
        for number in range(oracle.rounds(25)):
            await load.progress(dice.choice((1, 5, 20)))
            await asyncio.sleep(dice.random() * 0.004)
            victim = logs[number % 2]
            if number % 3:
                held = victim._backend
                assert isinstance(held, backend.Postgres)
                if held._session is not None:
                    held._session.terminate()
            else:
                cluster.sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                    "AND pid <> pg_backend_pid()",
                    database=database,
                )
            await _back(victim)


async def test_a_server_that_stands_still_in_a_commit_is_cut_off(url: where.Postgres) -> None:
    log = await store.Store.open(url, _KNOWN)
    try:
        frozen = await connecting.connect(url, settings=_KNOWN)
        try:
            await frozen.execute("BEGIN")
            await frozen.fetchval(connecting.SQL["lock_head"])
            assert (await log.write("/a", lambda _: b"x", expected=0)).revision == 1
            with pytest.raises(connecting.LOST):
                await frozen.fetchval("SELECT 1")
        finally:
            connecting.terminate(frozen)
    finally:
        await log.close()


async def test_a_database_that_lost_writes_is_noticed(
    cluster: postgres.Cluster, database: str, url: where.Postgres
) -> None:
    log = await store.Store.open(url, _KNOWN)
    try:
        for number in range(5):
            await log.write(f"/{number}", lambda _: b"x", expected=0)
        watch = log.watch("/", after=5)
        # As a standby does that was promoted before it had everything.
        cluster.sql(
            "DELETE FROM boxfleet.log WHERE revision > 3; UPDATE boxfleet.head SET revision = 3", database=database
        )
        held = log._backend
        assert isinstance(held, backend.Postgres)
        assert held._session is not None
        held._session.terminate()
        await _back(log)
        assert log.revision == 3
        assert [row.key for row in log.range("/")] == ["/0", "/1", "/2"]
        # Who watches must begin anew.
        assert watch.closed
    finally:
        await log.close()
