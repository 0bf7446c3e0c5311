"""Idling with WordPress: memory and CPU time of the server and the agent, and how long a cold start takes.

The images are built first, into the folder that BOXFLEET_IMAGE_CACHE names or one that is thrown away. The peer is a
single-node Kubernetes 1.34 without pods.
"""

import asyncio
import os
import pathlib
import re
import tempfile
import time

from benchmarks import bed, harness

from boxfleet.testing import fleet as fleets

WATCHED_SECONDS = 60


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
        await asyncio.sleep(20)
        bench.say(f"watching for {WATCHED_SECONDS} s")
        pids = {role: cold.process(role) for role in ("server", "agent")}
        before = {role: _cpu_seconds(pid) for role, pid in pids.items()}
        await asyncio.sleep(WATCHED_SECONDS)
        busy = {role: (_cpu_seconds(pid) - before[role]) / WATCHED_SECONDS * 100 for role, pid in pids.items()}
        resident = {role: _resident(pid) for role, pid in pids.items()}
        for role in pids:
            bench.metric(f"{role}: memory", resident[role], "MiB")
            bench.metric(f"{role}: CPU of one core", busy[role], "%")
        bench.metric("together: memory", sum(resident.values()), "MiB", target=200, peer=641)
        bench.metric("together: CPU of one core", sum(busy.values()), "%", target=2, peer=3.6)


def _recipes() -> list[str]:
    return [str(path) for path in sorted((fleets.REPOSITORY / "examples/wordpress/images").glob("*.yaml"))]


def _cpu_seconds(pid: int) -> float:
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> float:
    found = re.search(r"^Rss:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) / 1024
