"""A SQLite file as the source and the target of a copy."""

import contextlib
import os
import pathlib
import sqlite3
from collections.abc import AsyncIterator, Iterator

from boxfleet.store import copies, errors, queries
from boxfleet.store.sqlite import database

_PAGE = 2000


class _Snapshot:
    """What a read transaction sees: a server may go on writing beside it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._sql = queries.named("sqlite")
        self.head = int(connection.execute(self._sql["head"]).fetchone()[0])
        self.compacted = int(connection.execute(self._sql["compacted"]).fetchone()[0])

    async def pages(self) -> copies.Pages:
        cursor = self._connection.execute(self._sql["rows"])
        while page := cursor.fetchmany(_PAGE):
            yield page


class _Whole:
    """A file that is locked for this process."""

    def __init__(self, base: database.Database) -> None:
        self._base = base
        self.head = base.head()
        self.compacted = base.compacted()

    async def pages(self) -> copies.Pages:
        for page in self._base.rows():
            yield page

    async def fill(self, pages: copies.Pages, *, head: int, compacted: int, standing: str) -> None:
        read, written = copies.Digest(), copies.Digest()
        with self._base.replacing(compacted=compacted, standing=standing) as append:
            async for page in copies.passing(pages, read):
                append(page)
            for page in self._base.rows():
                written.add(page)
            copies.agree(read, written)

    async def begin(self) -> None:
        self._base.set_standing("live")


@contextlib.contextmanager
def snapshot(path: pathlib.Path) -> Iterator[copies.Source]:
    """The log as it is now, also while a server runs."""
    if not path.exists():
        raise errors.StoreError(f"cannot read {path}: there is no store; start Boxfleet once: boxfleet up")
    try:
        connection = sqlite3.connect(path, isolation_level=None, timeout=5.0)
        try:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if version != len(queries.migrations("sqlite")):
                raise errors.StoreError(
                    f"cannot read {path}: its schema is that of another Boxfleet; start this one once: boxfleet up"
                )
            connection.execute("PRAGMA query_only = 1")
            connection.execute("BEGIN")
            yield _Snapshot(connection)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise errors.StoreError(f"cannot read {path}: {error}") from error


@contextlib.asynccontextmanager
async def seized(path: pathlib.Path, *, empty: bool) -> AsyncIterator[_Whole]:
    """The log for oneself alone; raises Locked while a server runs, and Occupied when it should be empty and is not."""
    if not empty and not path.exists():
        raise errors.StoreError(f"cannot read {path}: there is no store")
    with contextlib.closing(database.Database(path)) as base:
        whole = _Whole(base)
        if empty and whole.head > 0 and base.standing() != "arriving":
            raise errors.Occupied(
                f"cannot write to {path}: there is a store already, at revision {whole.head}; move it away first"
            )
        yield whole


def retire(path: pathlib.Path) -> pathlib.Path:
    """Put a file whose log was moved elsewhere out of the way; where it is now. Harmless when repeated."""
    held = database.lock(path.with_name(path.name + ".lock"))
    try:
        moved = path.with_name(path.name + ".moved")
        for end in ("-wal", "-shm", ""):
            part = path.with_name(path.name + end)
            if part.exists():
                part.replace(moved.with_name(moved.name + end))
        return moved
    finally:
        os.close(held)
