import asyncio
import pathlib
import sqlite3

import pytest

from boxfleet.store import database, errors, rows, settings, store

pytestmark = pytest.mark.anyio


def text(value: str):
    return lambda revision: f"{value}@{revision}".encode()


async def test_create_read_replace_delete(log: store.Store) -> None:
    first = await log.write("/a/1", text("one"), expected=0)
    assert (first.revision, first.value) == (1, b"one@1")
    second = await log.write("/a/1", text("two"), expected=1)
    assert log.get("/a/1") == second
    await log.delete("/a/1", text("last"), expected=2)
    assert log.get("/a/1") is None
    assert log.revision == 3


async def test_wrong_expectations_are_conflicts(log: store.Store) -> None:
    await log.write("/a", text("x"), expected=0)
    for expected in (0, 7):
        with pytest.raises(errors.Conflict) as caught:
            await log.write("/a", text("y"), expected=expected)
        assert caught.value.actual == 1
    with pytest.raises(errors.Conflict):
        await log.delete("/b", text("y"), expected=3)


async def test_of_many_creators_one_wins(log: store.Store) -> None:
    outcomes = await asyncio.gather(
        *(log.write("/a", text(str(number)), expected=0) for number in range(20)), return_exceptions=True
    )
    assert sum(isinstance(outcome, rows.Row) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, errors.Conflict) for outcome in outcomes) == 19


async def test_range_is_in_order_and_by_prefix(log: store.Store) -> None:
    for key in ("/b/x", "/a/2", "/a/1", "/a-b/1", "/a/10"):
        await log.write(key, text(""), expected=0)
    assert [row.key for row in log.range("/a/")] == ["/a/1", "/a/10", "/a/2"]


async def test_everything_is_there_after_a_restart(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.db"
    first = await store.Store.open(path)
    await first.write("/a/1", text("one"), expected=0)
    await first.write("/a/2", text("two"), expected=0)
    await first.write("/a/1", text("three"), expected=1)
    await first.delete("/a/2", text("gone"), expected=2)
    await first.close()
    second = await store.Store.open(path)
    try:
        assert second.revision == 4
        assert second.range("/") == [rows.Row("/a/1", 3, b"three@3")]
        with second.watch("/a/", after=1) as watch:
            changes = await watch.take(timeout=1)
        assert [(change.revision, change.deleted, change.before) for change in changes] == [
            (2, False, None),
            (3, False, b"one@1"),
            (4, True, b"two@2"),
        ]
        assert (await second.write("/b", text(""), expected=0)).revision == 5
    finally:
        await second.close()


async def test_a_snapshot_is_the_past(log: store.Store) -> None:
    await log.write("/a/1", text("one"), expected=0)
    await log.write("/a/2", text("two"), expected=0)
    await log.write("/a/1", text("new"), expected=1)
    await log.delete("/a/2", text("gone"), expected=2)
    await log.write("/a/3", text("three"), expected=0)
    assert [row.value for row in log.snapshot("/a/", revision=2)] == [b"one@1", b"two@2"]
    assert [row.value for row in log.snapshot("/a/", revision=5)] == [b"new@3", b"three@5"]


async def test_watch_hears_only_its_prefix_and_only_later_changes(log: store.Store) -> None:
    await log.write("/a/1", text("old"), expected=0)
    with log.watch("/a/", after=log.revision) as watch:
        await log.write("/b/1", text("other"), expected=0)
        await log.write("/a/1", text("new"), expected=1)
        assert [change.value for change in await watch.take(timeout=1)] == [b"new@3"]
        assert await watch.take(timeout=0.001) == []


async def test_watch_from_the_future_is_silent_until_then(log: store.Store) -> None:
    with log.watch("/", after=2) as watch:
        for number in range(3):
            await log.write(f"/{number}", text(""), expected=0)
        assert [change.revision for change in await watch.take(timeout=1)] == [3]


async def test_history_is_bounded(log: store.Store) -> None:
    for number in range(15):
        await log.write(f"/{number}", text(""), expected=0)
    assert log.oldest == 5
    with pytest.raises(errors.Compacted, match=r"too old resource version: 4 \(5\)"):
        log.watch("/", after=4)
    with pytest.raises(errors.Compacted):
        log.snapshot("/", revision=4)
    with log.watch("/", after=5) as watch:
        assert len(await watch.take(timeout=1)) == 10


async def test_history_is_bounded_in_bytes() -> None:
    history = rows.History(changes=100, size=100, floor=0)
    for revision in range(1, 6):
        history.add(rows.Change(revision, "/a", b"x" * 40, None, 0, False))
    assert len(history) == 2
    assert history.floor == 3


async def test_a_slow_watcher_is_cut_off(tmp_path: pathlib.Path) -> None:
    opened = await store.Store.open(tmp_path / "a.db", settings.Settings(watch_backlog=3))
    try:
        slow = opened.watch("/", after=0)
        for number in range(4):
            await opened.write(f"/{number}", text(""), expected=0)
        assert slow.overflowed
        assert slow.closed
        assert await slow.take(timeout=1) == []
    finally:
        await opened.close()


async def test_compaction_keeps_live_rows_and_the_newest_revisions(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.db"
    keep = settings.Settings(keep_revisions=2)
    log = await store.Store.open(path, keep)
    await log.write("/keep", text("x"), expected=0)
    for expected in range(1, 8):
        await log.write("/often", text(str(expected)), expected=0 if expected == 1 else expected)
    await log.delete("/often", text("gone"), expected=8)
    await log.compact(to=log.revision)
    await log.close()
    with sqlite3.connect(path) as connection:
        left = [revision for (revision,) in connection.execute("SELECT revision FROM log ORDER BY revision")]
    connection.close()
    # 7 is what 8 replaced: a watch from 7 on shows it as the state before.
    assert left == [1, 7, 8, 9]
    log = await store.Store.open(path, keep)
    try:
        assert log.oldest == 7
        assert [row.key for row in log.range("/")] == ["/keep"]
    finally:
        await log.close()


async def test_revisions_never_return_after_compaction(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.db"
    log = await store.Store.open(path, settings.Settings(keep_revisions=0))
    await log.write("/a", text(""), expected=0)
    await log.delete("/a", text(""), expected=1)
    await log.compact(to=2)
    await log.close()
    log = await store.Store.open(path)
    try:
        assert log.revision == 2
        assert (await log.write("/a", text(""), expected=0)).revision == 3
    finally:
        await log.close()


async def test_a_cancelled_caller_does_not_take_the_write_with_it(log: store.Store) -> None:
    task = asyncio.create_task(log.write("/a", text("x"), expected=0))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(errors.Conflict):
        await log.write("/a", text("y"), expected=0)
    assert log.get("/a") == rows.Row("/a", 1, b"x@1")


async def test_only_one_process_opens_it(log: store.Store, tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.Locked, match="stop that one first"):
        await store.Store.open(tmp_path / "a.db")


async def test_damage_is_named(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"this is no database at all" * 1000)
    with pytest.raises(errors.Corrupt, match="restore it from a backup"):
        await store.Store.open(path)
    path.unlink()
    log = await store.Store.open(path)
    await log.close()


async def test_a_newer_schema_is_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.db"
    await (await store.Store.open(path)).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(errors.StoreError, match="newer Boxfleet"):
        await store.Store.open(path)


async def test_a_full_disk_fails_writes_and_nothing_else(log: store.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await log.write("/a", text("x"), expected=0)
    await log._writer.call(lambda base: base._connection.execute("PRAGMA max_page_count = 1").fetchall())
    with pytest.raises(errors.Full, match="make room"):
        await log.write("/b", lambda revision: b"x" * 1_000_000, expected=0)
    assert [row.key for row in log.range("/")] == ["/a"]
    await log._writer.call(lambda base: base._connection.execute("PRAGMA max_page_count = 1000000").fetchall())
    assert (await log.write("/b", text("x"), expected=0)).revision > 1


async def test_writes_share_transactions(log: store.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []
    append = database.Database.append

    def counted(self: database.Database, group: list[database.LogRow]) -> None:
        batches.append(len(group))
        append(self, group)

    monkeypatch.setattr(database.Database, "append", counted)
    await asyncio.gather(*(log.write(f"/{number}", text(""), expected=0) for number in range(200)))
    assert sum(batches) == 200
    assert len(batches) < 100


async def test_nothing_is_accepted_after_close(tmp_path: pathlib.Path) -> None:
    log = await store.Store.open(tmp_path / "a.db")
    watch = log.watch("/", after=0)
    await log.close()
    assert watch.closed
    with pytest.raises(errors.Closed):
        await log.write("/a", text(""), expected=0)
    with pytest.raises(errors.Closed):
        log.watch("/", after=0)
    await log.close()
