"""A server's part in a shared log: its commits, the rows of the others, and what to do when the database is away.

One task works through everything in order: a batch of writes takes the head's lock, reads what others wrote before,
holds the writers' expectations against that, appends and commits. Between batches it follows the others.
"""

import asyncio
import collections
import contextlib
import uuid
from collections.abc import Iterable

import asyncpg
import msgspec
import structlog

from boxfleet.kit import backoff
from boxfleet.store import backend, codec, errors, memory, rows
from boxfleet.store import settings as settings_
from boxfleet.store import where as places
from boxfleet.store.postgres import connecting, heads, session

log = structlog.get_logger()

_RECONNECT = backoff.Backoff(initial=0.05, limit=2.0)


class _Batch(msgspec.Struct):
    """Writes that are committed together."""

    number: int
    wishes: list[backend.Wish]
    # What each wish wrote, its own row first.
    written: list[list[backend.LogRow]]

    @property
    def rows(self) -> list[backend.LogRow]:
        """All rows, in order of revisions."""
        return [row for rows in self.written for row in rows]


class Postgres:
    """A `backend.Backend` on a database that other servers may write to as well."""

    shared = True

    def __init__(
        self, where: places.Postgres, *, memory: memory.Memory, settings: settings_.Settings, codec: codec.Codec
    ) -> None:
        self._where = where
        self._memory = memory
        self._settings = settings
        self._codec = codec
        self._server = uuid.uuid4()
        self._batches = 0
        self._wishes: collections.deque[backend.Wish] = collections.deque()
        # Set when there is something to do.
        self._wake = asyncio.Event()
        # Set when another server may have written.
        self._look = False
        self._heads = heads.Heads()
        self._session: session.Session | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        # A batch whose commit was cut off: it is there, or it is not.
        self._unknown: _Batch | None = None
        # Why the database is away; empty while it is there.
        self._lost = ""
        # When it last answered, by the event loop's clock.
        self._contact = 0.0

    @property
    def trouble(self) -> str:
        """Why the database is away, and how old memory is."""
        if not self._lost:
            return ""
        age = asyncio.get_running_loop().time() - self._contact
        return (
            f"the database {self._where} cannot be reached: {self._lost}; what is known here is {age:.0f} s old, "
            "and is served to requests with resourceVersion=0"
        )

    async def start(self) -> None:
        """Connect and load; raises Unavailable when the database is away."""
        with connecting.told("open", self._where):
            opened = await self._open()
            try:
                self._memory.fill(await opened.load())
            except BaseException:
                opened.terminate()
                raise
        self._session = opened
        self._contact = asyncio.get_running_loop().time()
        self._task = asyncio.create_task(self._run(), name="boxfleet-store")

    async def write(self, wish: backend.Wish) -> rows.Row:
        """Queue the write and wait until its batch is committed and visible here."""
        if self._lost:
            raise errors.Unavailable(f"cannot write: {self.trouble}")
        self._wishes.append(wish)
        self._wake.set()
        # A caller that goes away must not take the write with it.
        return await asyncio.shield(wish.done)

    async def current(self) -> None:
        """Compare with the head, once for all who ask meanwhile, and wait for what is missing."""
        if self._lost:
            raise errors.Unavailable(f"cannot read the newest state: {self.trouble}")
        head = await self._heads.newest()
        if head > self._memory.revision:
            self._hear()
            if not await self._memory.reach(head, timeout=self._settings.answer_seconds):
                raise errors.Unavailable(f"cannot read the newest state: {self._where} does not answer in time")

    async def compact(self, *, to: int) -> None:
        """On a connection of its own, in small steps, so that writes and reads go on."""
        with connecting.told("compact", self._where):
            connection = await connecting.connect(self._where, settings=self._settings)
            try:
                await _compact(connection, to=to)
            finally:
                await connecting.close(connection)

    async def stop(self) -> None:
        """Commit what is queued, if the database is there, and close the connections."""
        self._closing = True
        self._wake.set()
        assert self._task is not None
        try:
            async with asyncio.timeout(self._settings.answer_seconds):
                await self._task
        except TimeoutError:
            log.warning("the store was closed while its database did not answer", database=str(self._where))
        self._refuse(errors.Closed("cannot write: the server stops"))
        if self._unknown is not None:
            why = "the server stops before the database could tell whether this was written"
            _fail(self._unknown.wishes, errors.Closed(why))

    async def _run(self) -> None:
        """Work while the database is there, and come back to it when it is not."""
        failures = 0
        try:
            while True:
                try:
                    if self._session is None:
                        self._session = await self._return()
                        failures = 0
                    await self._work(self._session)
                    break
                except (*connecting.LOST, errors.StoreError, asyncpg.PostgresError) as error:
                    self._cut_off(connecting.cause(error))
                except Exception as error:
                    # A fault of ours: nothing may hang on it for good.
                    log.exception("the store's loop failed")
                    self._cut_off(repr(error))
                if self._closing:
                    return
                failures += 1
                await asyncio.sleep(_RECONNECT.delay(failures=failures))
            with contextlib.suppress(*connecting.LOST, asyncpg.PostgresError):
                await self._session.forget(self._server)
            await self._session.close()
        finally:
            if self._session is not None:
                self._session.terminate()

    async def _work(self, opened: session.Session) -> None:
        """Until the store closes or the connection fails."""
        asking = asyncio.create_task(self._heads.run(opened, limit=self._settings.answer_seconds))
        asking.add_done_callback(lambda _: self._wake.set())
        try:
            while True:
                if not self._wishes and not self._look:
                    if self._closing:
                        return
                    await self._idle()
                if asking.done():
                    await asking
                async with asyncio.timeout(self._settings.answer_seconds):
                    if self._wishes:
                        await self._commit(opened)
                    else:
                        self._look = False
                        await self._follow(opened)
                self._contact = asyncio.get_running_loop().time()
        finally:
            asking.cancel()
            await asyncio.wait([asking])
            if not asking.cancelled():
                # It was looked at above, or says what the other connection says too.
                asking.exception()

    async def _idle(self) -> None:
        """Until there is something to do, or it is time to look: a notification may be lost with a connection."""
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.poll_every):
                await self._wake.wait()

    async def _commit(self, opened: session.Session) -> None:
        """One batch. Its writers are told in any case, but for a commit that was cut off."""
        wishes = [self._wishes.popleft() for _ in range(min(len(self._wishes), self._settings.batch))]
        # First whoever replaces a row that others change along with theirs, or it would never be as he expects it.
        wishes.sort(key=lambda wish: bool(wish.along))
        committing: _Batch | None = None
        try:
            head = await opened.begin()
            if head != self._memory.revision:
                await self._follow(opened)
            self._batches += 1
            batch, refused = _decide(wishes, memory=self._memory, number=self._batches)
            if batch.wishes:
                await opened.append(batch.rows, server=self._server, batch=batch.number)
                committing = batch
                await opened.commit()
            else:
                await opened.rollback()
        except errors.Unavailable as error:
            # History is gone: the session begins anew.
            _fail(wishes, error)
            raise
        except errors.StoreError as error:
            # The codec refuses.
            _fail(wishes, error)
            await opened.rollback()
            return
        except asyncpg.PostgresError as error:
            if isinstance(error, connecting.LOST):
                self._undecided(wishes, committing, error)
                raise
            _fail(wishes, connecting.explain(error, action="write to", where=self._where))
            await opened.rollback()
            return
        except BaseException as error:
            self._undecided(wishes, committing, error)
            raise
        self._settle(batch)
        for wish, why in refused:
            _fail([wish], why)

    async def _follow(self, opened: session.Session) -> None:
        """Take all rows that other servers have committed."""
        while True:
            page = await opened.after(self._memory.revision)
            if page is None:
                raise errors.Unavailable(
                    f"cannot follow {self._where}: what was written meanwhile is compacted already"
                )
            self._memory.apply(page)
            if len(page) < session.PAGE:
                return

    def _undecided(self, wishes: list[backend.Wish], committing: _Batch | None, error: BaseException) -> None:
        why = errors.Unavailable(f"cannot write to {self._where}: {connecting.cause(error)}; nothing was written")
        if committing is None:
            _fail(wishes, why)
            return
        self._unknown = committing
        asked = {id(wish) for wish in committing.wishes}
        _fail([wish for wish in wishes if id(wish) not in asked], why)

    def _settle(self, batch: _Batch) -> None:
        """Make a committed batch visible, then tell its writers."""
        self._memory.apply(batch.rows)
        for wish, written in zip(batch.wishes, batch.written, strict=True):
            revision, key, value, _, _ = written[0]
            if not wish.done.done():
                wish.done.set_result(rows.Row(key, revision, value))

    def _cut_off(self, cause: str) -> None:
        """The database is away: refuse what waits, and say so."""
        if not self._lost:
            log.error("the database is away", database=str(self._where), cause=cause)
        self._lost = cause
        if self._session is not None:
            self._session.terminate()
            self._session = None
        why = errors.Unavailable(f"cannot write: {self.trouble}")
        self._refuse(why)
        self._heads.refuse(errors.Unavailable(f"cannot read the newest state: {self.trouble}"))

    def _refuse(self, why: errors.StoreError) -> None:
        _fail(self._wishes, why)
        self._wishes.clear()

    async def _open(self) -> session.Session:
        return await session.Session.open(self._where, settings=self._settings, codec=self._codec, heard=self._hear)

    async def _return(self) -> session.Session:
        """Connect again, find out what became of a commit, and catch up without a gap."""
        opened = await self._open()
        try:
            async with asyncio.timeout(self._settings.answer_seconds):
                done = await opened.committed_batch(self._server) if self._unknown is not None else 0
                head = await opened.newest()
            if head < self._memory.revision:
                log.error(
                    "the database has lost writes", database=str(self._where), head=head, known=self._memory.revision
                )
                self._memory.fill(await opened.load())
            else:
                try:
                    await self._follow(opened)
                except errors.Unavailable:
                    # Away for longer than history is kept: watchers list anew.
                    self._memory.fill(await opened.load())
        except BaseException:
            opened.terminate()
            raise
        if (batch := self._unknown) is not None:
            self._unknown = None
            if done >= batch.number:
                self._settle(batch)
            else:
                _fail(
                    batch.wishes,
                    errors.Unavailable(f"cannot write to {self._where}: it was cut off; nothing was written"),
                )
        self._lost = ""
        log.info("the database is back", database=str(self._where), revision=self._memory.revision)
        return opened

    def _hear(self) -> None:
        self._look = True
        self._wake.set()


def _decide(
    wishes: list[backend.Wish], *, memory: memory.Memory, number: int
) -> tuple[_Batch, list[tuple[backend.Wish, Exception]]]:
    """Which writes go through, at which revisions; memory is at the locked head."""
    batch = _Batch(number, [], [])
    refused: list[tuple[backend.Wish, Exception]] = []
    revision = memory.revision
    # Keys that this batch changed already, with the revision and value that they then have; 0 when it deleted them.
    within: dict[str, tuple[int, bytes]] = {}

    def there(key: str) -> tuple[int, bytes]:
        if (found := within.get(key)) is not None:
            return found
        row = memory.get(key)
        return (row.revision, row.value) if row is not None else (0, b"")

    for wish in wishes:
        actual = there(wish.key)[0]
        if actual != wish.expected:
            refused.append((wish, errors.Conflict(key=wish.key, expected=wish.expected, actual=actual)))
            continue
        try:
            written = [(revision + 1, wish.key, wish.value(revision + 1), wish.expected, wish.deleted)]
            for each in wish.along:
                previous, before = there(each.key)
                number = revision + 1 + len(written)
                if previous and (changed := each.change(before, number)) is not None:
                    written.append((number, each.key, changed, previous, False))
        except Exception as error:
            # The writer's own fault, not that of the others in the batch.
            refused.append((wish, error))
            continue
        revision += len(written)
        batch.wishes.append(wish)
        batch.written.append(written)
        within.update((key, (0 if deleted else number, value)) for number, key, value, _, deleted in written)
    return batch, refused


def _fail(wishes: Iterable[backend.Wish], why: Exception) -> None:
    for wish in wishes:
        if not wish.done.done():
            wish.done.set_exception(why)
            # The waiter may be gone; then nobody else would look at it.
            wish.done.exception()


async def _compact(connection: asyncpg.Connection, *, to: int) -> None:
    sql = connecting.SQL
    while True:
        async with connection.transaction():
            done = await connection.fetchval(sql["lock_compacted"])
            if done >= to:
                return
            step = min(done + _COMPACT_STEP, to)
            await connection.execute(sql["drop_replaced"], done, step)
            await connection.execute(sql["drop_deletions"], done, step)
            await connection.execute(sql["set_compacted"], step)
            await connection.execute(sql["forget_servers"], step - _FORGET_AFTER)


# Revisions per transaction while compacting.
_COMPACT_STEP = 2000
# Revisions after which nobody can still ask what a server committed last.
_FORGET_AFTER = 10_000_000
