"""Several servers on one PostgreSQL: one order of writes, seen the same by all."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from boxfleet.store import errors, rows, settings, store, where
from boxfleet.testing import postgres

pytestmark = pytest.mark.anyio

_USUAL = settings.Settings()


@contextlib.asynccontextmanager
async def _two(
    url: where.Postgres, known: settings.Settings = _USUAL
) -> AsyncIterator[tuple[store.Store, store.Store]]:
    first = await store.Store.open(url, known)
    try:
        second = await store.Store.open(url, known)
        try:
            yield first, second
        finally:
            await second.close()
    finally:
        await first.close()


def _named(name: str):
    return lambda revision: f"{name}@{revision}".encode()


async def test_what_one_acknowledged_the_other_reads(url: where.Postgres) -> None:
    async with _two(url) as (first, second):
        for number in range(20):
            row = await first.write(f"/{number}", _named("x"), expected=0)
            await second.current()
            assert second.get(f"/{number}") == row


async def test_all_write_at_once_and_hear_the_same(url: where.Postgres) -> None:
    async with _two(url) as (first, second):
        with first.watch("/", after=0) as here, second.watch("/", after=0) as there:

            async def work(log: store.Store, name: str) -> None:
                for number in range(40):
                    key = f"/{number % 10}"
                    while True:
                        present = log.get(key)
                        try:
                            await log.write(key, _named(name), expected=present.revision if present else 0)
                        except errors.Conflict:
                            await log.current()
                            continue
                        break

            async with asyncio.TaskGroup() as group:
                for number in range(8):
                    group.create_task(work((first, second)[number % 2], f"w{number}"))
            await first.current()
            await second.current()
            heard = [await _all(watch, 320) for watch in (here, there)]
        assert heard[0] == heard[1]
        # No gap, no double, and each builds on the one before it.
        assert [change[0] for change in heard[0]] == list(range(1, 321))
        newest: dict[str, int] = {}
        for revision, key, _, before_revision in heard[0]:
            assert before_revision == newest.get(key, 0)
            newest[key] = revision
        assert first.range("/") == second.range("/")


async def _all(watch: rows.Subscription, wanted: int) -> list[tuple[int, str, bytes, int]]:
    heard: list[tuple[int, str, bytes, int]] = []
    while len(heard) < wanted:
        changes = await watch.take(timeout=5)
        assert changes
        heard += [(one.revision, one.key, one.value, one.before_revision) for one in changes]
    return heard


async def test_the_other_hears_without_asking(url: where.Postgres) -> None:
    patient = settings.Settings(poll_every=60.0)
    async with _two(url, patient) as (first, second):
        with second.watch("/", after=0) as watch:
            await first.write("/a", _named("x"), expected=0)
            assert [change.value for change in await watch.take(timeout=10)] == [b"x@1"]
            assert await second.reach(1, timeout=1)
            assert not await second.reach(2, timeout=0.01)


async def test_what_nobody_told_of_is_found_all_the_same(
    cluster: postgres.Cluster, database: str, url: where.Postgres
) -> None:
    log = await store.Store.open(url, settings.Settings(poll_every=0.05))
    try:
        with log.watch("/", after=0) as watch:
            cluster.sql(
                "INSERT INTO boxfleet.log VALUES (1, '/a', 'x', 0, false); UPDATE boxfleet.head SET revision = 1",
                database=database,
            )
            assert [change.value for change in await watch.take(timeout=10)] == [b"x"]
    finally:
        await log.close()


async def test_of_two_servers_creators_one_wins(url: where.Postgres) -> None:
    async with _two(url) as (first, second):
        outcomes = await asyncio.gather(
            *((first, second)[number % 2].write("/a", _named(str(number)), expected=0) for number in range(20)),
            return_exceptions=True,
        )
        assert sum(isinstance(outcome, rows.Row) for outcome in outcomes) == 1
        assert sum(isinstance(outcome, errors.Conflict) for outcome in outcomes) == 19


async def test_compaction_beyond_a_server_that_was_away(
    cluster: postgres.Cluster, database: str, url: where.Postgres
) -> None:
    keep = settings.Settings(keep_revisions=0)
    async with _two(url, keep) as (first, second):
        await first.write("/kept", _named("x"), expected=0)
        await second.current()
        watch = second.watch("/", after=1)
        # What happens while a server hears nothing: written, replaced, and dropped from history, in one step.
        cluster.sql(
            "BEGIN; INSERT INTO boxfleet.log VALUES (3, '/a', 'new', 2, false);"
            "UPDATE boxfleet.head SET revision = 3; UPDATE boxfleet.compaction SET revision = 3; COMMIT",
            database=database,
        )
        row = await _eventually(second, "/a")
        assert row == rows.Row("/a", 3, b"new")
        assert watch.closed
        assert second.oldest == 3
        with pytest.raises(errors.Compacted):
            second.watch("/", after=1)


async def _eventually(log: store.Store, key: str) -> rows.Row:
    for _ in range(500):
        with contextlib.suppress(errors.Unavailable):
            await log.current()
            row = log.get(key)
            if row is not None:
                return row
        await asyncio.sleep(0.02)
    raise AssertionError(key)


async def test_a_store_that_moved_away_is_refused(
    cluster: postgres.Cluster, database: str, url: where.Postgres
) -> None:
    await (await store.Store.open(url)).close()
    cluster.sql("UPDATE boxfleet.standing SET state = 'moved'", database=database)
    with pytest.raises(errors.StoreError, match="moved elsewhere"):
        await store.Store.open(url)


async def test_servers_that_end_in_order_leave_nothing(
    cluster: postgres.Cluster, database: str, url: where.Postgres
) -> None:
    async with _two(url) as (first, second):
        await first.write("/a", _named("x"), expected=0)
        await second.write("/b", _named("x"), expected=0)
    assert cluster.sql("SELECT count(*) FROM boxfleet.server", database=database) == "0"
    assert (
        cluster.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()", database=database)
        == "1"
    )


async def test_a_revision_that_never_comes_is_not_remembered(url: where.Postgres) -> None:
    async with _two(url) as (first, second):
        assert not any(await asyncio.gather(*(second.reach(10**17 + number, timeout=0.01) for number in range(50))))
        assert not second._memory._waiting
        await first.write("/a", _named("x"), expected=0)
        assert await second.reach(1, timeout=10)


async def test_nobody_waits_for_a_store_that_closes(url: where.Postgres) -> None:
    log = await store.Store.open(url)
    reads = [asyncio.create_task(log.current()) for _ in range(20)]
    await asyncio.sleep(0)
    await log.close()
    async with asyncio.timeout(10):
        outcomes = await asyncio.gather(*reads, return_exceptions=True)
    assert all(outcome is None or isinstance(outcome, errors.StoreError) for outcome in outcomes)
    with pytest.raises(errors.Closed):
        await log.current()
