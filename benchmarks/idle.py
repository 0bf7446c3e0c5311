"""Idling with WordPress, then with 30 instances: memory and CPU time of our processes; and a cold start's time.

The images are built first, into the folder that BOXFLEET_IMAGE_CACHE names or one that is thrown away. The peer is a
single-node Kubernetes 1.34, without pods and with thirty.
"""

import asyncio
import os
import pathlib
import re
import tempfile
import time

from benchmarks import bed, harness

from boxfleet.api import box
from boxfleet.testing import fleet as fleets

WATCHED_SECONDS = 60
# Seconds after a delivery until all is at rest.
_REST = 20
_INSTANCES = 30


async def run(bench: harness.Bench) -> None:
    """Deliver WordPress from cached images, wait, look at the processes."""
    with tempfile.TemporaryDirectory(prefix="bf-bench-images-") as thrown_away:
        await _measure(bench, pathlib.Path(os.environ.get("BOXFLEET_IMAGE_CACHE") or thrown_away))


async def _measure(bench: harness.Bench, cache: pathlib.Path) -> None:
    bench.say("making sure that the images are cached")
    async with bed.home(image_cache=cache) as warm:
        await asyncio.to_thread(warm.boxfleet, "image", "build", "--no-import", *_recipes(), timeout=900)
    bench.say("cold start")
    async with bed.home(image_cache=cache) as cold:
        began = time.perf_counter()
        await asyncio.to_thread(cold.run, "up", timeout=600)
        bench.metric("cold ./run up until WordPress is Ready", time.perf_counter() - began, "s", target=20)
        await _watch(bench, cold, "WordPress", targets=True, peers=(641, 3.6))
    bench.say(f"{_INSTANCES} instances")
    async with bed.running() as beside:
        units = {"web": bed.unit(["sleep", "100000"], replicas=_INSTANCES)}
        await bed.deliver(beside.client, "many", units)
        while not bed.is_ready(await beside.client.get(box.Box, "many", namespace="default")):
            await asyncio.sleep(0.2)
        await _watch(bench, beside.fleet, f"{_INSTANCES} instances", targets=False, peers=(809, 9.9))


async def _watch(
    bench: harness.Bench, fleet: fleets.Fleet, what: str, *, targets: bool, peers: tuple[float, float]
) -> None:
    """Memory and CPU time of an idle Boxfleet.

    The peer's figures are for a whole Kubernetes, so ours are compared with containerd among them.
    """
    await asyncio.sleep(_REST)
    bench.say(f"watching {what} for {WATCHED_SECONDS} s")
    pids = {role: fleet.process(role) for role in ("server", "agent", "containerd")}
    before = {role: _cpu_seconds(pid) for role, pid in pids.items()}
    await asyncio.sleep(WATCHED_SECONDS)
    busy = {role: (_cpu_seconds(pid) - before[role]) / WATCHED_SECONDS * 100 for role, pid in pids.items()}
    resident = {role: _resident(pid) for role, pid in pids.items()}
    for role in pids:
        bench.metric(f"{what}, {role}: memory", resident[role], "MiB")
        bench.metric(f"{what}, {role}: CPU of one core", busy[role], "%")
    ours = ("server", "agent")
    memory, share = sum(resident[role] for role in ours), sum(busy[role] for role in ours)
    bench.metric(f"{what}, server and agent: memory", memory, "MiB", target=200 if targets else None)
    bench.metric(f"{what}, server and agent: CPU of one core", share, "%", target=2 if targets else None)
    bench.metric(f"{what}, all three: memory", sum(resident.values()), "MiB", peer=peers[0])
    bench.metric(f"{what}, all three: CPU of one core", sum(busy.values()), "%", peer=peers[1])


def _recipes() -> list[str]:
    return [str(path) for path in sorted((fleets.REPOSITORY / "examples/wordpress/images").glob("*.yaml"))]


def _cpu_seconds(pid: int) -> float:
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> float:
    found = re.search(r"^Rss:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) / 1024
