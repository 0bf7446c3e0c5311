"""The newest revision, asked for once for all who want to know at the same time."""

import asyncio
import contextlib

from boxfleet.store import errors
from boxfleet.store.postgres import session


class Heads:
    """A consistent read must see what was acknowledged before it began: only a question that begins later tells."""

    def __init__(self) -> None:
        # The answer of the next question, for all who came since the last one went out.
        self._next: asyncio.Future[int] | None = None
        self._asked: asyncio.Future[int] | None = None
        self._wanted = asyncio.Event()

    async def newest(self) -> int:
        """The head at some moment after the call; raises Unavailable when the database goes away meanwhile."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
            self._wanted.set()
        return await asyncio.shield(self._next)

    async def run(self, opened: session.Session, *, limit: float) -> None:
        """Ask, as long as the session holds; `limit` is how many seconds an answer may take."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            self._asked, self._next = self._next, None
            async with asyncio.timeout(limit):
                head = await opened.newest()
            asked, self._asked = self._asked, None
            if asked is not None and not asked.done():
                asked.set_result(head)

    def refuse(self, why: errors.StoreError) -> None:
        """The database is away: tell all who wait."""
        self._wanted.clear()
        for future in (self._asked, self._next):
            if future is not None and not future.done():
                future.set_exception(why)
                with contextlib.suppress(errors.StoreError):
                    future.exception()
        self._asked = self._next = None
