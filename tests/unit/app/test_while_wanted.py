"""Whoever waits for a Boxfleet hears at once when somebody stops it. With a real s6 in a folder of its own."""

import asyncio
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator

import pytest

from boxfleet.app import lifecycle, paths, settings, supervision

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(shutil.which("s6-svscan") is None, reason="no s6")]


@pytest.fixture
def known() -> Iterator[settings.All]:
    """A Boxfleet whose services only sleep."""
    home = pathlib.Path(tempfile.mkdtemp(prefix="bf-wanted-", dir="/tmp"))
    made = settings.All(state=str(home / "state"), run=str(home / "run"))
    where = paths.of(made)
    where.logs.mkdir(parents=True)
    where.run.mkdir()
    supervision.write(where, {name: ["sleep", "1000"] for name in ("server", "agent")}, environment={})
    scan = subprocess.Popen(supervision.command_line(where), stderr=subprocess.DEVNULL)
    try:
        for name in ("server", "agent"):
            supervision.bring_up(where, name)
        yield made
    finally:
        supervision.stop(where)
        scan.wait()
        shutil.rmtree(home)


async def forever() -> str:
    await asyncio.Event().wait()
    return "never"


async def soon() -> str:
    return "done"


async def fails() -> str:
    raise ValueError("of its own")


async def test_what_is_wanted_ends_as_it_ends(known: settings.All) -> None:
    assert await lifecycle.while_wanted(known, soon()) == "done"
    with pytest.raises(ValueError, match="of its own"):
        await lifecycle.while_wanted(known, fails())


@pytest.mark.parametrize("name", ["server", "agent"])
async def test_a_service_that_is_told_to_stop_ends_the_wait(known: settings.All, name: str) -> None:
    waiting = asyncio.create_task(lifecycle.while_wanted(known, forever()))
    await asyncio.to_thread(subprocess.run, ["s6-svc", "-d", str(paths.of(known).services / name)], check=True)
    with pytest.raises(lifecycle.LifecycleError, match="being stopped"):
        async with asyncio.timeout(10):
            await waiting
    # A failure that comes of it is told by its cause.
    with pytest.raises(lifecycle.LifecycleError, match="being stopped"):
        await lifecycle.while_wanted(known, fails())


async def test_a_boxfleet_that_is_gone_ends_the_wait(known: settings.All) -> None:
    await asyncio.to_thread(supervision.stop, paths.of(known))
    with pytest.raises(lifecycle.LifecycleError, match="being stopped, or was"):
        async with asyncio.timeout(10):
            await lifecycle.while_wanted(known, forever())
