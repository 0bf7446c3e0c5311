"""Who may change what a host's Boxfleets share, one at a time."""

import asyncio
import fcntl
import os
import pathlib

import pytest

from boxfleet.drivers.cni import commands, shared

pytestmark = pytest.mark.anyio


async def test_who_gives_up_while_waiting_locks_out_nobody(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "_RUN", tmp_path)
    host = shared.SharedHost(commands.Commands(None), space=None)

    async def change() -> None:
        async with host.changing():
            pass

    held = os.open(host._path(), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(held, fcntl.LOCK_EX)
    waiting = [asyncio.create_task(change()) for _ in range(4)]
    await asyncio.sleep(0.05)
    for one in waiting:
        one.cancel()
    assert all(
        isinstance(one, asyncio.CancelledError) for one in await asyncio.gather(*waiting, return_exceptions=True)
    )
    os.close(held)
    async with asyncio.timeout(30):
        await change()
