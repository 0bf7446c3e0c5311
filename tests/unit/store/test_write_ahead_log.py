"""SQLite's write-ahead log has its size from the beginning, and keeps to it."""

import pathlib

import pytest

from boxfleet.store.sqlite import database


@pytest.mark.parametrize("again", [False, True])
def test_it_neither_grows_by_writing_nor_holds_anything_at_first(tmp_path: pathlib.Path, *, again: bool) -> None:
    path = tmp_path / "a.db"
    log = path.with_name("a.db-wal")
    written = []
    for _ in range(1 + again):
        base = database.Database(path)
        try:
            size = log.stat().st_size
            assert size >= database._LOG
            assert [row[1] for row in base.live()] == written
            # Far more than fits into it at a time: it is carried over and begun again.
            for _ in range(40):
                number = base.head() + 1
                base.append([(number, f"k{number}", b"x" * 400_000, 0, False)])
                written.append(number)
            assert log.stat().st_size < size * 1.2
        finally:
            base.close()
        assert not log.exists()
