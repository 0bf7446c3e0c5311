"""How an engine packs stdout and stderr into one stream (its API's "Stream format")."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final, Protocol

from boxfleet.api import tunnel

STDOUT: Final = 1
STDERR: Final = 2
_HEADER: Final = 8


class Source(Protocol):
    """What bytes are read from."""

    async def readexactly(self, n: int, /) -> bytes:
        """So many bytes; raises asyncio.IncompleteReadError."""

    async def read(self, n: int, /) -> bytes:
        """At most so many bytes; none at the end."""


async def read(source: Source, *, tty: bool) -> AsyncIterator[tuple[int, bytes]]:
    """(1 or 2, data) until the stream ends; with a terminal everything is 1."""
    if tty:
        while data := await source.read(tunnel.CHUNK):
            yield STDOUT, data
        return
    while True:
        try:
            header = await source.readexactly(_HEADER)
        except asyncio.IncompleteReadError:
            return
        number, left = header[0], int.from_bytes(header[4:], "big")
        while left:
            data = await source.read(min(left, tunnel.CHUNK))
            if not data:
                return
            left -= len(data)
            yield (STDERR if number == STDERR else STDOUT), data
