"""The objects of this Boxfleet on their way: to another store, into a backup, and back from one.

A move is decided by one write, that of the settings: before it the old store is in charge, after it the new one.
Whatever is cut off, the same command again completes it.
"""

import dataclasses
import datetime
import pathlib
from collections.abc import Callable

from boxfleet.app import fixed, objects, paths, settings
from boxfleet.kit import clock
from boxfleet.store import archive, transfer, where
from boxfleet.store import settings as store_settings

# What `--to` calls the file in the state folder.
OWN = "sqlite"
_STORE = store_settings.Settings()


async def move(known: settings.All, *, to: str, password_file: str, say: Callable[[str], None]) -> None:
    """Bring all objects to another store and use that from now on; raises the store's errors."""
    store = "" if to == OWN else to
    target = where.parse(store, password_file=password_file, default=paths.of(known).store)
    changed = dataclasses.replace(known, store=store, store_password_file=password_file)
    if known.store != store:
        revision = await transfer.copy(objects.place(known), target, settings=_STORE)
        say(f"copied everything up to revision {revision} to {target}")
        settings.save(changed)
    await transfer.begin(target, settings=_STORE)
    if (first := fixed.store(known)) != store:
        before = where.parse(first, password_file=known.store_password_file, default=paths.of(known).store)
        kept = await transfer.retire(before, settings=_STORE)
        say(f"what was there before is kept, and no server uses it: {kept}")
    fixed.note_store(changed)
    say(f"the store is {target} now; start Boxfleet: boxfleet up")


async def back_up(known: settings.Server, file: pathlib.Path) -> archive.Header:
    """Write all objects and their history to a file; raises the store's errors."""
    made = clock.stamp(datetime.datetime.now(datetime.UTC))
    return await transfer.backup(objects.place(known), file, made=made, settings=_STORE)


async def restore(known: settings.Server, file: pathlib.Path, *, revision: int | None) -> int:
    """Fill the empty store from a backup; how many objects. Raises the store's errors."""
    return await transfer.restore(objects.place(known), file, revision=revision, settings=_STORE)
