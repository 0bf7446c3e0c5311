import asyncio

import pytest

from boxfleet.kit import tasks

pytestmark = pytest.mark.anyio


async def test_results_come_in_order_with_at_most_so_many_under_way() -> None:
    under_way = most = 0

    async def work(number: int) -> int:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return number

    assert await tasks.gather((work(each) for each in range(10)), limit=3) == list(range(10))
    assert most == 3


async def test_every_one_is_tried_before_the_first_failure_is_raised() -> None:
    done = []

    async def work(number: int) -> None:
        if number == 1:
            raise ValueError("one")
        done.append(number)

    with pytest.raises(ValueError, match="one"):
        await tasks.gather((work(each) for each in range(4)), limit=2)
    assert done == [0, 2, 3]


async def test_what_has_not_begun_when_it_is_cancelled_never_does() -> None:
    begun = []
    never = asyncio.Event()

    async def work(number: int) -> None:
        begun.append(number)
        await never.wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(tasks.gather((work(each) for each in range(5)), limit=2))
        while len(begun) < 2:
            await asyncio.sleep(0)
        task.cancel()
    assert begun == [0, 1]
