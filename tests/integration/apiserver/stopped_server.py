"""Serves on a socket until SIGTERM; says on standard output where."""

import asyncio
import pathlib
import signal
import sys

import uvloop

from boxfleet.testing import server


async def _main() -> None:
    folder = pathlib.Path(sys.argv[1])
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with server.running(folder) as api, server.on_socket(api, folder) as socket:
        sys.stdout.write(socket.url + "\n")
        sys.stdout.flush()
        await stop.wait()


uvloop.run(_main())
