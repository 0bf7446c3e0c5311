"""One stretch of time in which the database is there: two connections, and what is said over them.

One connection writes and hears of other servers' writes, the other only asks for the newest revision, so that reads
never wait for a commit.
"""

import asyncio
import uuid
from collections.abc import Callable, Sequence

import asyncpg

from boxfleet.store import backend, codec, errors, memory
from boxfleet.store import settings as settings_
from boxfleet.store import where as places
from boxfleet.store.postgres import connecting

_SQL = connecting.SQL
_CHANNEL = "boxfleet"
# Rows per question while catching up: enough to share its cost, few enough to hold.
PAGE = 2000


class Session:
    """Raises one of `connecting.LOST`, or `asyncpg.PostgresError` for a statement that was refused."""

    def __init__(
        self,
        work: asyncpg.Connection,
        asking: asyncpg.Connection,
        *,
        settings: settings_.Settings,
        codec: codec.Codec,
    ) -> None:
        self._work = work
        self._asking = asking
        self._settings = settings
        self._codec = codec

    @classmethod
    async def open(
        cls, where: places.Postgres, *, settings: settings_.Settings, codec: codec.Codec, heard: Callable[[], None]
    ) -> "Session":
        """Connect, migrate, listen; `heard` is called when others have written. Raises `errors.StoreError` besides."""
        work = await connecting.connect(where, settings=settings)
        try:
            async with asyncio.timeout(settings.answer_seconds):
                await connecting.migrate(work, where=where)
                await _enter(work, where=where)
                own = work.get_server_pid()
                await work.add_listener(_CHANNEL, lambda _c, pid, _n, _p: None if pid == own else heard())
            asking = await connecting.connect(where, settings=settings)
        except BaseException:
            connecting.terminate(work)
            raise
        return cls(work, asking, settings=settings, codec=codec)

    async def load(self) -> memory.Loaded:
        """Everything, at one revision. Takes as long as it takes."""
        decode = self._codec.decode
        limit = self._settings.history_changes
        async with self._work.transaction(isolation="repeatable_read", readonly=True):
            head = await self._work.fetchval(_SQL["head"])
            compacted = await self._work.fetchval(_SQL["compacted"])
            live = []
            async for key, revision, value in self._work.cursor(_SQL["live"], prefetch=PAGE):
                live.append((key, revision, decode(key, value)))
            history = await self._work.fetch(_SQL["history"], limit + 1)
        return memory.read(
            live,
            (
                (revision, key, decode(key, value), None if before is None else decode(key, before), previous, deleted)
                for revision, key, value, before, previous, deleted in history
            ),
            limit=limit,
            head=head,
            compacted=compacted,
        )

    async def append_at(self, head: int, rows: Sequence[backend.LogRow], *, server: uuid.UUID, batch: int) -> bool:
        """Commit plain rows if the head is where it was; whether it was. When this fails with LOST, nobody knows."""
        return bool(await self._work.fetch(_SQL["append_at"], *self._columns(rows), server, batch, rows[-1][0], head))

    async def begin(self) -> None:
        """Open a transaction that alone may move the head."""
        await self._work.execute(f"BEGIN; {_SQL['lock_head']}")

    async def append(self, rows: Sequence[backend.LogRow], *, server: uuid.UUID, batch: int) -> None:
        """Add plain rows to the open transaction; the last one's revision is the new head."""
        await self._work.execute(_SQL["append"], *self._columns(rows), server, batch, rows[-1][0])

    async def commit(self) -> None:
        """End the transaction; afterwards it is on disk. When this fails with one of LOST, nobody knows."""
        await self._work.execute("COMMIT")

    async def rollback(self) -> None:
        """End the transaction without a trace."""
        await self._work.execute("ROLLBACK")

    async def after(self, revision: int) -> list[backend.LogRow] | None:
        """A page of plain committed rows after a revision, oldest first; None when history no longer holds them all."""
        decode = self._codec.decode
        found = await self._work.fetch(_SQL["after"], revision, PAGE)
        if found[0][0] > revision:
            return None
        if found[0][1] is None:
            return []
        return [
            (number, key, decode(key, value), previous, deleted) for _, number, key, value, previous, deleted in found
        ]

    async def newest(self) -> int:
        """The newest revision, by the connection that only asks for it."""
        return int(await self._asking.fetchval(_SQL["head"]))

    async def committed_batch(self, server: uuid.UUID) -> int:
        """The last batch that a server committed, once none of its sessions can be committing any more."""
        async with self._work.transaction():
            await self._work.fetchval(_SQL["lock_head"])
            return int(await self._work.fetchval(_SQL["batch"], server) or 0)

    async def forget(self, server: uuid.UUID) -> None:
        """The server ends in order."""
        await self._work.execute(_SQL["forget_server"], server)

    def _columns(self, rows: Sequence[backend.LogRow]) -> list[list[object]]:
        encode = self._codec.encode
        return [
            [row[0] for row in rows],
            [row[1] for row in rows],
            [encode(row[1], row[2]) for row in rows],
            [row[3] for row in rows],
            [row[4] for row in rows],
        ]

    def terminate(self) -> None:
        """Cut both connections at once."""
        connecting.terminate(self._work)
        connecting.terminate(self._asking)

    async def close(self) -> None:
        """End both sessions in order."""
        await connecting.close(self._work)
        await connecting.close(self._asking)


async def _enter(connection: asyncpg.Connection, *, where: places.Postgres) -> None:
    """Begin to use the log; refused while it is copied or replaced, and when it is not in charge."""
    if not await connection.fetchval(_SQL["share"]):
        raise errors.Locked(f"cannot open the store: {where} is being moved or restored; wait until that is done")
    state = await connection.fetchval(_SQL["standing"])
    if state == "moved":
        raise errors.StoreError(
            f"cannot open the store: {where} was moved elsewhere and is no longer in charge; correct "
            "the setting `store` of this server"
        )
    if state == "arriving":
        # The settings lead here already, so the copy is whole: a move was cut off just before its end.
        await connection.execute(_SQL["set_standing"], "live")
