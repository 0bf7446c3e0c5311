"""Store: durable writes per second on SQLite and PostgreSQL, and what opening costs as objects grow in number.

Objects are of 1 KB; sixteen wait for a write at any time, as the API's clients would. Two servers on PostgreSQL are two
processes. Opening and memory are those of a fresh process, which is what a restart is.
"""

import asyncio
import contextlib
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from boxfleet.client import http
from boxfleet.store import settings, store, where
from boxfleet.testing import postgres, server

if TYPE_CHECKING:
    from benchmarks import harness

_AT_ONCE = 16
_SECONDS = 4.0
_SIZES = (1_000, 20_000, 100_000)
_PAD = b"x" * 900
# What PostgreSQL's own insert reaches on the machine of the first record, sixteen at a time without any order.
_PEER_INSERTS = 16_000.0


async def run(bench: "harness.Bench") -> None:
    """Measure."""
    with tempfile.TemporaryDirectory(prefix="bf-bench-store-") as folder, _cluster() as cluster:
        bench.say("writing to SQLite")
        await _writes(bench, "SQLite", [str(pathlib.Path(folder) / "w.db")])
        bench.say("writing to PostgreSQL")
        place = cluster.make_database("writes")
        await _writes(bench, "PostgreSQL, one server", [place], peer=_PEER_INSERTS)
        await _writes(bench, "PostgreSQL, two servers", [place, place], peer=_PEER_INSERTS)
        await _reads(bench, place)
        for size in _SIZES:
            for name, target in (
                ("SQLite", str(pathlib.Path(folder) / f"{size}.db")),
                ("PostgreSQL", cluster.make_database(f"size{size}")),
            ):
                bench.say(f"opening {name} with {size} objects")
                await _opening(bench, name, target, size)
        for size, memory in ((20_000, 200.0), (100_000, None)):
            bench.say(f"a server with {size} objects")
            home = pathlib.Path(folder) / f"server-{size}"
            home.mkdir()
            (pathlib.Path(folder) / f"{size}.db").rename(home / "boxfleet.db")
            await _serving(bench, home, size, memory)


async def _writes(bench: "harness.Bench", name: str, places: list[str], *, peer: float | None = None) -> None:
    """Creates and replacements by as many processes as places, which begin together."""
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            __file__,
            "write",
            place,
            str(number),
            str(_AT_ONCE // len(places)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for number, place in enumerate(places)
    ]
    for process in processes:
        assert process.stdout is not None
        await process.stdout.readline()
    answers = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    found = [json.loads(out) for out, _ in answers]
    bench.metric(f"{name}: writes", sum(one["rate"] for one in found), "1/s", peer=peer)
    bench.metric(f"{name}: write, median", statistics.median(one["median"] for one in found), "ms")
    bench.metric(f"{name}: write, p99", max(one["p99"] for one in found), "ms")
    bench.metric(f"{name}: CPU per write", statistics.mean(one["cpu"] for one in found), "us")


async def _reads(bench: "harness.Bench", place: str) -> None:
    """What it costs to be sure that memory is the newest state."""
    log = await store.Store.open(where.parse(place, default=pathlib.Path()))
    try:
        for at_once in (1, _AT_ONCE):
            times: list[float] = []
            end = time.perf_counter() + 1.0

            async def work(times: list[float] = times, end: float = end) -> None:
                while (begin := time.perf_counter()) < end:
                    await log.current()
                    times.append((time.perf_counter() - begin) * 1000)

            await asyncio.gather(*(work() for _ in range(at_once)))
            bench.samples(f"PostgreSQL: newest state assured, {at_once} at a time", times, "ms")
    finally:
        await log.close()


async def _opening(bench: "harness.Bench", name: str, target: str, size: int) -> None:
    log = await store.Store.open(where.parse(target, default=pathlib.Path()), settings.Settings(batch=2000))
    for begin in range(0, size, 2000):
        keys = [_key(number) for number in range(begin, min(size, begin + 2000))]
        await asyncio.gather(*(log.write(key, _value, expected=0) for key in keys))
    await log.close()
    found = json.loads(await asyncio.to_thread(subprocess.check_output, [sys.executable, __file__, "open", target]))
    goal = 3.0 if size == max(_SIZES) else None
    bench.metric(f"{name}: opened with {size} objects", found["seconds"], "s", target=goal)
    bench.metric(f"{name}: memory for {size} objects", found["mebibytes"], "MiB")


async def _serving(bench: "harness.Bench", home: pathlib.Path, size: int, memory: float | None) -> None:
    """From the start of the API server's process to its first answer, and what it holds then and after lists."""
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.serving", str(home), stdout=asyncio.subprocess.PIPE, limit=2**20
    )
    try:
        assert process.stdout is not None
        url, ca_file = (await process.stdout.readline()).decode().split()
        caller = http.Http(url, token=server.ADMIN_TOKEN, authority=pathlib.Path(ca_file))
        try:
            first = await caller.request("GET", "/api/v1/namespaces/space-07/configmaps/object-000007", query={})
            assert first.status == 200, first.body
            name = f"server with {size} objects"
            goal = 3.0 if size == max(_SIZES) else None
            bench.metric(f"{name}: start to first answer", time.perf_counter() - began, "s", target=goal)
            bench.metric(f"{name}: memory", _resident(process.pid), "MiB", target=memory)
            for _ in range(5):
                await caller.request("GET", "/api/v1/configmaps", query={})
            bench.metric(f"{name}: memory after lists of all", _resident(process.pid), "MiB", target=memory)
        finally:
            await caller.close()
    finally:
        process.terminate()
        await process.wait()


@contextlib.contextmanager
def _cluster() -> Iterator[postgres.Cluster]:
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bf-bench-pg-", dir="/tmp"))
    try:
        with postgres.cluster(folder, settings={"shared_buffers": "128MB", "autovacuum": "on"}) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _key(number: int) -> str:
    return f"//configmaps/space-{number % 50:02}/object-{number:06}"


def _value(revision: int) -> bytes:
    return (
        b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"o","resourceVersion":"%d"},"data":{"text":"%s"}}'
        % (revision, _PAD)
    )


async def _write(place: str, number: str, at_once: int) -> None:
    """A process that writes for some seconds."""
    log = await store.Store.open(where.parse(place, default=pathlib.Path()))
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    times: list[float] = []
    began, cpu = time.perf_counter(), time.process_time()
    end = began + _SECONDS

    async def work(worker: int) -> None:
        count = 0
        while (begin := time.perf_counter()) < end:
            key = f"//configmaps/{number}-{worker}/object-{count // 2}"
            # Each object is created, then replaced.
            present = log.get(key)
            await log.write(key, _value, expected=present.revision if present is not None else 0)
            times.append((time.perf_counter() - begin) * 1000)
            count += 1

    await asyncio.gather(*(work(worker) for worker in range(at_once)))
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    await log.close()
    times.sort()
    rate = len(times) / took
    print(
        json.dumps(
            {
                "rate": rate,
                "median": statistics.median(times),
                "p99": times[int(len(times) * 0.99)],
                "cpu": cpu / len(times) * 1e6,
            }
        )
    )


async def _open(place: str) -> None:
    """A process that opens a log and says what that took."""
    before = _resident()
    begin = time.perf_counter()
    log = await store.Store.open(where.parse(place, default=pathlib.Path()))
    seconds = time.perf_counter() - begin
    print(json.dumps({"seconds": seconds, "mebibytes": _resident() - before}))
    await log.close()


def _resident(pid: int | str = "self") -> float:
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    import uvloop

    if sys.argv[1] == "write":
        uvloop.run(_write(sys.argv[2], sys.argv[3], int(sys.argv[4])))
    else:
        uvloop.run(_open(sys.argv[2]))
