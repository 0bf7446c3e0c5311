"""Waiting for changes in a folder without asking again and again: Linux' inotify(7)."""

import asyncio
import ctypes
import enum
import os
import pathlib
import struct
from typing import Final

_POLL_SECONDS: Final = 0.25
_LIBC = ctypes.CDLL(None, use_errno=True)


class Change(enum.IntFlag):
    """What happened to a file of the folder (values of <sys/inotify.h>)."""

    NONE = 0
    MODIFY = 0x002
    CLOSE_WRITE = 0x008
    MOVED_FROM = 0x040
    MOVED_TO = 0x080
    CREATE = 0x100


_ALL: Final = Change.MODIFY | Change.CLOSE_WRITE | Change.MOVED_FROM | Change.MOVED_TO | Change.CREATE


class Watch:
    """Changes in one folder, from the moment it is made. Close it.

    Where the kernel has no watch left, `changed` says a few times a second that anything may have changed.
    """

    def __init__(self, directory: pathlib.Path) -> None:
        self._seen = Change.NONE
        self._wake = asyncio.Event()
        self._descriptor = _LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            return
        if _LIBC.inotify_add_watch(self._descriptor, os.fsencode(directory), ctypes.c_uint32(_ALL)) < 0:
            os.close(self._descriptor)
            self._descriptor = -1
            return
        asyncio.get_running_loop().add_reader(self._descriptor, self._read)

    async def changed(self) -> Change:
        """Wait for changes and take all that happened since the last call."""
        if self._descriptor < 0:
            await asyncio.sleep(_POLL_SECONDS)
            return _ALL
        await self._wake.wait()
        self._wake.clear()
        seen, self._seen = self._seen, Change.NONE
        return seen

    def close(self) -> None:
        """Stop watching."""
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _read(self) -> None:
        try:
            events = os.read(self._descriptor, 16 * 1024)
        except BlockingIOError:
            return
        position = 0
        while position < len(events):
            _, mask, _, length = struct.unpack_from("iIII", events, position)
            position += 16 + length
            # An overflown queue has lost what happened.
            self._seen |= _ALL if mask & 0x4000 else Change(mask & _ALL)
        self._wake.set()
