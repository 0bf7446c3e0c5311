"""Watch: how soon many watchers hear of writes, what idle ones cost, and what they cost the others, over TLS.

Watchers are in a process of their own (`listeners`), writes come from this one, and both share the machine's cores with
the server. Latency is from sending a write to having read its event. Idle watchers look each at its own node's pods.
Every write is on disk before it is told: what the disk alone takes is measured beside.
"""

import asyncio
import contextlib
import itertools
import pathlib
import sqlite3
import tempfile
import time
from typing import TYPE_CHECKING

import msgspec
from benchmarks import listeners, serving, wrk

from boxfleet.client import http

if TYPE_CHECKING:
    from benchmarks import harness

PATH = "/api/v1/namespaces/default/configmaps"
MERGE = "application/merge-patch+json"
_IDLE = 10_000
# After so many watchers the disk is measured alone.
_BESIDE = 20
# Opened before memory is looked at: what the first ones bring along is no cost of each.
_FIRST = 500
_SETTLE_SECONDS = 2.0


async def run(bench: "harness.Bench") -> None:
    """Measure."""
    with tempfile.TemporaryDirectory(prefix="bf-bench-watch-") as folder:
        async with serving.served(pathlib.Path(folder)) as side, serving.asking(side) as api:
            await fill(api, range(300))
            for watchers, rate, writes, goal in ((1, 100, 300, 5.0), (20, 100, 600, 5.0), (1000, 20, 200, 500.0)):
                bench.say(f"{watchers} watchers at {rate} writes/s")
                heard = await delivery(side, api, watchers=watchers, rate=rate, writes=writes)
                name = f"{watchers:,} watcher{'s'[: watchers > 1]} at {rate} writes/s"
                bench.metric(f"{name}, median", heard.median, "ms")
                bench.metric(f"{name}, p99", heard.p99, "ms", target=goal)
                if watchers == _BESIDE:
                    await alone(bench, pathlib.Path(folder))
            await _idle(bench, side, api)


async def _idle(bench: "harness.Bench", side: serving.Side, api: http.Http) -> None:
    count = min(_IDLE, listeners.limit())
    if count < _IDLE:
        bench.say(f"a process may open only {count} connections here")
    async with listening(side) as idle:
        await idle.open([of_node(number) for number in range(_FIRST)])
        before = await settled(side)
        spent = wrk.cpu_seconds(side.target.processes)
        bench.say(f"{count} idle watchers")
        for at in range(_FIRST, count, 500):
            await idle.open([of_node(number) for number in range(at, min(at + 500, count))])
        spent = wrk.cpu_seconds(side.target.processes) - spent
        after = await settled(side)
        bench.metric(f"{count:,} idle: memory of each", (after - before) * 1024 / (count - _FIRST), "KiB", target=20.0)
        bench.metric(f"{count:,} idle: CPU to open one", spent / (count - _FIRST) * 1000, "ms")
        heard = await delivery(side, api, watchers=20, rate=100, writes=600)
        bench.metric(f"{count:,} idle, 20 others at 100 writes/s, median", heard.median, "ms")
        bench.metric(f"{count:,} idle, 20 others at 100 writes/s, p99", heard.p99, "ms", target=5.0)


def commits(folder: pathlib.Path, *, count: int = 600, rate: int = 100) -> list[float]:
    """Milliseconds that SQLite took for a commit, set up as the store sets it up, with nothing of Boxfleet in between.

    The disk is that of the server's, and others may be at it as well: no event can come sooner than this.
    """
    took = []
    with contextlib.closing(sqlite3.connect(folder / "commits.db", isolation_level=None)) as base:
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            base.execute(f"PRAGMA {pragma}").fetchall()
        base.execute("CREATE TABLE log (revision INTEGER PRIMARY KEY, value BLOB NOT NULL)")
        # The log is as large as it gets before time is taken, and is begun again then.
        base.execute("INSERT INTO log (value) VALUES (zeroblob(4096000))")
        base.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        begin = time.perf_counter()
        for number in range(count):
            time.sleep(max(0.0, begin + number / rate - time.perf_counter()))
            start = time.perf_counter()
            base.execute("INSERT INTO log (value) VALUES (zeroblob(1200))")
            took.append((time.perf_counter() - start) * 1000)
    return took


async def alone(bench: "harness.Bench", folder: pathlib.Path) -> None:
    """The disk's part of what was measured just before."""
    bench.say("the disk alone")
    bench.samples("SQLite alone, 100 commits/s", await asyncio.to_thread(commits, folder), "ms")


def of_node(number: int) -> str:
    """The watch that an agent has of its pods."""
    return f"/api/v1/pods?watch=1&resourceVersion=1&fieldSelector=spec.nodeName%3Dnode-{number:05}"


def listening(side: serving.Side) -> contextlib.AbstractAsyncContextManager[listeners.Listeners]:
    """Watchers of one side."""
    return listeners.listening(side.target.url, token=side.target.token, authority=side.ca_file)


async def settled(side: serving.Side) -> float:
    """Memory of the server's processes (MiB) once what was just asked is done."""
    await asyncio.sleep(_SETTLE_SECONDS)
    return wrk.resident_mib(side.target.processes)


async def fill(api: http.Http, numbers: range) -> None:
    """Make ConfigMaps of 1 KB, sixteen at a time."""
    waiting = iter(numbers)

    async def work() -> None:
        for number in waiting:
            body = {"metadata": {"name": f"bench-{number:05}"}, "data": {"version": "1", "text": "x" * 800}}
            await serving.send(api, "POST", PATH, msgspec.json.encode(body))

    async with asyncio.TaskGroup() as group:
        for _ in range(16):
            group.create_task(work())


async def delivery(
    side: serving.Side, api: http.Http, *, watchers: int, rate: int, writes: int, objects: int = 300
) -> listeners.Heard:
    """Patch so many times, `rate` times a second, whether or not they are answered; what all watchers heard."""
    listing = msgspec.json.decode((await api.request("GET", PATH, query={"limit": "1"})).body)
    path = f"{PATH}?watch=1&resourceVersion={listing['metadata']['resourceVersion']}"
    async with listening(side) as ears, asyncio.TaskGroup() as group:
        await ears.open([path] * watchers)
        hearing = group.create_task(ears.hear(watchers * writes))
        begin = time.perf_counter()
        for number in itertools.islice(itertools.count(), writes):
            await asyncio.sleep(max(0.0, begin + number / rate - time.perf_counter()))
            patch = msgspec.json.encode({"data": {"sent": listeners.stamp()}})
            where = f"{PATH}/bench-{number % objects:05}"
            group.create_task(serving.send(api, "PATCH", where, patch, content_type=MERGE))
        return await hearing
