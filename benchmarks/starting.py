"""Starting, failing and coming back: Boxfleet beside the bare container runtime, in one run.

The peer of the first figures is the same containerd asked by hand through CRI (sandbox, container, start). Times of
Boxfleet count from sending the Box until a watch says Ready, so the work of kubectl itself is left out.
"""

import asyncio
import contextlib
import dataclasses
import os
import signal
import statistics
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from benchmarks import bed, harness

from boxfleet.api import box, pod
from boxfleet.client import client as clients
from boxfleet.ports import runtime as ports
from boxfleet.testing import fleet as fleets
from boxfleet.testing import host as hosts
from boxfleet.testing import tools

SLEEPER = ["sleep", "100000"]
_AT_ONCE = 10
# Seconds after thirty instances in which what is left of them is cleared away.
_REST = 3.0


async def run(bench: harness.Bench) -> None:
    """Measure the bare runtime and Boxfleet in turn, on the same machine at the same time."""
    async with _bare() as bare, bed.running() as fleet:
        api = fleet.client
        bench.say("one instance")
        alone, delivered = [], []
        for number in range(10):
            alone.append(await bare.time(1))
            delivered.append(await _one(api, f"one{number}"))
        median = statistics.median(alone)
        bench.samples("bare CRI: one instance", alone, "ms")
        bench.samples("apply to Ready, one instance", delivered, "ms", target=median + 100, peer=1030)
        bench.say("30 instances")
        alone, delivered = [], []
        for number in range(5):
            alone.append(await bare.time(30))
            await asyncio.sleep(_REST)
            delivered.append(await _deliver(api, f"thirty{number}", {"web": bed.unit(SLEEPER, replicas=30)}))
            await bed.remove(api, f"thirty{number}")
            await asyncio.sleep(_REST)
        median_thirty = statistics.median(alone)
        bench.samples("bare CRI: 30 instances, 10 at a time", alone, "ms")
        bench.samples("30 instances Ready", delivered, "ms", target=1.3 * median_thirty, peer=5200)
        bench.metric(
            "30 instances Ready, times bare CRI", statistics.median(delivered) / median_thirty, "x", target=1.3
        )
        bench.say("a chain of three")
        chain = [await _chain(api, f"chain{number}") for number in range(5)]
        bench.samples("chain of three with probes", chain, "ms", target=1000 + 3 * median, peer=4400)
        bench.say("killed and deleted")
        killed = [await _killed(api, f"killed{number}", seconds=200000 + number) for number in range(5)]
        bench.samples("main process killed to Ready", killed, "ms", target=300, peer=1500)
        deleted = [await _deleted(api, f"deleted{number}") for number in range(5)]
        bench.samples("deleted pod to Ready replacement", deleted, "ms", target=600, peer=1070)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Bare:
    """A containerd of its own, asked by hand."""

    host: hosts.Host
    drivers: hosts.Drivers

    async def time(self, instances: int) -> float:
        """Milliseconds until that many run, ten at a time; they are gone afterwards."""
        gate = asyncio.Semaphore(_AT_ONCE)
        for number in range(instances):
            await self.drivers.network.assign(
                namespace="default", name=f"bare{number}", address=f"198.18.0.{number + 10}", pool="default"
            )
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(instances):
                group.create_task(self._start(number, gate))
        took = (time.perf_counter() - began) * 1000
        runtime = self.drivers.containerd.runtime
        for sandbox in await runtime.list_sandboxes():
            await runtime.stop_sandbox(sandbox.id)
            await runtime.remove_sandbox(sandbox.id)
        return took

    async def _start(self, number: int, gate: asyncio.Semaphore) -> None:
        runtime = self.drivers.containerd.runtime
        async with gate:
            sandbox = ports.SandboxConfig(
                name=f"bare{number}", namespace="default", uid=f"bare-{number}", cgroup_parent=self.host.cgroup
            )
            identity = await runtime.run_sandbox(sandbox)
            config = ports.ContainerConfig(name="main", image=tools.IMAGE, command=SLEEPER)
            container = await runtime.create_container(identity, config, sandbox)
            await runtime.start_container(container)


@contextlib.asynccontextmanager
async def _bare() -> AsyncIterator[_Bare]:
    host = hosts.Host()
    await host.start()
    try:
        async with host.drivers() as drivers:
            await drivers.network.prepare([hosts.POOL])
            yield _Bare(host=host, drivers=drivers)
    finally:
        await host.purge()
        host.destroy()


async def _chain(api: clients.Client, name: str) -> float:
    probe = {"exec": {"command": ["echo"]}, "periodSeconds": 1}
    units = {
        "a": bed.unit(SLEEPER, probe=probe),
        "b": bed.unit(SLEEPER, probe=probe, after="a"),
        "c": bed.unit(SLEEPER, probe=probe, after="b"),
    }
    took = await _deliver(api, name, units)
    await bed.remove(api, name)
    return took


async def _one(api: clients.Client, name: str) -> float:
    took = await _deliver(api, name, {"web": bed.unit(SLEEPER)})
    await bed.remove(api, name)
    return took


async def _deliver(api: clients.Client, name: str, units: dict[str, Any]) -> float:
    """Milliseconds from sending a Box until it is Ready; the Box stays."""
    async with _ready(api, box.Box, name, bed.is_ready) as ready:
        began = time.perf_counter()
        await bed.deliver(api, name, units)
        return (await ready - began) * 1000


async def _killed(api: clients.Client, name: str, *, seconds: int) -> float:
    # The odd number of seconds tells this instance's process from all others.
    await _deliver(api, name, {"web": bed.unit(["sleep", str(seconds)])})
    try:

        def restarted(one: pod.Pod) -> bool:
            statuses = one.status.containerStatuses
            return bool(statuses) and statuses[0].restartCount == 1 and bed.is_ready(one)

        # The runtime says "running" a moment before the program takes the place of the runtime's own process.
        while not (found := fleets.processes(marks=(f"sleep {seconds}",))):
            await asyncio.sleep(0.01)
        [(pid, _)] = found
        async with _ready(api, pod.Pod, f"{name}-web-0", restarted) as ready:
            began = time.perf_counter()
            os.kill(pid, signal.SIGKILL)
            return (await ready - began) * 1000
    finally:
        await bed.remove(api, name)


async def _deleted(api: clients.Client, name: str) -> float:
    await _deliver(api, name, {"web": bed.unit(SLEEPER)})
    try:
        old = await api.get(pod.Pod, f"{name}-web-0", namespace="default")

        def replaced(one: pod.Pod) -> bool:
            same_address = one.status.podIP == old.status.podIP
            return one.metadata.uid != old.metadata.uid and bed.is_ready(one) and same_address

        async with _ready(api, pod.Pod, f"{name}-web-0", replaced) as ready:
            began = time.perf_counter()
            await api.delete(pod.Pod, f"{name}-web-0", namespace="default")
            return (await ready - began) * 1000
    finally:
        await bed.remove(api, name)


@contextlib.asynccontextmanager
async def _ready(
    api: clients.Client, kind: type[Any], name: str, condition: Callable[[Any], bool]
) -> AsyncIterator["asyncio.Future[float]"]:
    """A future of the moment when a watch, already under way, shows the condition."""
    listing = await api.list(kind, namespace="default")
    found: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def look() -> None:
        changes = api.watch(kind, resource_version=listing.resource_version, namespace="default")
        async for change in changes:
            if change.type != "DELETED" and change.object.metadata.name == name and condition(change.object):
                found.set_result(time.perf_counter())
                return

    watching = asyncio.create_task(look())
    try:
        yield asyncio.wait_for(asyncio.shield(found), 60)  # type: ignore[misc]
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
