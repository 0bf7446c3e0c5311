"""What the store must do on every database."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Protocol

import pytest

from boxfleet.store import backend, errors, rows
from boxfleet.store import codec as codecs
from boxfleet.store import settings as settings_
from boxfleet.store import store as stores


class Open(Protocol):
    """Opens the bed's log; again on what an earlier one left."""

    def __call__(self, settings: settings_.Settings = ..., *, codec: codecs.Codec = ...) -> Awaitable[stores.Store]:
        """The open store; the bed closes it."""


@dataclasses.dataclass(slots=True, kw_only=True)
class StoreBed:
    """An empty log."""

    open: Open
    # The log's rows as they lie in the database, closed or open: revision, key, stored value.
    stored: Callable[[], list[tuple[int, str, bytes]]]


def text(value: str) -> Callable[[int], bytes]:
    """A value that names its revision."""
    return lambda revision: f"{value}@{revision}".encode()


class _Backwards:
    """Values lie reversed in the database."""

    def encode(self, key: str, value: bytes) -> bytes:
        return key.encode() + value[::-1]

    def decode(self, key: str, stored: bytes) -> bytes:
        return stored.removeprefix(key.encode())[::-1]


class _Refusing(codecs.Identity):
    def encode(self, key: str, value: bytes) -> bytes:
        if key == "/bad":
            raise errors.StoreError("cannot encrypt /bad: there is no key")
        return value


_SMALL = settings_.Settings(history_changes=10, keep_revisions=0)


@pytest.mark.anyio
class StoreConformance:
    """Inherit, and give a fixture `bed`."""

    async def test_create_read_replace_delete(self, bed: StoreBed) -> None:
        """Each write has the next revision and knows it."""
        log = await bed.open(_SMALL)
        first = await log.write("/a/1", text("one"), expected=0)
        assert (first.revision, first.value) == (1, b"one@1")
        second = await log.write("/a/1", text("two"), expected=1)
        assert log.get("/a/1") == second
        last = await log.delete("/a/1", text("last"), expected=2)
        assert last.value == b"last@3"
        assert log.get("/a/1") is None
        assert log.revision == 3
        await log.current()
        assert log.trouble == ""

    async def test_wrong_expectations_are_conflicts(self, bed: StoreBed) -> None:
        """They say where the key is, and use no revision."""
        log = await bed.open(_SMALL)
        await log.write("/a", text("x"), expected=0)
        for expected in (0, 7):
            with pytest.raises(errors.Conflict) as caught:
                await log.write("/a", text("y"), expected=expected)
            assert caught.value.actual == 1
        with pytest.raises(errors.Conflict):
            await log.delete("/b", text("y"), expected=3)
        assert (await log.write("/b", text("x"), expected=0)).revision == 2

    async def test_of_many_creators_one_wins(self, bed: StoreBed) -> None:
        """However they share batches."""
        log = await bed.open(_SMALL)
        outcomes = await asyncio.gather(
            *(log.write("/a", text(str(number)), expected=0) for number in range(20)), return_exceptions=True
        )
        assert sum(isinstance(outcome, rows.Row) for outcome in outcomes) == 1
        assert sum(isinstance(outcome, errors.Conflict) for outcome in outcomes) == 19

    async def test_writes_of_one_key_at_once_build_on_each_other(self, bed: StoreBed) -> None:
        """Delete and create again in one breath."""
        log = await bed.open(_SMALL)
        await log.write("/a", text("x"), expected=0)
        outcomes = await asyncio.gather(
            log.delete("/a", text("gone"), expected=1),
            log.write("/a", text("again"), expected=0),
            log.write("/a", text("late"), expected=1),
            return_exceptions=True,
        )
        assert [isinstance(outcome, rows.Row) for outcome in outcomes] == [True, True, False]
        assert log.get("/a") == rows.Row("/a", 3, b"again@3")

    async def test_range_is_in_order_and_by_prefix(self, bed: StoreBed) -> None:
        """In order of code points, on every database."""
        log = await bed.open(_SMALL)
        for key in ("/b/x", "/a/2", "/a/1", "/a-b/1", "/a/10", "/a/\N{SNOWMAN}", "/a/B", "/a/b"):
            await log.write(key, text(""), expected=0)
        wanted = ["/a/1", "/a/10", "/a/2", "/a/B", "/a/b", "/a/\N{SNOWMAN}"]
        assert [row.key for row in log.range("/a/")] == wanted
        await log.close()
        log = await bed.open(_SMALL)
        assert [row.key for row in log.range("/a/")] == wanted

    async def test_everything_is_there_after_a_restart(self, bed: StoreBed) -> None:
        """State, history and the next revision."""
        first = await bed.open()
        await first.write("/a/1", text("one"), expected=0)
        await first.write("/a/2", text("two"), expected=0)
        await first.write("/a/1", text("three"), expected=1)
        await first.delete("/a/2", text("gone"), expected=2)
        await first.close()
        second = await bed.open()
        assert second.revision == 4
        assert second.range("/") == [rows.Row("/a/1", 3, b"three@3")]
        with second.watch("/a/", after=1) as watch:
            changes = await watch.take(timeout=1)
        assert [(change.revision, change.deleted, change.before) for change in changes] == [
            (2, False, None),
            (3, False, b"one@1"),
            (4, True, b"two@2"),
        ]
        assert (await second.write("/b", text(""), expected=0)).revision == 5

    async def test_a_snapshot_is_the_past(self, bed: StoreBed) -> None:
        """Of a revision that history still covers."""
        log = await bed.open(_SMALL)
        await log.write("/a/1", text("one"), expected=0)
        await log.write("/a/2", text("two"), expected=0)
        await log.write("/a/1", text("new"), expected=1)
        await log.delete("/a/2", text("gone"), expected=2)
        await log.write("/a/3", text("three"), expected=0)
        assert [row.value for row in log.snapshot("/a/", revision=2)] == [b"one@1", b"two@2"]
        assert [row.value for row in log.snapshot("/a/", revision=5)] == [b"new@3", b"three@5"]

    async def test_watch_hears_only_its_prefix_and_only_later_changes(self, bed: StoreBed) -> None:
        """A collection, or one key."""
        log = await bed.open(_SMALL)
        await log.write("/a/1", text("old"), expected=0)
        with log.watch("/a/", after=log.revision) as watch, log.watch("/a/1", after=log.revision) as one:
            await log.write("/b/1", text("other"), expected=0)
            await log.write("/a/1", text("new"), expected=1)
            await log.write("/a/12", text("else"), expected=0)
            assert [change.value for change in await watch.take(timeout=1)] == [b"new@3", b"else@4"]
            assert await watch.take(timeout=0.001) == []
            assert [change.value for change in await one.take(timeout=1)] == [b"new@3"]

    async def test_watch_from_the_future_is_silent_until_then(self, bed: StoreBed) -> None:
        """A client may know more than this server."""
        log = await bed.open(_SMALL)
        with log.watch("/", after=2) as watch:
            for number in range(3):
                await log.write(f"/{number}", text(""), expected=0)
            assert [change.revision for change in await watch.take(timeout=1)] == [3]

    async def test_history_is_bounded(self, bed: StoreBed) -> None:
        """What is older is refused, not left out."""
        log = await bed.open(_SMALL)
        for number in range(15):
            await log.write(f"/{number}", text(""), expected=0)
        assert log.oldest == 5
        with pytest.raises(errors.Compacted, match=r"too old resource version: 4 \(5\)"):
            log.watch("/", after=4)
        with pytest.raises(errors.Compacted):
            log.snapshot("/", revision=4)
        with log.watch("/", after=5) as watch:
            assert len(await watch.take(timeout=1)) == 10
        await log.close()
        log = await bed.open(_SMALL)
        assert log.oldest == 5

    async def test_compaction_keeps_live_rows_and_the_newest_revisions(self, bed: StoreBed) -> None:
        """And what the newest ones replaced."""
        keep = settings_.Settings(keep_revisions=2)
        log = await bed.open(keep)
        await log.write("/keep", text("x"), expected=0)
        for expected in range(1, 8):
            await log.write("/often", text(str(expected)), expected=0 if expected == 1 else expected)
        await log.delete("/often", text("gone"), expected=8)
        await log.compact(to=log.revision)
        await log.close()
        # 7 is what 8 replaced: a watch from 7 on shows it as the state before.
        assert [revision for revision, _, _ in bed.stored()] == [1, 7, 8, 9]
        log = await bed.open(keep)
        assert log.oldest == 7
        assert [row.key for row in log.range("/")] == ["/keep"]

    async def test_revisions_never_return_after_compaction(self, bed: StoreBed) -> None:
        """Though the last row is gone."""
        log = await bed.open(settings_.Settings(keep_revisions=0))
        await log.write("/a", text(""), expected=0)
        await log.delete("/a", text(""), expected=1)
        await log.compact(to=2)
        await log.close()
        log = await bed.open()
        assert log.revision == 2
        assert (await log.write("/a", text(""), expected=0)).revision == 3

    async def test_a_cancelled_caller_does_not_take_the_write_with_it(self, bed: StoreBed) -> None:
        """Whoever comes next finds it."""
        log = await bed.open(_SMALL)
        task = asyncio.create_task(log.write("/a", text("x"), expected=0))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(errors.Conflict):
            await log.write("/a", text("y"), expected=0)
        assert log.get("/a") == rows.Row("/a", 1, b"x@1")

    async def test_memory_is_plain_and_the_database_is_not(self, bed: StoreBed) -> None:
        """The codec stands at the database's border, in both directions."""
        log = await bed.open(_SMALL, codec=_Backwards())
        with log.watch("/", after=0) as watch:
            await log.write("/a", text("one"), expected=0)
            await log.write("/a", text("two"), expected=1)
            assert [change.value for change in await watch.take(timeout=1)] == [b"one@1", b"two@2"]
        assert log.get("/a") == rows.Row("/a", 2, b"two@2")
        await log.close()
        assert bed.stored() == [(1, "/a", b"/a1@eno"), (2, "/a", b"/a2@owt")]
        log = await bed.open(_SMALL, codec=_Backwards())
        assert log.get("/a") == rows.Row("/a", 2, b"two@2")
        assert [row.value for row in log.snapshot("/", revision=1)] == [b"one@1"]

    async def test_a_codec_that_refuses_fails_the_write(self, bed: StoreBed) -> None:
        """And the store goes on."""
        log = await bed.open(_SMALL, codec=_Refusing())
        with pytest.raises(errors.StoreError, match="no key"):
            await log.write("/bad", text("x"), expected=0)
        assert log.get("/bad") is None
        await log.write("/good", text("x"), expected=0)
        assert [row.key for row in log.range("/")] == ["/good"]

    async def test_writes_share_transactions_and_keep_their_order(self, bed: StoreBed) -> None:
        """More at once than fit into one batch."""
        log = await bed.open(settings_.Settings(batch=64))
        written = await asyncio.gather(*(log.write(f"/{number}", text("x"), expected=0) for number in range(300)))
        assert [row.revision for row in written] == list(range(1, 301))
        with log.watch("/", after=0) as watch:
            assert [change.revision for change in await watch.take(timeout=1)] == list(range(1, 301))

    async def test_rows_change_along_with_a_write(self, bed: StoreBed) -> None:
        """In one step, each from what the last one made, however many come at once; a refusal refuses the whole."""
        log = await bed.open()
        await log.write("/sum", lambda revision: b"0", expected=0)

        def add(before: bytes, revision: int) -> bytes:
            if before == b"20":
                raise ValueError("enough")
            return b"%d" % (int(before) + 1)

        along = [backend.Along("/sum", add), backend.Along("/absent", add), backend.Along("/sum2", lambda *_: None)]
        with log.watch("/", after=1) as watch:
            outcomes = await asyncio.gather(
                *(log.write(f"/a/{number:02}", text("x"), expected=0, along=along) for number in range(30)),
                return_exceptions=True,
            )
            changes = await watch.take(timeout=1)
        assert [isinstance(each, rows.Row) for each in outcomes] == [True] * 20 + [False] * 10
        assert (log.count("/a/"), log.revision) == (20, 41)
        assert [change.key for change in changes[:4]] == ["/a/00", "/sum", "/a/01", "/sum"]
        there = log.get("/sum")
        assert there == rows.Row("/sum", 41, b"20")
        # Somebody who sets such a row has his turn, and is told when it is another one by then.
        with pytest.raises(errors.Conflict):
            await log.write("/sum", text("x"), expected=39)
        await log.write("/sum", lambda revision: b"0", expected=41)
        with pytest.raises(errors.Conflict):
            await log.delete("/a/00", text("x"), expected=1, along=along)
        assert log.get("/sum") == rows.Row("/sum", 42, b"0")
        await log.delete("/a/00", text("x"), expected=2, along=along)
        assert log.get("/sum") == rows.Row("/sum", 44, b"1")

    async def test_who_replaces_a_row_that_changes_along_has_his_turn(self, bed: StoreBed) -> None:
        """However many go on changing it."""
        log = await bed.open()
        await log.write("/sum", lambda revision: b"0", expected=0)
        along = [backend.Along("/sum", lambda before, _: b"%d" % (int(before) + 1))]
        done = False

        async def stream(number: int) -> None:
            turn = 0
            while not done:
                turn += 1
                await log.write(f"/{number}/{turn}", text("x"), expected=0, along=along)

        async def replace() -> None:
            nonlocal done
            for _ in range(20):
                there = log.get("/sum")
                assert there is not None
                try:
                    await log.write("/sum", lambda revision: b"1000", expected=there.revision)
                except errors.Conflict:
                    continue
                break
            done = True

        async with asyncio.timeout(20):
            await asyncio.gather(*(stream(number) for number in range(4)), replace())
        last = log.get("/sum")
        assert last is not None and int(last.value) >= 1000

    async def test_nothing_is_accepted_after_close(self, bed: StoreBed) -> None:
        """Watches end, writes that were accepted do not."""
        log = await bed.open()
        watch = log.watch("/", after=0)
        accepted = asyncio.create_task(log.write("/a", text("x"), expected=0))
        await asyncio.sleep(0)
        await log.close()
        assert watch.closed
        assert (await accepted).revision == 1
        with pytest.raises(errors.Closed):
            await log.write("/b", text(""), expected=0)
        with pytest.raises(errors.Closed):
            log.watch("/", after=0)
        await log.close()
