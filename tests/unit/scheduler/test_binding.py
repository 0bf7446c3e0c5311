"""Which Pods get a node, and in which order, on the real API in process."""

import asyncio
import contextlib
import datetime
import pathlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from boxfleet.api import event, meta, node, pod, priority_class, roles
from boxfleet.client import shared
from boxfleet.kit import clock as clocks
from boxfleet.scheduler import scheduler, settings
from boxfleet.testing import server

pytestmark = pytest.mark.anyio


class Clock(clocks.SystemClock):
    """Wall time that a test moves."""

    def __init__(self) -> None:
        self.moment = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)

    def now(self) -> datetime.datetime:
        return self.moment


class Bed:
    def __init__(self, api: server.Api, clock: Clock) -> None:
        self.api = api
        self.clock = clock
        self.seen = shared.Caches(api.admin, clock=clock)
        self._wake = asyncio.Event()
        for kind in (pod.Pod, event.Event):
            self.seen.of(kind).listen(lambda old, new: self._wake.set())

    async def node(self, name: str, *, pods: int) -> None:
        await self.api.admin.create_raw(node.Node, {"metadata": {"name": name}})
        await self.offer(name, pods=pods)

    async def offer(self, name: str, *, pods: int) -> None:
        offers = {"cpu": "100", "memory": "100Gi", "pods": str(pods)}
        change = {"status": {"allocatable": offers, "conditions": [{"type": "Ready", "status": "True"}]}}
        await self.api.admin.patch(node.Node, name, change, subresource="status")

    async def pod(self, name: str, **spec: Any) -> None:
        whole = {"containers": [{"name": "main", "image": "x:1"}], **spec}
        body = {"metadata": {"name": name, "namespace": "default"}, "spec": whole}
        await self.api.admin.create_raw(pod.Pod, body)

    async def lift(self, name: str, gates: list[str]) -> None:
        """Leave only those gates."""
        change = {"spec": {"schedulingGates": [{"name": gate} for gate in gates]}}
        await self.api.admin.patch(pod.Pod, name, change, namespace="default")

    @contextlib.asynccontextmanager
    async def scheduling(self) -> AsyncIterator[None]:
        """A scheduler at work."""
        caches = shared.Caches(self.api.part(roles.SCHEDULER), clock=self.clock)
        made = scheduler.Scheduler(caches, clock=self.clock, settings=settings.Settings())
        tasks = [asyncio.create_task(run()) for run in (self.seen.run, caches.run, made.run)]
        try:
            await self.seen.synced()
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    def bound(self) -> set[str]:
        return {each.metadata.name for each in self.seen.of(pod.Pod) if each.spec.nodeName}

    def told(self, reason: str) -> set[str]:
        return {each.involvedObject.name for each in self.seen.of(event.Event) if each.reason == reason}

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self._wake.clear()
                await self._wake.wait()


@pytest.fixture
async def bed(tmp_path: pathlib.Path, anyio_backend: str) -> AsyncIterator[Bed]:
    clock = Clock()
    async with server.running(tmp_path, clock=clock) as api:
        yield Bed(api, clock)


async def test_the_highest_priority_comes_first(bed: Bed) -> None:
    for name, value in (("high", 1000), ("low", -5)):
        made = {"metadata": {"name": name}, "value": value}
        await bed.api.admin.create_raw(priority_class.PriorityClass, made)
    await bed.node("n", pods=2)
    await bed.pod("a", priorityClassName="low")
    await bed.pod("b")
    await bed.pod("c", priorityClassName="high")
    async with bed.scheduling():
        await bed.until(lambda: bed.told("FailedScheduling") == {"a"})
        await bed.until(lambda: bed.bound() == {"b", "c"})
        # What could not be is done once there is room.
        await bed.offer("n", pods=3)
        await bed.until(lambda: bed.bound() == {"a", "b", "c"})


async def test_of_one_priority_the_oldest_comes_first(bed: Bed) -> None:
    await bed.node("n", pods=1)
    await bed.pod("young")
    bed.clock.moment -= datetime.timedelta(minutes=5)
    await bed.pod("old")
    async with bed.scheduling():
        await bed.until(lambda: bed.told("FailedScheduling") == {"young"})
        await bed.until(lambda: bed.bound() == {"old"})


async def test_a_gated_pod_waits_until_its_last_gate_is_gone(bed: Bed) -> None:
    await bed.node("n", pods=10)
    await bed.pod("gated", schedulingGates=[{"name": "example.com/one"}, {"name": "two"}])
    async with bed.scheduling():
        await bed.pod("free")
        await bed.until(lambda: bed.bound() == {"free"})
        gated = await bed.api.admin.get(pod.Pod, "gated", namespace="default")
        condition = meta.find_condition(gated.status.conditions, "PodScheduled")
        assert condition is not None
        assert (condition.status, condition.reason) == ("False", "SchedulingGated")
        await bed.lift("gated", ["two"])
        await bed.pod("another")
        await bed.until(lambda: bed.bound() == {"free", "another"})
        await bed.lift("gated", [])
        await bed.until(lambda: bed.bound() == {"free", "another", "gated"})
        assert bed.told("FailedScheduling") == set()


async def test_pods_of_another_scheduler_are_left_alone(bed: Bed) -> None:
    await bed.node("n", pods=10)
    await bed.pod("theirs", schedulerName="another")
    async with bed.scheduling():
        await bed.pod("ours", schedulerName="default-scheduler")
        await bed.until(lambda: bed.told("Scheduled") == {"ours"})
        assert bed.bound() == {"ours"}
        assert bed.told("FailedScheduling") == set()


async def _classes(bed: Bed, **values: int) -> None:
    for name, value in values.items():
        await bed.api.admin.create_raw(priority_class.PriorityClass, {"metadata": {"name": name}, "value": value})


async def test_the_less_important_makes_room_and_no_more_than_is_needed(bed: Bed) -> None:
    await _classes(bed, high=1000, low=-5)
    await bed.node("n", pods=3)
    for name, level in (("a", "low"), ("b", "low"), ("c", "high")):
        await bed.pod(name, priorityClassName=level, terminationGracePeriodSeconds=0)
    async with bed.scheduling():
        await bed.until(lambda: bed.bound() == {"a", "b", "c"})
        await bed.pod("vital", priorityClassName="high")
        await bed.until(lambda: "vital" in bed.bound())
        assert len(bed.bound() & {"a", "b"}) == 1
        assert "c" in bed.bound()
        await bed.until(lambda: bed.told("Preempted") == {"a", "b"} - bed.bound())


async def test_who_is_no_more_important_waits_and_who_may_not_preempt_too(bed: Bed) -> None:
    await _classes(bed, high=1000)
    made = {"metadata": {"name": "patient"}, "value": 2000, "preemptionPolicy": "Never"}
    await bed.api.admin.create_raw(priority_class.PriorityClass, made)
    await bed.node("n", pods=1)
    await bed.pod("first", priorityClassName="high", terminationGracePeriodSeconds=0)
    async with bed.scheduling():
        await bed.until(lambda: bed.bound() == {"first"})
        await bed.pod("equal", priorityClassName="high")
        await bed.pod("patient", priorityClassName="patient")
        await bed.until(lambda: bed.told("FailedScheduling") == {"equal", "patient"})
        assert bed.bound() == {"first"}


async def test_room_that_is_being_made_is_waited_for_and_nobody_else_goes(bed: Bed) -> None:
    await _classes(bed, high=1000, low=-5)
    await bed.node("n", pods=2)
    # With a grace, a bound Pod stays until its agent says that it has ended.
    for name in ("a", "b"):
        await bed.pod(name, priorityClassName="low", terminationGracePeriodSeconds=30)
    async with bed.scheduling():
        await bed.until(lambda: bed.bound() == {"a", "b"})
        await bed.pod("vital", priorityClassName="high")

        def going() -> list[str]:
            return [each.metadata.name for each in bed.seen.of(pod.Pod) if each.metadata.deletionTimestamp]

        await bed.until(lambda: len(going()) == 1)
        await bed.offer("n", pods=2)
        (victim,) = going()
        assert "vital" not in bed.bound()
        await bed.api.admin.delete(pod.Pod, victim, namespace="default", grace_seconds=0)
        await bed.until(lambda: "vital" in bed.bound())
        assert len(bed.bound()) == 2
