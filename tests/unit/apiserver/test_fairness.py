"""Whoever asks for much waits, not the others."""

import asyncio
import contextlib
import pathlib

import pytest

from boxfleet.apiserver import authn, fairness, faults
from boxfleet.testing import server

pytestmark = pytest.mark.anyio

PATH = "/api/v1/namespaces/default/configmaps"
JANE, JOE = authn.User(name="jane"), authn.User(name="joe")
NODE = authn.User(name="system:node:one", groups=("system:nodes",))


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def gate(time: Time, **limits: float) -> fairness.Fairness:
    return fairness.Fairness(fairness.Limits(**limits), time=time, own=("loop",))  # type: ignore[arg-type]


async def turns(count: int = 4) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_nobody_waits_while_there_is_room() -> None:
    fair = gate(Time(), reading=2)
    first, waiting = fair.enter(JANE, kind="reading", heavy=True)
    assert waiting is None
    assert fair.enter(JOE, kind="reading", heavy=False)[1] is None
    _, third = fair.enter(JOE, kind="reading", heavy=False)
    assert third is not None
    task = asyncio.ensure_future(third)
    await turns()
    assert not task.done()
    assert fair.queued == 1
    fair.leave(JANE, first, seconds=0.001)
    assert await task == 0.0
    assert (fair.queued, fair.waited) == (0, 1)


async def test_who_is_in_debt_waits_until_others_had_their_turn() -> None:
    time = Time()
    fair = gate(time)
    lane, _ = fair.enter(JANE, kind="reading", heavy=True)
    fair.leave(JANE, lane, seconds=0.5)
    # While the debt lasts the next waits for its turn; others pass by, unless they ask for as much.
    _, mine = fair.enter(JANE, kind="reading", heavy=False)
    assert mine is not None
    task = asyncio.ensure_future(mine)
    assert fair.enter(JOE, kind="reading", heavy=False)[1] is None
    # Nobody else waits, so the turn comes before the debt is paid.
    await task
    time.now += 0.6
    assert fair.enter(JANE, kind="reading", heavy=False)[1] is None


async def test_turns_go_by_what_requests_took() -> None:
    fair = gate(Time())
    lane, _ = fair.enter(JANE, kind="reading", heavy=True)
    order: list[str] = []

    async def ask(user: authn.User, seconds: float) -> None:
        own, waiting = fair.enter(user, kind="reading", heavy=True)
        if waiting is not None:
            await waiting
        order.append(user.name)
        fair.leave(user, own, seconds=seconds)

    fair.leave(JANE, lane, seconds=0.1)
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(ask(JANE, 0.1))
        for _ in range(5):
            group.create_task(ask(JOE, 0.02))
    assert order[:5].count("joe") == 5 or order.index("jane") > 2
    assert sorted(order) == ["jane"] * 5 + ["joe"] * 5


async def test_one_who_sends_slowly_leaves_room_to_write() -> None:
    fair = gate(Time(), writing=4, writing_by_user=2)
    lanes = [fair.enter(JANE, kind="writing", heavy=False) for _ in range(2)]
    _, third = fair.enter(JANE, kind="writing", heavy=False)
    assert third is not None
    task = asyncio.ensure_future(third)
    assert fair.enter(JOE, kind="writing", heavy=False)[1] is None
    await turns()
    assert not task.done()
    fair.leave(JANE, lanes[0][0], seconds=9.0)
    await task


async def test_queues_are_bounded_in_length_and_time() -> None:
    fair = gate(Time(), reading=1, queue=1, wait=0.01)
    lane, _ = fair.enter(JANE, kind="reading", heavy=False)
    _, second = fair.enter(JANE, kind="reading", heavy=False)
    _, third = fair.enter(JANE, kind="reading", heavy=False)
    assert second is not None
    assert third is not None
    task = asyncio.ensure_future(second)
    await turns(1)
    with pytest.raises(faults.Fault, match="wait already") as raised:
        await third
    assert raised.value.code == 429
    assert ("retry-after", "1") in raised.value.headers
    with pytest.raises(faults.Fault, match="no turn came"):
        await task
    assert fair.rejected == 2
    # Nothing is left of who gave up.
    fair.leave(JANE, lane, seconds=0.0)
    await turns()
    assert lane.running == 0
    assert fair.queued == 0


async def test_a_client_that_leaves_gives_its_place_back() -> None:
    fair = gate(Time(), reading=1)
    lane, _ = fair.enter(JANE, kind="reading", heavy=False)
    waits = [fair.enter(JANE, kind="reading", heavy=False)[1] for _ in range(2)]
    tasks = [asyncio.ensure_future(each) for each in waits if each is not None]
    await turns(1)
    tasks[0].cancel()
    await turns(1)
    fair.leave(JANE, lane, seconds=0.0)
    await tasks[1]
    assert lane.running == 1


@pytest.mark.parametrize("turns_before", range(4))
async def test_one_who_leaves_while_its_turn_comes_costs_nobody_a_place(turns_before: int) -> None:
    fair = gate(Time(), reading=1)
    lane, _ = fair.enter(JANE, kind="reading", heavy=False)
    waiting = [fair.enter(user, kind="reading", heavy=False)[1] for user in (JOE, JANE)]
    leaving, staying = (asyncio.ensure_future(one) for one in waiting if one is not None)
    await turns()
    fair.leave(JANE, lane, seconds=0.001)
    await turns(turns_before)
    leaving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await leaving
        fair.leave(JOE, lane, seconds=0.001)
    async with asyncio.timeout(5):
        await staying
    fair.leave(JANE, lane, seconds=0.001)
    assert (lane.running, fair.queued) == (0, 0)


async def test_own_parts_and_agents_wait_for_nobody() -> None:
    fair = gate(Time(), reading=1, rate=1.0)
    fair.enter(JANE, kind="reading", heavy=True)
    for user in (NODE, authn.User(name="loop")):
        lane, waiting = fair.enter(user, kind="reading", heavy=True)
        assert waiting is None
        fair.leave(user, lane, seconds=5.0)
        assert fair.enter(user, kind="reading", heavy=True)[1] is None
        fair.leave(user, lane, seconds=5.0)


async def test_watches_and_streams_are_counted_apart() -> None:
    fair = gate(Time(), watches=1, reading=1)
    assert fair.enter(JANE, kind="watches", heavy=True)[1] is None
    assert fair.enter(JANE, kind="reading", heavy=True)[1] is None
    assert fair.enter(JANE, kind="streams", heavy=True)[1] is None
    with pytest.raises(faults.Fault, match="1 watches are open already"):
        fair.enter(JOE, kind="watches", heavy=True)


async def test_a_rate_is_kept_in_the_long_run() -> None:
    time = Time()
    fair = gate(time, rate=2.0, burst=3.0)
    for _ in range(3):
        fair.enter(JANE, kind="reading", heavy=False)
    with pytest.raises(faults.Fault, match="more than 2 requests a second"):
        fair.enter(JANE, kind="reading", heavy=False)
    fair.enter(JOE, kind="reading", heavy=False)
    time.now += 0.5
    fair.enter(JANE, kind="reading", heavy=False)


async def test_sixty_four_lists_at_a_time_do_not_hold_up_anothers_gets(tmp_path: pathlib.Path) -> None:
    async with server.running(tmp_path) as api:
        for number in range(300):
            body = {"metadata": {"name": f"a{number}"}, "data": {"text": "x" * 500}}
            assert (await server.send(api.app, "POST", PATH, body)).status == 201
        as_table = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
        masters = {"impersonate-group": "system:masters"}
        listed = 0
        stop = asyncio.Event()

        async def lists() -> None:
            nonlocal listed
            while not stop.is_set():
                reply = await server.send(
                    api.app, "GET", PATH, headers={**as_table, **masters, "impersonate-user": "greedy"}
                )
                assert reply.status == 200
                listed += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(64):
                group.create_task(lists())
            while listed < 10:
                await asyncio.sleep(0)
            waits = []
            for _ in range(20):
                before = listed
                await asyncio.sleep(0)
                reply = await server.send(
                    api.app, "GET", f"{PATH}/a1", headers={**masters, "impersonate-user": "modest"}
                )
                assert reply.status == 200
                waits.append(listed - before)
            stop.set()
        assert max(waits) <= 3, waits
        figures = (await server.send(api.app, "GET", "/metrics")).body.decode()
        assert "apiserver_flowcontrol_current_inqueue_requests 0.0" in figures
