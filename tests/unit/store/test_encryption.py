"""What is confidential never lies in the database's files in plain text."""

import os
import pathlib
import sqlite3

import pytest

from boxfleet.store import encryption, errors, store

pytestmark = pytest.mark.anyio

SECRET = b'{"metadata":{},"data":{"password":"correct horse battery staple"}}'
WHERE = "//secrets/default/a"


def codec(*keys: bytes) -> encryption.Encryption:
    return encryption.Encryption(keys, prefixes=("//secrets/",), source="the file of keys")


def on_disk(folder: pathlib.Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


async def test_neither_database_nor_log_nor_backup_tell_a_secret(tmp_path: pathlib.Path) -> None:
    folder, key = tmp_path / "store", os.urandom(32)
    opened = await store.Store.open(folder / "boxfleet.db", codec=codec(key))
    row = await opened.write(WHERE, lambda _: SECRET, expected=0)
    await opened.write("//configmaps/default/a", lambda _: b'{"data":"plain and findable"}', expected=0)
    assert b"findable" in on_disk(folder)
    assert b"horse" not in on_disk(folder)
    with sqlite3.connect(folder / "boxfleet.db") as base, sqlite3.connect(tmp_path / "backup.db") as copy:
        base.backup(copy)
    assert b"horse" not in (tmp_path / "backup.db").read_bytes()
    await opened.write(WHERE, lambda _: SECRET + b" ", expected=row.revision)
    await opened.close()
    assert b"horse" not in on_disk(folder)
    again = await store.Store.open(folder / "boxfleet.db", codec=codec(key))
    found = again.get(WHERE)
    assert found is not None
    assert found.value == SECRET + b" "
    await again.close()


async def test_a_lost_key_is_named_and_nothing_is_started_without_it(tmp_path: pathlib.Path) -> None:
    path, key = tmp_path / "boxfleet.db", os.urandom(32)
    opened = await store.Store.open(path, codec=codec(key))
    await opened.write(WHERE, lambda _: SECRET, expected=0)
    await opened.close()
    with pytest.raises(errors.StoreError, match=f"the key {encryption.key_id(key)}, which is not in the file of keys"):
        await store.Store.open(path, codec=codec(os.urandom(32)))
    # The failure has let go of everything.
    again = await store.Store.open(path, codec=codec(key))
    await again.close()


def test_an_older_key_reads_and_the_newest_writes() -> None:
    old, new = os.urandom(32), os.urandom(32)
    stored = codec(old).encode(WHERE, SECRET)
    both = codec(new, old)
    assert both.decode(WHERE, stored) == SECRET
    assert both.stale == {WHERE}
    fresh = both.encode(WHERE, SECRET)
    assert both.stale == set()
    assert codec(new).decode(WHERE, fresh) == SECRET


def test_what_was_written_before_is_read_and_counts_as_stale() -> None:
    ours = codec(os.urandom(32))
    assert ours.decode(WHERE, SECRET) == SECRET
    assert ours.decode("//pods/default/a", SECRET) == SECRET
    assert ours.stale == {WHERE}


def test_a_value_cannot_be_moved_or_changed() -> None:
    ours = codec(os.urandom(32))
    stored = ours.encode(WHERE, SECRET)
    assert ours.encode(WHERE, SECRET) != stored
    for where, value in (
        ("//secrets/default/b", stored),
        (WHERE, stored[:-1] + bytes([stored[-1] ^ 1])),
        (WHERE, stored[:20]),
    ):
        with pytest.raises(errors.Corrupt, match="damaged or changed"):
            ours.decode(where, value)
