"""API server beside kube-apiserver with etcd: requests, CPU for each, lists, watches and memory, over TLS, durable.

Both serve 5,000 ConfigMaps of 1 KB and are asked in turn by wrk, 16 connections at a time, on the same cores in the
same run. CPU is that of every process of a server. Where no kube-apiserver can be built its figures stay empty.
"""

import contextlib
import pathlib
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from benchmarks import listeners, serving, watch, wrk

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


async def run(bench: "harness.Bench") -> None:
    """Measure."""
    async with contextlib.AsyncExitStack() as stack:
        folders = [pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bf-bench-"))) for _ in range(2)]
        ours = await stack.enter_async_context(serving.served(folders[0]))
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
            heard = [await _hear(side, watchers) for side in sides]
            label = "watcher" if watchers == 1 else "watchers"
            name = f"watch at 100 writes/s, {watchers} {label}"
            bench.metric(f"{name}, median", heard[0].median, "ms", peer=_second([one.median for one in heard]))
            p99 = [one.p99 for one in heard]
            bench.metric(f"{name}, p99", p99[0], "ms", target=_WATCH_GOAL_MS, peer=_second(p99))
        await watch.alone(bench, folders[0])
        bench.say(f"{_MANY:,} objects")
        for side in sides:
            await _fill(side, range(_OBJECTS, _MANY))
        memory = [wrk.resident_mib(side.target.processes) for side in sides]
        bench.metric(f"memory, {_MANY} objects", memory[0], "MiB", target=_MEMORY_GOAL_MIB, peer=_second(memory))


async def _compare(bench: "harness.Bench", verb: str, sides: list[serving.Side]) -> None:
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


async def _lists(bench: "harness.Bench", sides: list[serving.Side]) -> None:
    loads = [await wrk.load(side.target, "list", seconds=_SECONDS, objects=_OBJECTS, connections=1) for side in sides]
    cpu = [one.cpu / 1000 for one in loads]
    bench.metric(f"list of {_OBJECTS}, median", loads[0].median, "ms", peer=_second([one.median for one in loads]))
    peer = _second(cpu)
    bench.metric(f"list of {_OBJECTS}, CPU", cpu[0], "ms", target=peer / _LIST_GOAL if peer else None, peer=peer)


async def _fill(side: serving.Side, numbers: range) -> None:
    async with serving.asking(side) as api:
        await watch.fill(api, numbers)


async def _hear(side: serving.Side, watchers: int) -> listeners.Heard:
    async with serving.asking(side) as api:
        return await watch.delivery(side, api, watchers=watchers, rate=100, writes=600)


def _second(values: list[float]) -> float | None:
    return values[1] if len(values) > 1 else None


@contextlib.contextmanager
def _peer(bench: "harness.Bench", folder: pathlib.Path) -> Iterator[serving.Side | None]:
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
        yield serving.Side(target=target, ca_file=peer.ca_file)
