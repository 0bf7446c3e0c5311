"""Backup, restore and move: one log from one place to another."""

import contextlib
import pathlib
from collections.abc import AsyncIterator

from boxfleet.store import archive, copies, errors
from boxfleet.store import settings as settings_
from boxfleet.store import where as places

# How far a restored log's revisions are ahead of its backup's: more than anybody wrote since. What clients remember is
# then in the past, and they list anew; going on from the backup's own revision would let them miss changes unseen.
AHEAD = 1_000_000_000


async def backup(place: places.Where, file: pathlib.Path, *, made: str, settings: settings_.Settings) -> archive.Header:
    """Write a log, as it is at one revision, to a new file; servers go on meanwhile."""
    async with _reading(place, settings=settings, alone=False) as source:
        return await archive.write(file, source, made=made)


async def restore(
    place: places.Where, file: pathlib.Path, *, revision: int | None, settings: settings_.Settings
) -> int:
    """Fill an empty log with the state that a backup holds of a revision (the newest when None); how many objects.

    Raises Locked, Occupied, Corrupt and StoreError.
    """
    found = archive.open_checked(file)
    header = found.header
    wanted = header.revision if revision is None else revision
    if not header.compacted <= wanted <= header.revision:
        raise errors.StoreError(
            f"cannot restore revision {wanted}: {file} holds the revisions from {header.compacted} to {header.revision}"
        )
    live: dict[str, int] = {}
    async for page in found.pages():
        for number, key, _, _, deleted in page:
            if number > wanted:
                break
            if deleted:
                live.pop(key, None)
            else:
                live[key] = number
    kept = set(live.values())

    async def state() -> copies.Pages:
        async for page in found.pages():
            yield [row for row in page if row[0] in kept]

    head = header.revision + AHEAD
    async with _emptied(place, settings=settings) as target:
        await target.fill(state(), head=head, compacted=head, standing="live")
    return len(kept)


async def copy(source: places.Where, target: places.Where, *, settings: settings_.Settings) -> int:
    """Copy a log that no server uses into an empty one, which is not in charge yet; its newest revision."""
    async with (
        _emptied(target, settings=settings) as into,
        _reading(source, settings=settings, alone=True) as from_,
    ):
        await into.fill(from_.pages(), head=from_.head, compacted=from_.compacted, standing="arriving")
        return from_.head


async def head(place: places.Where, *, settings: settings_.Settings) -> int:
    """The newest revision of a log that is there already; nothing is made or changed. Raises StoreError."""
    async with _reading(place, settings=settings, alone=False) as source:
        return source.head


async def begin(place: places.Where, *, settings: settings_.Settings) -> None:
    """Put a copy in charge. Harmless when repeated."""
    async with _seized(place, settings=settings, empty=False) as target:
        await target.begin()


async def retire(place: places.Where, *, settings: settings_.Settings) -> str:
    """Take what was copied out of charge; where it is now. Harmless when repeated."""
    if isinstance(place, pathlib.Path):
        from boxfleet.store.sqlite import copying as sqlite

        return str(sqlite.retire(place))
    from boxfleet.store.postgres import copying as postgres

    await postgres.retire(place, settings=settings)
    return str(place)


@contextlib.asynccontextmanager
async def _reading(place: places.Where, *, settings: settings_.Settings, alone: bool) -> AsyncIterator[copies.Source]:
    if isinstance(place, pathlib.Path):
        from boxfleet.store.sqlite import copying as sqlite

        if alone:
            async with sqlite.seized(place, empty=False) as whole:
                yield whole
        else:
            with sqlite.snapshot(place) as source:
                yield source
        return
    from boxfleet.store.postgres import copying as postgres

    async with postgres.snapshot(place, settings=settings, alone=alone) as source:
        yield source


def _emptied(
    place: places.Where, *, settings: settings_.Settings
) -> contextlib.AbstractAsyncContextManager[copies.Target]:
    return _seized(place, settings=settings, empty=True)


@contextlib.asynccontextmanager
async def _seized(place: places.Where, *, settings: settings_.Settings, empty: bool) -> AsyncIterator[copies.Target]:
    if isinstance(place, pathlib.Path):
        from boxfleet.store.sqlite import copying as sqlite

        async with sqlite.seized(place, empty=empty) as whole:
            yield whole
        return
    from boxfleet.store.postgres import copying as postgres

    async with postgres.seized(place, settings=settings, empty=empty) as target:
        yield target
