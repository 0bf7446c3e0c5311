"""Serves writes of many tasks at once and says which records were acknowledged; runs until it is killed."""

import asyncio
import os
import pathlib
import sys

from boxfleet.apiserver.audit import auditor, journal
from boxfleet.kit import clock
from boxfleet.testing import server

_WRITERS = 16
_PATH = "/api/v1/namespaces/default/configmaps"


async def _write(api: server.Api, writer: int, life: str) -> None:
    for number in range(1_000_000):
        body = {"metadata": {"name": f"{life}-{writer}-{number}"}}
        reply = await server.send(api.app, "POST", _PATH, body)
        # Straight to the pipe: what is in it stays there when this process dies.
        os.write(1, f"{reply.status} {dict(reply.headers)['audit-id']}\n".encode())


async def _main() -> None:
    folder = pathlib.Path(sys.argv[1])
    book = journal.Journal(folder / "audit", server="one", clock=clock.SystemClock())
    book.start()
    async with server.running(folder, audit=auditor.Auditor(book, server="one")) as api, asyncio.TaskGroup() as group:
        for writer in range(_WRITERS):
            group.create_task(_write(api, writer, sys.argv[2]))


asyncio.run(_main())
