"""The SQLite file: lock, settings, migrations, and errors in our own words.

Everything here blocks and runs on the writer thread.
"""

import contextlib
import fcntl
import itertools
import os
import pathlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence

from boxfleet.store import backend, errors, queries

# Rows in memory at a time while the log is copied.
_PAGE = 2000
# Revisions per transaction while compacting, so that writers are not held up.
_COMPACT_STEP = 2000
# Rows that one statement appends. The library keeps 128 prepared statements, and each number of rows has its own.
_STATEMENT = 64
# Pages in SQLite's memory; negative: KiB.
_CACHE = -4096
# Bytes that SQLite's write-ahead log has when it is carried over into the database: 1,000 pages, its own default.
_LOG = 1000 * 4096


class Database:
    """One open database file, locked for this process. Raises `errors.StoreError` and its kind."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._sql = queries.named("sqlite")
        # By the number of rows.
        self._appends: dict[int, str] = {}
        with self._told("open"):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = lock(path.with_name(path.name + ".lock"))
        try:
            with self._told("open"):
                self._connection = _connect(path)
            try:
                with self._told("open"):
                    self._migrate()
                    self._stretch()
            except errors.StoreError:
                self._connection.close()
                raise
        except errors.StoreError:
            os.close(self._lock)
            raise

    def live(self) -> list[tuple[str, int, bytes]]:
        """Key, revision and value of everything that is there."""
        with self._told("read"):
            return self._connection.execute(self._sql["live"]).fetchall()

    def history(self, *, limit: int) -> list[tuple[int, str, bytes, bytes | None, int, bool]]:
        """The newest changes, newest first: revision, key, value, value before, previous revision, deleted."""
        with self._told("read"):
            return self._connection.execute(self._sql["history"], (limit,)).fetchall()

    def head(self) -> int:
        """The newest revision."""
        return self._number("head")

    def compacted(self) -> int:
        """Up to where history is incomplete."""
        return self._number("compacted")

    def append(self, rows: Sequence[backend.LogRow]) -> None:
        """Write rows in one transaction; when this returns they are on disk."""
        with self._told("write to"):
            if len(rows) <= _STATEMENT:
                # A statement is a transaction of its own.
                self._insert(rows)
                return
            with self._transaction():
                for at in range(0, len(rows), _STATEMENT):
                    self._insert(rows[at : at + _STATEMENT])

    def compact(self, *, to: int) -> None:
        """Drop what is replaced or deleted up to a revision. Live rows always stay."""
        done = self.compacted()
        while done < to:
            step = min(done + _COMPACT_STEP, to)
            with self._told("compact"), self._transaction():
                self._connection.execute(self._sql["drop_replaced"], (done, step))
                self._connection.execute(self._sql["drop_deletions"], (done, step))
                self._connection.execute(self._sql["set_compacted"], (step,))
            done = step
        with self._told("compact"):
            # The pragma gives pages back as its rows are fetched.
            self._connection.execute("PRAGMA incremental_vacuum(1000)").fetchall()

    def standing(self) -> str:
        """Whether the log is in charge: live, arriving or moved."""
        with self._told("read"):
            return str(self._connection.execute(self._sql["standing"]).fetchone()[0])

    def set_standing(self, state: str) -> None:
        """Put the log in charge, or out of it."""
        with self._told("write to"):
            self._connection.execute(self._sql["set_standing"], (state,))

    def rows(self) -> Iterator[list[backend.LogRow]]:
        """The whole log in pages, in order of revisions."""
        with self._told("read"):
            cursor = self._connection.execute(self._sql["rows"])
            while page := cursor.fetchmany(_PAGE):
                yield page

    @contextlib.contextmanager
    def replacing(self, *, compacted: int, standing: str) -> Iterator[Callable[[Sequence[backend.LogRow]], object]]:
        """Replace the whole log in one transaction, by the rows that are given to what this yields."""
        with self._told("write to"), self._transaction():
            self._connection.execute(self._sql["clear"])
            yield lambda rows: self._connection.executemany(self._sql["append"], rows)
            self._connection.execute(self._sql["set_compacted"], (compacted,))
            self._connection.execute(self._sql["set_standing"], (standing,))

    def close(self) -> None:
        """Close the file and let go of the lock."""
        self._connection.close()
        os.close(self._lock)

    def _insert(self, rows: Sequence[backend.LogRow]) -> None:
        """Many rows by one statement.

        Each statement lets go of the interpreter's lock and has to wait for it again, while requests are computed.
        """
        count = len(rows)
        statement = self._appends.get(count)
        if statement is None:
            statement = self._appends[count] = self._sql["append"] + ", (?, ?, ?, ?, ?)" * (count - 1)
        self._connection.execute(statement, list(itertools.chain.from_iterable(rows)))

    def _number(self, name: str) -> int:
        with self._told("read"):
            return int(self._connection.execute(self._sql[name]).fetchone()[0])

    def _migrate(self) -> None:
        steps = queries.migrations("sqlite")
        version = int(self._connection.execute("PRAGMA user_version").fetchone()[0])
        if version > len(steps):
            raise errors.StoreError(
                f"cannot open {self._path}: it was written by a newer Boxfleet (schema {version}, this one "
                f"knows {len(steps)}); install that version again"
            )
        for number, script in enumerate(steps[version:], start=version + 1):
            # One transaction per step: a kill in between leaves a whole older schema.
            self._connection.executescript(f"BEGIN; {script}; PRAGMA user_version = {number}; COMMIT;")

    def _stretch(self) -> None:
        """Give the write-ahead log the size that it will have, once for all.

        While it grows, a flush waits for the file system's journal as well, and so for what others write: of a hundred
        commits a second one in ten took 5 ms on the machine of the benchmarks, and 1 ms in a log that was there. SQLite
        removes it whenever the file is closed. A transaction that does not fit into memory goes to the log before its
        end, and the log keeps its size when the transaction is undone.
        """
        connection = self._connection
        try:
            connection.execute("PRAGMA cache_size=10")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(self._sql["stretch"], (_LOG,))
        except sqlite3.Error:
            # It is only slower without, and a disk that is full is told of when something is written.
            pass
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            connection.execute(f"PRAGMA cache_size={_CACHE}")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            # Some errors have rolled back by themselves; a second time is an error of its own.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _told(self, action: str) -> Iterator[None]:
        """Turn the library's and the system's errors into ours."""
        try:
            yield
        except sqlite3.Error as error:
            raise _explain(error, action=action, path=self._path) from error
        except OSError as error:
            raise errors.StoreError(f"cannot {action} {self._path}: {error.strerror or error}") from error


def _connect(path: pathlib.Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    # auto_vacuum counts only when set before the first table is made.
    for pragma in ("auto_vacuum=INCREMENTAL", "journal_mode=WAL", "synchronous=FULL", f"cache_size={_CACHE}"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    path.chmod(0o600)
    return connection


def lock(path: pathlib.Path) -> int:
    """Take the lock that makes this process the database's only server; the kernel frees it with the process."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise errors.Locked(
            f"cannot open the store: {path} is locked by another server process; stop that one first"
        ) from None
    return descriptor


def _explain(error: sqlite3.Error, *, action: str, path: pathlib.Path) -> errors.StoreError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return errors.Full(f"cannot {action} {path}: the disk is full; make room and try again")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return errors.Corrupt(f"cannot {action} {path}: the file is damaged ({error}); restore it from a backup")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return errors.Locked(f"cannot {action} {path}: another process holds it ({error}); stop that one first")
    return errors.StoreError(f"cannot {action} {path}: {error}")
