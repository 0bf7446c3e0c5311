"""A database of the schema before this one opens with everything that was in it."""

import contextlib
import pathlib
import sqlite3

import pytest

from boxfleet.store import rows, store

_BEFORE = pathlib.Path(__file__).with_name("schema-1.sql")


@pytest.mark.anyio
async def test_the_previous_schemas_database_opens(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(_BEFORE.read_text())
    for _ in range(2):
        log = await store.Store.open(path)
        assert log.revision == 6
        assert log.oldest == 2
        assert log.range("//") == [
            rows.Row("//configmaps/default/a", 5, b'{"data":{"a":"2"}}'),
            rows.Row("//namespaces//default", 2, b'{"metadata":{"name":"default"}}'),
        ]
        with log.watch("//configmaps/", after=2) as watch:
            changes = [(one.revision, one.deleted, one.before) for one in await watch.take(timeout=1)]
        assert changes == [
            (3, False, None),
            (4, False, None),
            (5, False, b'{"data":{"a":"1"}}'),
            (6, True, b"{}"),
        ]
        await log.close()
