"""What a database must do for the store: the port that SQLite and PostgreSQL implement."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from boxfleet.store import rows

# revision, key, stored value, previous revision (0: created), deleted: a row of the log as it lies in a database.
LogRow = tuple[int, str, bytes, int, bool]


class Along(msgspec.Struct, frozen=True):
    """A row that changes along with a write: both are there or neither, with nothing in between.

    `change` makes the new value from the one that is there at that very moment, of all that was written before, and
    the revision that it gets; None leaves the row alone, and what it raises refuses the write. It may be called again.
    A row that is not there is passed over.
    """

    key: str
    change: Callable[[bytes, int], bytes | None]


class Wish(msgspec.Struct, eq=False):
    """A write that somebody waits for.

    `value` makes the plain bytes, given the revision that the write gets; it may be called again with another one.
    """

    key: str
    value: Callable[[int], bytes]
    expected: int
    deleted: bool
    done: "asyncio.Future[rows.Row]"
    # None of them may be the row that is written.
    along: Sequence[Along] = ()


class Backend(Protocol):
    """A durable log that fills and follows a `memory.Memory`. Raises `errors.StoreError` and its kind."""

    # Whether other servers write to it too, so that memory may be behind.
    shared: bool

    @property
    def trouble(self) -> str:
        """Why nothing can be written now; empty when all is well."""

    async def start(self) -> None:
        """Open the log, bring its schema up to date, and fill the memory."""

    def write(self, wish: Wish) -> Awaitable[rows.Row]:
        """Make a write durable, then visible in memory, then give it back, to who waits for what this returns.

        Raises Conflict, Full, Closed, Unavailable, at once or by that.
        """

    async def current(self) -> None:
        """Return when memory holds every write that was acknowledged, by any server, before the call."""

    async def compact(self, *, to: int) -> None:
        """Drop what is replaced or deleted up to a revision. Live rows always stay."""

    async def stop(self) -> None:
        """Finish the writes that were accepted and close the log."""
