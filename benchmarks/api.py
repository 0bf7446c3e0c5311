"""API server beside kube-apiserver with etcd: requests, CPU for each, lists, watches and memory, over TLS, durable.

Both serve 5,000 ConfigMaps of 1 KB and are asked in turn by wrk, 16 connections at a time, on the same cores in the
same run. CPU is that of every process of a server. Where no kube-apiserver can be built its figures stay empty.
"""

import asyncio
import contextlib
import dataclasses
import itertools
import pathlib
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import msgspec
from benchmarks import wrk

from boxfleet.client import http
from boxfleet.kit import collector
from boxfleet.testing import server
from boxfleet.testing.kubernetes import programs
from boxfleet.testing.kubernetes import server as kubernetes

if TYPE_CHECKING:
    from benchmarks import harness

_OBJECTS = 5000
_MANY = 20_000
_SECONDS = 4
_PATH = "/api/v1/namespaces/default/configmaps"
_MERGE = "application/merge-patch+json"
# How much less CPU a request may take than the peer's, and how many more of them there must be.
_GOALS = {"get": (5, 4), "update": (4, 3), "patch": (4, 3), "create": (4, 3)}
_LIST_GOAL = 4
_WATCH_GOAL_MS = 5.0
_MEMORY_GOAL_MIB = 200.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two servers."""

    target: wrk.Target
    ca_file: pathlib.Path


async def run(bench: "harness.Bench") -> None:
    """Measure."""
    async with contextlib.AsyncExitStack() as stack:
        folders = [pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bf-bench-"))) for _ in range(2)]
        ours = await stack.enter_async_context(_served(folders[0]))
        bench.metric("memory, empty", wrk.resident_mib(ours.target.processes), "MiB")
        theirs = stack.enter_context(_peer(bench, folders[1]))
        sides = [ours] if theirs is None else [ours, theirs]
        for side in sides:
            await _fill(side, range(_OBJECTS))
        for verb in ("get", "update", "patch", "create"):
            bench.say(verb)
            await _compare(bench, verb, sides)
        bench.say("listing")
        await _lists(bench, sides)
        for watchers in (1, 20):
            bench.say(f"watching, {watchers} at a time")
            seen = [await _watch(side, watchers) for side in sides]
            label = "watcher" if watchers == 1 else "watchers"
            name = f"watch at 100 writes/s, {watchers} {label}"
            p99 = [_percentile(one, 99) for one in seen]
            bench.metric(
                f"{name}, median",
                statistics.median(seen[0]),
                "ms",
                peer=_second([statistics.median(one) for one in seen]),
            )
            bench.metric(f"{name}, p99", p99[0], "ms", target=_WATCH_GOAL_MS, peer=_second(p99))
        bench.say(f"{_MANY:,} objects")
        for side in sides:
            await _fill(side, range(_OBJECTS, _MANY))
        memory = [wrk.resident_mib(side.target.processes) for side in sides]
        bench.metric(f"memory, {_MANY} objects", memory[0], "MiB", target=_MEMORY_GOAL_MIB, peer=_second(memory))


async def _compare(bench: "harness.Bench", verb: str, sides: list[Side]) -> None:
    loads = [await wrk.load(side.target, verb, seconds=_SECONDS, objects=_OBJECTS) for side in sides]
    ours, theirs = loads[0], loads[1] if len(loads) > 1 else None
    less, more = _GOALS[verb]
    bench.metric(
        verb, ours.rate, "1/s", target=theirs.rate * more if theirs else None, peer=theirs.rate if theirs else None
    )
    bench.metric(
        f"{verb}, CPU of a request",
        ours.cpu,
        "us",
        target=theirs.cpu / less if theirs else None,
        peer=theirs.cpu if theirs else None,
    )
    bench.metric(f"{verb}, median", ours.median, "ms", peer=theirs.median if theirs else None)
    bench.metric(f"{verb}, p99", ours.p99, "ms", peer=theirs.p99 if theirs else None)


async def _lists(bench: "harness.Bench", sides: list[Side]) -> None:
    loads = [await wrk.load(side.target, "list", seconds=_SECONDS, objects=_OBJECTS, connections=1) for side in sides]
    cpu = [one.cpu / 1000 for one in loads]
    bench.metric(f"list of {_OBJECTS}, median", loads[0].median, "ms", peer=_second([one.median for one in loads]))
    peer = _second(cpu)
    bench.metric(f"list of {_OBJECTS}, CPU", cpu[0], "ms", target=peer / _LIST_GOAL if peer else None, peer=peer)


async def _fill(side: Side, numbers: range) -> None:
    waiting = iter(numbers)
    async with _asking(side) as api, asyncio.TaskGroup() as group:

        async def work() -> None:
            for number in waiting:
                body = {"metadata": {"name": f"bench-{number:05}"}, "data": {"version": "1", "text": "x" * 800}}
                await _send(api, "POST", _PATH, msgspec.json.encode(body))

        for _ in range(16):
            group.create_task(work())


async def _watch(side: Side, watchers: int) -> list[float]:
    """Milliseconds from sending a write to hearing of it, for every watcher, at 100 writes a second."""
    writes = 300
    sent: dict[str, float] = {}
    latencies: list[float] = []
    async with _asking(side) as api:
        listing = msgspec.json.decode((await api.request("GET", _PATH, query={"limit": "1"})).body)
        query = {"watch": "1", "resourceVersion": listing["metadata"]["resourceVersion"]}

        async def listen() -> None:
            heard = 0
            async with contextlib.aclosing(api.lines(_PATH, query=query)) as lines:
                async for line in lines:
                    now = time.perf_counter()
                    version = msgspec.json.decode(line)["object"]["data"]["version"]
                    latencies.append((now - sent[version]) * 1000)
                    heard += 1
                    if heard == writes:
                        return

        async with asyncio.TaskGroup() as group:
            for _ in range(watchers):
                group.create_task(listen())
            begin = time.perf_counter()
            for number in itertools.count():
                if number == writes:
                    break
                await asyncio.sleep(max(0.0, begin + number / 100 - time.perf_counter()))
                version = f"w{watchers}-{number}"
                patch = msgspec.json.encode({"data": {"version": version}})
                sent[version] = time.perf_counter()
                group.create_task(_send(api, "PATCH", f"{_PATH}/bench-{number:05}", patch, content_type=_MERGE))
    return latencies


def _percentile(values: list[float], percent: int) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


def _second(values: list[float]) -> float | None:
    return values[1] if len(values) > 1 else None


@contextlib.asynccontextmanager
async def _asking(side: Side) -> AsyncIterator[http.Http]:
    api = http.Http(side.target.url, token=side.target.token, authority=side.ca_file)
    try:
        yield api
    finally:
        await api.close()


async def _send(
    api: http.Http, method: str, path: str, body: bytes = b"", *, content_type: str = "application/json"
) -> None:
    answer = await api.request(method, path, query={}, body=body, content_type=content_type)
    if answer.status >= 400:
        raise RuntimeError(f"{method} {path} answered {answer.status}: {answer.body[:200]!r}")


@contextlib.contextmanager
def _peer(bench: "harness.Bench", folder: pathlib.Path) -> Iterator[Side | None]:
    """A kube-apiserver on etcd, if this machine can build one."""
    lacking = programs.lacking()
    if lacking:
        bench.say(f"without kube-apiserver: it cannot be built without {lacking}")
        yield None
        return
    bench.say("making sure that kube-apiserver is built")
    programs.ensure(["kube-apiserver"])
    with kubernetes.running(folder) as peer:
        target = wrk.Target(url=peer.url, token=kubernetes.ADMIN_TOKEN, processes=wrk.processes_of(folder))
        yield Side(target=target, ca_file=peer.ca_file)


@contextlib.asynccontextmanager
async def _served(folder: pathlib.Path) -> AsyncIterator[Side]:
    """The server in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.api", str(folder), stdout=asyncio.subprocess.PIPE, limit=2**20
    )
    try:
        assert process.stdout is not None
        url, ca_file = (await process.stdout.readline()).decode().split()
        target = wrk.Target(url=url, token=server.ADMIN_TOKEN, processes=[process.pid])
        yield Side(target=target, ca_file=pathlib.Path(ca_file))
    finally:
        process.terminate()
        await process.wait()


async def _serve(folder: pathlib.Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with (
        server.recording(folder) as audit,
        server.running(folder, audit=audit) as api,
        server.on_socket(api, folder) as socket,
    ):
        print(socket.url, socket.ca_file, flush=True)
        await stop.wait()


if __name__ == "__main__":
    import uvloop

    # As the server's own process does.
    collector.settle()
    uvloop.run(_serve(pathlib.Path(sys.argv[1])))
