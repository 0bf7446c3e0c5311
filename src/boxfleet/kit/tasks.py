"""Many coroutines at once, but not too many."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar, cast

V = TypeVar("V")


async def gather(many: Iterable[Coroutine[Any, Any, V]], *, limit: int) -> list[V]:
    """Results in order, with at most so many under way.

    Every one is tried; the first failure is raised after all have ended, so that one that fails does not
    leave others half done.
    """
    waiting = list(many)
    results: list[V | Exception | None] = [None] * len(waiting)
    order = iter(range(len(waiting)))

    async def work() -> None:
        for index in order:
            try:
                results[index] = await waiting[index]
            except Exception as error:
                results[index] = error

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(limit, len(waiting))):
                group.create_task(work())
    finally:
        # When this is cancelled, what has not begun never will.
        for each in waiting:
            each.close()
    for result in results:
        if isinstance(result, Exception):
            raise result
    return cast("list[V]", results)
