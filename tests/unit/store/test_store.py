import asyncio
import pathlib
import sqlite3

import pytest

from boxfleet.store import backend, errors, rows, settings, store
from boxfleet.store.sqlite import backend as sqlite
from boxfleet.store.sqlite import database

pytestmark = pytest.mark.anyio


def text(value: str):
    return lambda revision: f"{value}@{revision}".encode()


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
    assert isinstance(log._backend, sqlite.Sqlite)
    thread = log._backend._writer
    await thread.call(lambda base: base._connection.execute("PRAGMA max_page_count = 1").fetchall())
    with pytest.raises(errors.Full, match="make room"):
        await log.write("/b", lambda revision: b"x" * 1_000_000, expected=0)
    assert [row.key for row in log.range("/")] == ["/a"]
    await thread.call(lambda base: base._connection.execute("PRAGMA max_page_count = 1000000").fetchall())
    assert (await log.write("/b", text("x"), expected=0)).revision > 1


async def test_writes_share_transactions(log: store.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []
    append = database.Database.append

    def counted(self: database.Database, group: list[backend.LogRow]) -> None:
        batches.append(len(group))
        append(self, group)

    monkeypatch.setattr(database.Database, "append", counted)
    await asyncio.gather(*(log.write(f"/{number}", text(""), expected=0) for number in range(200)))
    # All come up in one turn of the event loop.
    assert batches == [200]


def test_a_table_knows_what_is_below_a_prefix() -> None:
    table = rows.Table([rows.Row("/apps/deployments/a/x", 1, b""), rows.Row("/odd", 2, b"")])
    table.put(rows.Row("//pods/a/y", 3, b""))
    table.put(rows.Row("//pods/a/y", 4, b""))
    table.put(rows.Row("//pods/b/y", 5, b""))
    for prefix, keys in (
        ("/", ["//pods/a/y", "//pods/b/y", "/apps/deployments/a/x", "/odd"]),
        ("//pods/", ["//pods/a/y", "//pods/b/y"]),
        ("//pods/b/", ["//pods/b/y"]),
        ("//po", ["//pods/a/y", "//pods/b/y"]),
        ("/apps/", ["/apps/deployments/a/x"]),
        ("/apps/deployments/b/", []),
        ("//secrets/", []),
        ("/zoo/", []),
    ):
        assert [row.key for row in table.range(prefix)] == keys
        assert table.count(prefix) == len(keys)
    table.remove("//pods/a/y")
    table.remove("//pods/a/y")
    assert [row.key for row in table.range("//pods/")] == ["//pods/b/y"]
    table.remove("//pods/b/y")
    assert table.range("//pods/") == []
