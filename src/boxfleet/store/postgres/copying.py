"""A PostgreSQL database as the source and the target of a copy."""

import contextlib
from collections.abc import AsyncIterator

import asyncpg

from boxfleet.store import backend, copies, errors
from boxfleet.store import settings as settings_
from boxfleet.store import where as places
from boxfleet.store.postgres import connecting

_SQL = connecting.SQL
_PAGE = 2000


class _Snapshot:
    """What one transaction sees."""

    def __init__(self, connection: asyncpg.Connection, *, head: int, compacted: int) -> None:
        self._connection = connection
        self.head = head
        self.compacted = compacted

    async def pages(self) -> copies.Pages:
        async for page in _pages(self._connection):
            yield page


class _Target:
    """A log that is locked for this session."""

    def __init__(self, connection: asyncpg.Connection, where: places.Postgres) -> None:
        self._connection = connection
        self._where = where

    async def fill(self, pages: copies.Pages, *, head: int, compacted: int, standing: str) -> None:
        read, written = copies.Digest(), copies.Digest()

        async def records() -> AsyncIterator[backend.LogRow]:
            async for page in copies.passing(pages, read):
                for revision, key, value, previous, deleted in page:
                    yield revision, key, value, previous, bool(deleted)

        with connecting.told("write to", self._where):
            async with self._connection.transaction():
                await self._connection.execute(_SQL["clear"])
                await self._connection.copy_records_to_table(
                    "log",
                    schema_name="boxfleet",
                    columns=["revision", "key", "value", "previous", "deleted"],
                    records=records(),
                )
                async for page in _pages(self._connection):
                    written.add(page)
                copies.agree(read, written)
                await self._connection.execute(_SQL["set_compacted"], compacted)
                await self._connection.execute(_SQL["set_head"], head)
                await self._connection.execute(_SQL["set_standing"], standing)

    async def begin(self) -> None:
        with connecting.told("write to", self._where):
            await self._connection.execute(_SQL["set_standing"], "live")


@contextlib.asynccontextmanager
async def snapshot(
    where: places.Postgres, *, settings: settings_.Settings, alone: bool
) -> AsyncIterator[copies.Source]:
    """The log as it is now; `alone` raises Locked while a server uses it."""
    async with _connected(where, settings=settings) as connection:
        if alone:
            await _seize(connection, where)
        with connecting.told("read", where):
            if not await connection.fetchval(_SQL["migrated"]):
                raise errors.StoreError(f"cannot read {where}: there is no store; start Boxfleet once: boxfleet up")
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                head = await connection.fetchval(_SQL["head"])
                yield _Snapshot(connection, head=head, compacted=await connection.fetchval(_SQL["compacted"]))


@contextlib.asynccontextmanager
async def seized(where: places.Postgres, *, settings: settings_.Settings, empty: bool) -> AsyncIterator[copies.Target]:
    """The log for oneself alone; raises Locked while a server runs, and Occupied when it should be empty and is not."""
    async with _connected(where, settings=settings) as connection:
        await connecting.migrate(connection, where=where)
        await _seize(connection, where)
        with connecting.told("read", where):
            head = await connection.fetchval(_SQL["head"])
            if empty and head > 0 and await connection.fetchval(_SQL["standing"]) != "arriving":
                raise errors.Occupied(
                    f"cannot write to {where}: there is a store already, at revision {head}; take another database, or "
                    "drop what is in this one: DROP SCHEMA boxfleet CASCADE"
                )
        yield _Target(connection, where)


async def retire(where: places.Postgres, *, settings: settings_.Settings) -> None:
    """Take a log whose content was moved elsewhere out of charge: no server opens it any more."""
    async with _connected(where, settings=settings) as connection:
        await _seize(connection, where)
        with connecting.told("write to", where):
            await connection.execute(_SQL["set_standing"], "moved")


@contextlib.asynccontextmanager
async def _connected(where: places.Postgres, *, settings: settings_.Settings) -> AsyncIterator[asyncpg.Connection]:
    with connecting.told("open", where):
        connection = await connecting.connect(where, settings=settings)
        # A copy waits for a disk in the middle of its transaction.
        await connection.execute("SET idle_in_transaction_session_timeout = 0")
    try:
        yield connection
    finally:
        await connecting.close(connection)


async def _seize(connection: asyncpg.Connection, where: places.Postgres) -> None:
    with connecting.told("lock", where):
        if not await connection.fetchval(_SQL["seize"]):
            raise errors.Locked(f"cannot take {where} alone: a server uses it; stop every server that does first")


async def _pages(connection: asyncpg.Connection) -> AsyncIterator[list[backend.LogRow]]:
    page: list[backend.LogRow] = []
    async for record in connection.cursor(_SQL["rows"], prefetch=_PAGE):
        page.append(tuple(record))
        if len(page) == _PAGE:
            yield page
            page = []
    if page:
        yield page
