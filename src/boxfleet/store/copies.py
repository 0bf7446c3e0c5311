"""Whole logs on their way: out of a database at one revision, and into an empty one."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from boxfleet.store import backend, errors

Pages = AsyncIterator[Sequence[backend.LogRow]]


class Source(Protocol):
    """A log at one revision, with values as they lie in the database."""

    # The newest revision, and up to where history is incomplete.
    head: int
    compacted: int

    def pages(self) -> Pages:
        """All rows, in order of revisions."""


class Target(Protocol):
    """An empty log that nobody else uses meanwhile."""

    async def fill(self, pages: Pages, *, head: int, compacted: int, standing: str) -> None:
        """Write all of it in one transaction: a kill leaves the log empty. Raises `errors.StoreError`."""

    async def begin(self) -> None:
        """Put a log that was filled as `arriving` in charge."""


class Digest:
    """What tells two copies of a log apart."""

    def __init__(self) -> None:
        self._sum = hashlib.sha256()
        self.count = 0

    def add(self, page: Sequence[backend.LogRow]) -> None:
        """The next rows."""
        for revision, key, value, previous, deleted in page:
            head = f"{revision} {previous} {int(deleted)} {len(value)} {key}\n"
            self._sum.update(head.encode())
            self._sum.update(value)
        self.count += len(page)

    def hexdigest(self) -> str:
        """The same for the same rows."""
        return self._sum.hexdigest()


async def passing(pages: Pages, digest: Digest) -> Pages:
    """The same pages, summed up as they pass."""
    async for page in pages:
        digest.add(page)
        yield page


def agree(read: Digest, written: Digest) -> None:
    """Raise Corrupt when what was written is not what was read."""
    if read.hexdigest() != written.hexdigest():
        raise errors.Corrupt(
            f"the copy differs from its source ({written.count} rows of {read.count}); nothing was changed"
        )
