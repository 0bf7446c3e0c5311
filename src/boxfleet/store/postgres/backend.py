"""A server's part in a shared log: its commits, the rows of the others, and what to do when the database is away.

One task works through everything in order: a batch of writes takes the head's lock, reads what others wrote before,
holds the writers' expectations against that, appends and commits. Between batches it follows the others.
"""

import asyncio
import collections
import contextlib
import uuid
from collections.abc import AsyncIterator

import asyncpg
import structlog

from boxfleet.kit import backoff
from boxfleet.store import backend, codec, errors, memory, rows
from boxfleet.store import settings as settings_
from boxfleet.store import where as places
from boxfleet.store.postgres import batches, compacting, connecting, heads, session

log = structlog.get_logger()

_RECONNECT = backoff.Backoff(initial=0.05, limit=2.0)


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
        # Whether nobody else wrote when this server last did.
        self._alone = True
        # Set when another server may have written.
        self._look = False
        self._heads = heads.Heads()
        self._session: session.Session | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        # A batch whose commit was cut off: it is there, or it is not.
        self._unknown: batches.Batch | None = None
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
        if self._closing:
            raise errors.Closed("cannot read the newest state: the server stops")
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
                await compacting.run(connection, to=to)
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
        self._heads.refuse(errors.Closed("cannot read the newest state: the server stops"))
        if self._unknown is not None:
            why = "the server stops before the database could tell whether this was written"
            batches.fail(self._unknown.wishes, errors.Closed(why))

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
        """One batch: in one step while nobody else writes, and under the head's lock when somebody may."""
        if not (self._alone and await self._commit_at_once(opened)):
            await self._commit_locked(opened)

    async def _commit_at_once(self, opened: session.Session) -> bool:
        """Whether memory was at the head; if not, the writes wait on."""
        attempt = batches.Attempt(self._take())
        async with self._answering(opened, attempt):
            batch, refused = self._decide(attempt.wishes)
            done = False
            # A refusal must be judged by the newest state.
            if batch.rows and not refused:
                attempt.committing = batch
                done = await opened.append_at(
                    self._memory.revision, batch.rows, server=self._server, batch=batch.number
                )
            if done:
                self._settle(batch)
            else:
                self._alone = False
                self._wishes.extendleft(reversed(attempt.wishes))
        return done or attempt.answered

    async def _commit_locked(self, opened: session.Session) -> None:
        """What waits once the lock is held, so that those who came meanwhile go along."""
        attempt = batches.Attempt([])
        async with self._answering(opened, attempt):
            await opened.begin()
            self._alone = True
            await self._follow(opened)
            attempt.wishes = self._take()
            batch, refused = self._decide(attempt.wishes)
            if batch.rows:
                await opened.append(batch.rows, server=self._server, batch=batch.number)
                attempt.committing = batch
                await opened.commit()
                self._settle(batch)
            else:
                await opened.rollback()
            for wish, why in refused:
                batches.fail([wish], why)

    @contextlib.asynccontextmanager
    async def _answering(self, opened: session.Session, attempt: batches.Attempt) -> AsyncIterator[None]:
        """Tell the writers when it fails, but for those whose commit was cut off: what became of it is found out."""
        try:
            yield
        except errors.Unavailable as error:
            # History is gone: the session begins anew.
            batches.fail(attempt.wishes, error)
            raise
        except errors.StoreError as error:
            # The codec refuses.
            await self._give_up(opened, attempt, error)
        except asyncpg.PostgresError as error:
            if isinstance(error, connecting.LOST):
                self._undecided(attempt, error)
                raise
            why = connecting.explain(error, action="write to", where=self._where)
            await self._give_up(opened, attempt, why)
        except BaseException as error:
            self._undecided(attempt, error)
            raise

    async def _give_up(self, opened: session.Session, attempt: batches.Attempt, why: errors.StoreError) -> None:
        """The database answered, so nothing is in doubt."""
        attempt.answered = True
        # Where the lock was not to be had, those in the queue have waited as well.
        batches.fail(attempt.wishes or self._take(), why)
        await opened.rollback()

    def _take(self) -> list[backend.Wish]:
        return [self._wishes.popleft() for _ in range(min(len(self._wishes), self._settings.batch))]

    def _decide(self, wishes: list[backend.Wish]) -> tuple[batches.Batch, list[tuple[backend.Wish, Exception]]]:
        self._batches += 1
        return batches.decide(wishes, memory=self._memory, number=self._batches)

    async def _follow(self, opened: session.Session) -> None:
        """Take all rows that other servers have committed."""
        while True:
            page = await opened.after(self._memory.revision)
            if page is None:
                raise errors.Unavailable(
                    f"cannot follow {self._where}: what was written meanwhile is compacted already"
                )
            if page:
                self._alone = False
            self._memory.apply(page)
            if len(page) < session.PAGE:
                return

    async def _follows(self, opened: session.Session) -> bool:
        """Catch up; false when the database was away for longer than history is kept."""
        try:
            await self._follow(opened)
        except errors.Unavailable:
            return False
        return True

    def _undecided(self, attempt: batches.Attempt, error: BaseException) -> None:
        why = errors.Unavailable(f"cannot write to {self._where}: {connecting.cause(error)}; nothing was written")
        if attempt.committing is None:
            batches.fail(attempt.wishes, why)
            return
        self._unknown = attempt.committing
        asked = {id(wish) for wish in attempt.committing.wishes}
        batches.fail([wish for wish in attempt.wishes if id(wish) not in asked], why)

    def _settle(self, batch: batches.Batch) -> None:
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
        batches.fail(self._wishes, why)
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
                known = self._memory.revision
                if head < known:
                    log.error("the database has lost writes", database=str(self._where), head=head, known=known)
                whole = head >= known and await self._follows(opened)
            if not whole:
                # Watchers list anew. This takes as long as it takes.
                self._memory.fill(await opened.load())
        except BaseException:
            opened.terminate()
            raise
        if (batch := self._unknown) is not None:
            self._unknown = None
            if done >= batch.number:
                self._settle(batch)
            else:
                batches.fail(
                    batch.wishes,
                    errors.Unavailable(f"cannot write to {self._where}: it was cut off; nothing was written"),
                )
        self._lost = ""
        log.info("the database is back", database=str(self._where), revision=self._memory.revision)
        return opened

    def _hear(self) -> None:
        self._look = True
        self._wake.set()
