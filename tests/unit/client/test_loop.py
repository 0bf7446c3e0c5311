import asyncio

import pytest

from boxfleet.client import loop

pytestmark = pytest.mark.anyio


async def test_a_key_that_fails_comes_back() -> None:
    tries = []
    done = asyncio.Event()

    async def reconcile(key: str) -> None:
        tries.append(key)
        if len(tries) == 1:
            raise RuntimeError("first time")
        done.set()

    made: loop.Loop[str] = loop.Loop("test", reconcile)
    made.add("a")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(made.run())
        await done.wait()
        task.cancel()
    assert tries == ["a", "a"]
