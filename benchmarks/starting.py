"""Starting, failing and coming back: Boxfleet beside the bare container runtime, in one run.

The peer of the first figures is the same containerd asked by hand through CRI (sandbox, container, start). Times of
Boxfleet count from sending the Box until a watch says Ready, so the work of kubectl itself is left out.
"""

import asyncio
import contextlib
import os
import signal
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


async def run(bench: harness.Bench) -> None:
    """Measure the bare runtime, then Boxfleet on the same machine."""
    bench.say("the bare runtime")
    bare_one, bare_thirty = await _bare()
    bench.samples("bare CRI: one instance", bare_one, "ms")
    bench.metric("bare CRI: 30 instances, 10 at a time", bare_thirty, "ms")
    bench.say("starting Boxfleet")
    async with bed.running() as fleet:
        one = [await _one(fleet.client, f"one{n}") for n in range(10)]
        median_bare = sorted(bare_one)[len(bare_one) // 2]
        bench.samples("apply to Ready, one instance", one, "ms", target=median_bare + 100, peer=1030)
        bench.say("30 instances")
        thirty = await _deliver(fleet.client, "thirty", {"web": bed.unit(SLEEPER, replicas=30)})
        bench.metric("30 instances Ready", thirty, "ms", target=1.3 * bare_thirty, peer=5200)
        bench.metric("30 instances Ready, times bare CRI", thirty / bare_thirty, "x", target=1.3)
        await bed.remove(fleet.client, "thirty")
        bench.say("a chain of three")
        chain = [await _deliver(fleet.client, f"chain{n}", _chain()) for n in range(3)]
        bench.samples("chain of three with probes", chain, "ms", target=1000 + 3 * median_bare, peer=4400)
        bench.say("killed and deleted")
        killed = [await _killed(fleet.client, f"killed{n}", seconds=200000 + n) for n in range(5)]
        bench.samples("main process killed to Ready", killed, "ms", target=300, peer=1500)
        deleted = [await _deleted(fleet.client, f"deleted{n}") for n in range(5)]
        bench.samples("deleted pod to Ready replacement", deleted, "ms", target=600, peer=1070)


async def _bare() -> tuple[list[float], float]:
    """Milliseconds for one instance, again and again, and for thirty."""
    host = hosts.Host()
    await host.start()
    try:
        async with host.drivers() as drivers:
            runtime = drivers.containerd.runtime
            await drivers.network.prepare([hosts.POOL])
            for number in range(60):
                await drivers.network.assign(
                    namespace="default", name=f"bare{number}", address=f"198.18.0.{number + 10}", pool="default"
                )
            one = []
            for number in range(10):
                began = time.perf_counter()
                await _bare_instance(runtime, number, host)
                one.append((time.perf_counter() - began) * 1000)
            gate = asyncio.Semaphore(10)

            async def gated(number: int) -> None:
                async with gate:
                    await _bare_instance(runtime, number, host)

            began = time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for number in range(10, 40):
                    group.create_task(gated(number))
            return one, (time.perf_counter() - began) * 1000
    finally:
        await host.purge()
        host.destroy()


async def _bare_instance(runtime: ports.Runtime, number: int, host: hosts.Host) -> None:
    sandbox = ports.SandboxConfig(
        name=f"bare{number}", namespace="default", uid=f"bare-{number}", cgroup_parent=host.cgroup
    )
    identity = await runtime.run_sandbox(sandbox)
    config = ports.ContainerConfig(name="main", image=tools.IMAGE, command=SLEEPER)
    container = await runtime.create_container(identity, config, sandbox)
    await runtime.start_container(container)


def _chain() -> dict[str, Any]:
    probe = {"exec": {"command": ["echo"]}, "periodSeconds": 1}
    return {
        "a": bed.unit(SLEEPER, probe=probe),
        "b": bed.unit(SLEEPER, probe=probe, after="a"),
        "c": bed.unit(SLEEPER, probe=probe, after="b"),
    }


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

        [(pid, _)] = fleets.processes(marks=(f"sleep {seconds}",))
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
