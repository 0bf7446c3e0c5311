"""Writes with 16 tasks at once and says on standard output what was acknowledged; runs until it is killed.

Arguments: the store's place, and a word that no other life of this program has.
"""

import asyncio
import os
import pathlib
import sys

from boxfleet.store import errors, rows, settings, store, where

_WRITERS = 16
_KEYS = 40


async def _write(log: store.Store, writer: int, life: str) -> None:
    for number in range(1_000_000):
        # Every second key is wanted by all, in this process and in others.
        key = f"/shared/{number % _KEYS}" if number % 2 else f"/own/{life}/{writer}/{number % _KEYS}"
        present = log.get(key)
        mark = f"{life}/{writer}/{number}".encode()
        try:
            if present is not None and number % 7 == 0:
                row: rows.Row = await log.delete(key, lambda _, mark=mark: mark, expected=present.revision)
            else:
                expected = present.revision if present is not None else 0
                row = await log.write(key, lambda _, mark=mark: mark.ljust(500), expected=expected)
        except errors.Conflict:
            continue
        # Straight to the pipe: what is in it stays there when this process dies.
        os.write(1, f"{row.revision} {key} {mark.decode()}\n".encode())


async def _main() -> None:
    place = where.parse(sys.argv[1], default=pathlib.Path())
    log = await store.Store.open(place, settings.Settings())
    os.write(1, b"ready\n")
    async with asyncio.TaskGroup() as group:
        for writer in range(_WRITERS):
            group.create_task(_write(log, writer, sys.argv[2]))


asyncio.run(_main())
