"""Writes with many tasks at once and says on standard output what was acknowledged; runs until it is killed."""

import asyncio
import os
import pathlib
import sys

from boxfleet.store import rows, store

_WRITERS = 16


async def _write(log: store.Store, writer: int, life: str) -> None:
    for number in range(1_000_000):
        key = f"/{writer}/{life}/{number % 50}"
        present = log.get(key)
        if present is not None and number % 7 == 0:
            row: rows.Row = await log.delete(key, lambda revision: b"deleted", expected=present.revision)
            said = f"deleted {key} {row.revision}\n"
        else:
            expected = present.revision if present is not None else 0
            row = await log.write(key, lambda revision: f"{revision}".encode() * 100, expected=expected)
            said = f"written {key} {row.revision}\n"
        # Straight to the pipe: what is in it stays there when this process dies.
        os.write(1, said.encode())


async def _main() -> None:
    log = await store.Store.open(pathlib.Path(sys.argv[1]))
    async with asyncio.TaskGroup() as group:
        for writer in range(_WRITERS):
            group.create_task(_write(log, writer, sys.argv[2]))


asyncio.run(_main())
