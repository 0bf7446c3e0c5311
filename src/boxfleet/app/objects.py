"""Where this Boxfleet keeps its objects, by its settings."""

import asyncio
import contextlib

import structlog

from boxfleet.app import paths, settings
from boxfleet.store import codec as codecs
from boxfleet.store import errors, where
from boxfleet.store import store as stores

log = structlog.get_logger()

# Seconds between attempts to reach a database that is away.
_RETRY = 1.0


async def open(known: settings.Server, *, codec: codecs.Codec, stop: asyncio.Event) -> stores.Store | None:
    """The open store, as soon as its database is there; None when told to stop before. Raises the store's errors."""
    where_ = place(known)
    told = ""
    while not stop.is_set():
        try:
            return await stores.Store.open(where_, codec=codec)
        except errors.Unavailable as error:
            if str(error) != told:
                told = str(error)
                log.warning("waiting for the database", cause=told)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_RETRY):
                await stop.wait()
    return None


def place(known: settings.Server) -> where.Where:
    """The store's place; raises the store's StoreError when the setting has no use as it is."""
    return where.parse(known.store, password_file=known.store_password_file, default=paths.of(known).store)
