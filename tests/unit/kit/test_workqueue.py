import asyncio
import collections

import pytest

from boxfleet.kit import backoff, workqueue

pytestmark = pytest.mark.anyio
FAST = backoff.Backoff(initial=0.001, limit=0.01)


def ignore(key: str, error: Exception) -> None:
    """Failures are part of these tests."""


async def run_until(queue: workqueue.WorkQueue[str], reconcile, condition: asyncio.Event, **options) -> None:
    runner = asyncio.create_task(queue.run(reconcile, **{"failed": ignore, **options}))
    try:
        await asyncio.wait_for(condition.wait(), 5)
    finally:
        runner.cancel()
        with pytest.raises(asyncio.CancelledError):
            await runner


async def test_a_waiting_key_is_there_once() -> None:
    queue = workqueue.WorkQueue[str]()
    for _ in range(3):
        queue.add("a")
    assert len(queue) == 1


async def test_a_key_added_while_worked_on_comes_again_and_never_twice_at_once() -> None:
    queue = workqueue.WorkQueue[str](backoff=FAST)
    running: collections.Counter[str] = collections.Counter()
    rounds = 0
    finished = asyncio.Event()

    async def reconcile(key: str) -> None:
        nonlocal rounds
        running[key] += 1
        assert running[key] == 1
        rounds += 1
        if rounds < 5:
            queue.add(key)
        await asyncio.sleep(0)
        running[key] -= 1
        if rounds == 5:
            finished.set()

    queue.add("a")
    await run_until(queue, reconcile, finished)
    assert rounds == 5


async def test_a_failure_is_told_and_tried_again() -> None:
    queue = workqueue.WorkQueue[str](backoff=FAST)
    told: list[str] = []
    tries = 0
    finished = asyncio.Event()

    async def reconcile(key: str) -> None:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise ValueError("not yet")
        finished.set()

    queue.add("a")
    await run_until(queue, reconcile, finished, failed=lambda key, error: told.append(f"{key}: {error}"))
    assert told == ["a: not yet"] * 3


async def test_work_may_ask_for_the_key_again_later() -> None:
    queue = workqueue.WorkQueue[str]()
    rounds = 0
    finished = asyncio.Event()

    async def reconcile(key: str) -> float | None:
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            finished.set()
            return None
        return 0.001

    queue.add("a")
    await run_until(queue, reconcile, finished)


async def test_the_earlier_of_two_delays_counts() -> None:
    queue = workqueue.WorkQueue[str]()
    queue.add_after("a", 60)
    queue.add_after("a", 0.001)
    assert await asyncio.wait_for(queue.take(), 5) == "a"
    queue.done("a")
    assert len(queue) == 0


async def test_other_keys_go_on_while_one_is_slow() -> None:
    queue = workqueue.WorkQueue[str]()
    finished = asyncio.Event()

    async def reconcile(key: str) -> None:
        if key == "slow":
            await asyncio.Event().wait()
        finished.set()

    queue.add("slow")
    queue.add("quick")
    await run_until(queue, reconcile, finished, workers=2)


async def test_work_that_fails_while_it_is_cancelled_ends_all_the_same() -> None:
    queue = workqueue.WorkQueue[str](backoff=FAST)
    begun = asyncio.Event()

    async def reconcile(key: str) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("hides the cancellation") from None

    told: list[str] = []
    task = asyncio.create_task(queue.run(reconcile, failed=lambda key, _: told.append(key)))
    queue.add("a")
    await begun.wait()
    task.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait([task])
    assert task.cancelled()
    assert told == []


async def test_keys_come_by_their_rank_and_then_as_they_were_added() -> None:
    queue = workqueue.WorkQueue[str](rank=lambda key: int(key[1:]))
    for key in ("a2", "b1", "c2", "d1", "b1"):
        queue.add(key)
    assert [await queue.take() for _ in range(4)] == ["b1", "d1", "a2", "c2"]
    assert len(queue) == 0


async def test_a_key_is_work_for_one_and_is_not_lost_with_him() -> None:
    queue = workqueue.WorkQueue[str]()
    first, second = (asyncio.create_task(queue.take()) for _ in range(2))
    await asyncio.sleep(0)
    queue.add("a")
    # He was told of it, and leaves before he takes it.
    first.cancel()
    async with asyncio.timeout(5):
        assert await second == "a"
    with pytest.raises(asyncio.CancelledError):
        await first
