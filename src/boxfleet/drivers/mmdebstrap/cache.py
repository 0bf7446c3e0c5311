"""Built images on disk: one archive and one record per fingerprint, written whole or not at all.

Layout: ``NAME-FINGERPRINT.tar`` and ``.json`` (the record; an archive without one is not there), ``.lock`` files
held while an image is built, and ``work/`` with a folder per running build.
"""

import asyncio
import contextlib
import fcntl
import os
import pathlib
import shutil
from collections.abc import AsyncIterator, Callable

import msgspec

from boxfleet.kit import clock

# Seconds between two looks at a lock that another process holds.
_POLL = 0.2


class Record(msgspec.Struct, kw_only=True, frozen=True):
    """What is known of a cached archive. Times in seconds since the epoch."""

    reference: str
    digest: str
    size: int
    suite: str
    source_date: int
    # When each of the suite's archives was released, as the build saw them.
    releases: dict[str, int]


class Cache:
    """The folder of built images."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder

    def archive(self, key: str) -> pathlib.Path:
        """Where the archive of that key is, or will be."""
        return self._folder / f"{key}.tar"

    def find(self, key: str) -> Record | None:
        """The record of a complete archive."""
        try:
            record = msgspec.json.decode(self._record(key).read_bytes(), type=Record)
            complete = self.archive(key).stat().st_size == record.size
        except (FileNotFoundError, msgspec.DecodeError):
            return None
        return record if complete else None

    def store(self, key: str, *, archive: pathlib.Path, record: Record) -> None:
        """Move an archive of the same file system in, and drop older ones of the same reference."""
        self._record(key).unlink(missing_ok=True)
        archive.replace(self.archive(key))
        draft = self._folder / f"{key}.json.new"
        draft.write_bytes(msgspec.json.encode(record))
        draft.replace(self._record(key))
        for path in self._folder.glob("*.json"):
            other = path.stem
            found = self.find(other)
            if other != key and found is not None and found.reference == record.reference:
                path.unlink(missing_ok=True)
                self.archive(other).unlink(missing_ok=True)

    @contextlib.asynccontextmanager
    async def work(self, key: str, *, clock: clock.Clock, waiting: Callable[[], None]) -> AsyncIterator[pathlib.Path]:
        """An empty folder for one build, alone with that key; `waiting` is called once when another build holds it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "work").mkdir(exist_ok=True)
        told = False
        while (lock := self._try_lock(key)) is None:
            if not told:
                waiting()
                told = True
            await clock.sleep(_POLL)
        try:
            await asyncio.to_thread(self._sweep, key)
            folder = self._folder / "work" / key
            folder.mkdir()
            try:
                yield folder
            finally:
                await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder))
        finally:
            os.close(lock)

    def _sweep(self, key: str) -> None:
        """Remove what killed builds left behind: the folders whose lock nobody holds."""
        for folder in (self._folder / "work").iterdir():
            if folder.name == key:
                shutil.rmtree(folder)
                continue
            lock = self._try_lock(folder.name)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)

    def _try_lock(self, key: str) -> int | None:
        """A descriptor that holds the key's lock until closed; None when another one does."""
        descriptor = os.open(self._folder / f"{key}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def _record(self, key: str) -> pathlib.Path:
        return self._folder / f"{key}.json"
