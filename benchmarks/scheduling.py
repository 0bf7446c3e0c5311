"""Scheduling: instances bound a second through the API, beside kube-scheduler with kube-apiserver and etcd.

A thousand simulated nodes, whose heartbeats go on, and five thousand Pods. Once the Pods come while the scheduler runs,
from the first creation to the last binding; and once they are there before it begins (the usual measure of
schedulers), from the first binding to the last. Everything is durable and goes over TLS but what Boxfleet's scheduler
says, which is in the server's own process. Boxfleet's controllers give each Pod an address meanwhile, which has no
counterpart at the peer. CPU is that of all processes of a side, up to the last Event, without the heartbeats' own.
A variant counts only for a side that kept what it asks for.
"""

import asyncio
import collections
import contextlib
import dataclasses
import itertools
import math
import pathlib
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec
from benchmarks import planes, serving, wrk

from boxfleet.client import http
from boxfleet.kit import clock as clocks
from boxfleet.testing.kubernetes import programs

if TYPE_CHECKING:
    from benchmarks import harness

_NODES = 1000
_PODS = 5000
_ZONES = 10
_SKEW = 5
# Pods that must not share a node with each other: fewer than there are nodes.
_APART = 500
_GOAL = 1500.0
_HEARTBEAT_SECONDS = 10.0
_CONNECTIONS = 16
# Without a further binding for so long, a side has bound all that it will.
_PATIENCE = 60.0
# Seconds of CPU a second above which a plane is busy with more than heartbeats, and seconds that it may take to settle.
_BUSY = 0.7
_SETTLE_SECONDS = 30
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_MERGE = "application/merge-patch+json"
_BOUND = "/api/v1/namespaces/default/pods?watch=1&fieldSelector=spec.nodeName!="
_CLOCK = clocks.SystemClock()

Json = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What one side came to with one variant; rates a second, CPU in microseconds."""

    end_to_end: float
    rate: float
    cpu: float
    peak_mib: float
    # Whether every Pod lies as it asks to.
    kept: bool


async def run(bench: "harness.Bench") -> None:
    """Measure."""
    with_peer = _peer_is_there(bench)
    for name, variant in VARIANTS.items():
        ours = await measure(bench, "Boxfleet", name)
        theirs = await measure(bench, "kube-scheduler", name) if with_peer else None
        if not ours.kept:
            bench.say(f"{name}: Boxfleet does not keep what these Pods ask for")
            continue
        report(bench, name, ours, theirs if theirs is not None and theirs.kept else None, goal=variant.goal)


def report(bench: "harness.Bench", name: str, ours: _Outcome, theirs: _Outcome | None, *, goal: float) -> None:
    """The figures of one variant."""

    def figure(what: str, field: str, unit: str, target: float | None = None) -> None:
        peer = getattr(theirs, field) if theirs is not None else None
        bench.metric(f"{name}, {what}", getattr(ours, field), unit, target=target, peer=peer)

    figure("there before", "rate", "bound/s", goal)
    figure("created meanwhile", "end_to_end", "bound/s", goal)
    figure("CPU of a bound Pod", "cpu", "us")
    figure("peak memory", "peak_mib", "MiB")


async def measure(bench: "harness.Bench", side: str, name: str) -> _Outcome:
    """One side with one variant, both ways."""
    variant = VARIANTS[name]
    async with _plane(side) as plane, _Fleet.of(plane) as fleet:
        bench.say(f"{name}, {side}: Pods that are there before")
        await fleet.create_pods("before", variant.spec)
        await fleet.quiet()
        spent = wrk.cpu_seconds(plane.side.target.processes)
        began = time.monotonic()
        plane.schedule()
        moments = await fleet.bound(_PODS)
        bench.say(f"bound in {moments[-1] - began:.1f} s")
        await fleet.told(_PODS)
        idle = fleet.idle_cpu * (time.monotonic() - began)
        spent = wrk.cpu_seconds(plane.side.target.processes) - spent - idle
        kept = variant.is_kept(await fleet.placed())
        peak = plane.peak_mib()
    async with _plane(side) as plane, _Fleet.of(plane) as fleet:
        bench.say(f"{name}, {side}: Pods that come meanwhile")
        plane.schedule()
        await fleet.warm()
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            creating = group.create_task(fleet.create_pods("during", variant.spec))
            seen = await fleet.bound(_PODS)
            await creating
        return _Outcome(
            end_to_end=_PODS / (seen[-1] - began),
            rate=(len(moments) - 1) / (moments[-1] - moments[0]),
            cpu=spent / _PODS * 1e6,
            peak_mib=max(peak, plane.peak_mib()),
            kept=kept,
        )


def _peer_is_there(bench: "harness.Bench") -> bool:
    lacking = programs.lacking()
    if lacking:
        bench.say(f"without the peer: it cannot be built without {lacking}")
        return False
    bench.say("making sure that kube-apiserver and kube-scheduler are built")
    programs.ensure(["kube-apiserver", "kube-scheduler"])
    return True


@contextlib.asynccontextmanager
async def _plane(side: str) -> AsyncIterator[planes.Plane]:
    with tempfile.TemporaryDirectory(prefix="bf-bench-") as name:
        folder = pathlib.Path(name)
        if side == "Boxfleet":
            async with planes.boxfleet(folder) as plane:
                yield plane
        else:
            with planes.peer(folder) as plane:
                yield plane


def _plain(number: int) -> Json:
    return {
        "containers": [
            {
                "name": "main",
                "image": "registry.k8s.io/pause:3.9",
                "resources": {"requests": {"cpu": "100m", "memory": "500Mi"}},
            }
        ]
    }


def _spread(number: int) -> Json:
    constraint = {
        "maxSkew": _SKEW,
        "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": _app(number)}},
    }
    return _plain(number) | {"topologySpreadConstraints": [constraint]}


def _apart(number: int) -> Json:
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": _app(number)}}}
    return _plain(number) | {
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    }


def _app(number: int) -> str:
    return f"app-{number // _APART}"


def _is_spread(placed: list[tuple[int, int]]) -> bool:
    for counts in _by_app(placed, lambda node: node % _ZONES).values():
        if max(counts.values()) - min(counts.get(zone, 0) for zone in range(_ZONES)) > _SKEW:
            return False
    return True


def _is_apart(placed: list[tuple[int, int]]) -> bool:
    return all(max(counts.values()) == 1 for counts in _by_app(placed, lambda node: node).values())


def _by_app(placed: list[tuple[int, int]], domain: Callable[[int], int]) -> dict[str, collections.Counter[int]]:
    """Pods of each app by where their nodes are."""
    found: dict[str, collections.Counter[int]] = {}
    for number, node in placed:
        found.setdefault(_app(number), collections.Counter())[domain(node)] += 1
    return found


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Pods that ask for something, given by their number."""

    spec: Callable[[int], Json]
    # Whether Pods, each with the number of its node, lie as they ask to.
    is_kept: Callable[[list[tuple[int, int]]], bool]
    goal: float


VARIANTS = {
    "plain": Variant(spec=_plain, is_kept=lambda placed: True, goal=_GOAL),
    "spread over zones": Variant(spec=_spread, is_kept=_is_spread, goal=_GOAL / 2),
    "apart by host": Variant(spec=_apart, is_kept=_is_apart, goal=_GOAL / 2),
}


class _Fleet:
    """Simulated nodes at a control plane, and what is seen of Pods there."""

    def __init__(self, plane: planes.Plane, api: http.Http) -> None:
        self._plane = plane
        self._api = api
        # Seconds of CPU that the plane takes a second for heartbeats alone.
        self.idle_cpu = 0.0
        self._moments: list[float] = []
        self._wake = asyncio.Event()

    @classmethod
    @contextlib.asynccontextmanager
    async def of(cls, plane: planes.Plane) -> AsyncIterator["_Fleet"]:
        """A fleet whose nodes are registered and give signs of life."""
        async with serving.asking(plane.side) as api, asyncio.TaskGroup() as group:
            fleet = cls(plane, api)
            await fleet._space("kube-node-lease")
            await _each(range(_NODES), fleet._register)
            tasks = [group.create_task(fleet._beat()), group.create_task(fleet._look())]
            await fleet.quiet()
            spent, began = wrk.cpu_seconds(plane.side.target.processes), time.monotonic()
            await asyncio.sleep(3.0)
            fleet.idle_cpu = (wrk.cpu_seconds(plane.side.target.processes) - spent) / (time.monotonic() - began)
            try:
                yield fleet
            finally:
                for task in tasks:
                    task.cancel()

    async def create_pods(self, prefix: str, spec_of: Callable[[int], Json]) -> None:
        """Make the Pods, several at a time."""

        async def create(number: int) -> None:
            metadata = {"name": f"{prefix}-{number:05}", "labels": {"app": _app(number)}}
            await self._post("/api/v1/namespaces/default/pods", {"metadata": metadata, "spec": spec_of(number)})

        await _each(range(_PODS), create)

    async def bound(self, count: int) -> list[float]:
        """When each of so many further Pods was seen bound; raises RuntimeError when no more come."""
        while len(self._moments) < count:
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), _PATIENCE)
            except TimeoutError:
                raise RuntimeError(f"only {len(self._moments)} of {count} Pods were bound") from None
        return self._moments[:count]

    async def placed(self) -> list[tuple[int, int]]:
        """The number of each Pod, and that of its node."""
        text = await serving.send(self._api, "GET", "/api/v1/namespaces/default/pods")
        return [
            (_number(one["metadata"]["name"]), _number(one["spec"]["nodeName"]))
            for one in msgspec.json.decode(text)["items"]
        ]

    async def warm(self) -> None:
        """Wait until the scheduler works: it has bound a Pod."""
        path = "/api/v1/namespaces/default/pods"
        await self._post(path, {"metadata": {"name": "first"}, "spec": _plain(0)})
        await self.bound(1)
        self._moments.clear()

    async def told(self, count: int) -> None:
        """Wait until so many Events are there."""
        while True:
            text = await serving.send(self._api, "GET", "/api/v1/namespaces/default/events?limit=1")
            page = msgspec.json.decode(text)
            if len(page["items"]) + page["metadata"].get("remainingItemCount", 0) >= count:
                return
            await asyncio.sleep(0.2)

    async def quiet(self) -> None:
        """Wait until the plane does only what it does all the time: it is far from busy, and does not get less."""
        processes = self._plane.side.target.processes
        before = math.inf
        for _ in range(_SETTLE_SECONDS):
            spent = wrk.cpu_seconds(processes)
            await asyncio.sleep(1.0)
            now = wrk.cpu_seconds(processes) - spent
            if 0.8 * before < now < _BUSY:
                return
            before = now

    async def _register(self, number: int) -> None:
        name = f"node-{number:04}"
        labels = {
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
            "topology.kubernetes.io/zone": f"zone-{number % _ZONES}",
            "node.kubernetes.io/instance-type": "simulated",
        }
        await self._lease(name)
        await self._post("/api/v1/nodes", {"metadata": {"name": name, "labels": labels}})
        now = clocks.stamp(_CLOCK.now())
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
        }
        offers = {"cpu": "4", "memory": "32Gi", "pods": "110", "ephemeral-storage": "100Gi"}
        status = {"capacity": offers, "allocatable": offers, "conditions": [ready]}
        await self._merge(f"/api/v1/nodes/{name}/status", {"status": status})
        if self._plane.taints:
            await self._merge(f"/api/v1/nodes/{name}", {"spec": {"taints": None}})

    async def _beat(self) -> None:
        """Renew every node's Lease in turn."""
        began = time.monotonic()
        for count in itertools.count(1):
            name = f"node-{count % _NODES:04}"
            await self._merge(f"{_LEASES}/{name}", {"spec": {"renewTime": clocks.micro_stamp(_CLOCK.now())}})
            due = began + count * _HEARTBEAT_SECONDS / _NODES
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _look(self) -> None:
        """Note when Pods are bound."""
        path, _, query = _BOUND.partition("?")
        asked = dict(each.split("=", 1) for each in query.split("&"))
        async with contextlib.aclosing(self._api.lines(path, query=asked)) as lines:
            async for line in lines:
                # The first that this watch sees of a Pod is that it is bound.
                if line.startswith(b'{"type":"ADDED"'):
                    self._moments.append(time.monotonic())
                    self._wake.set()

    async def _space(self, name: str) -> None:
        answer = await self._api.request("GET", f"/api/v1/namespaces/{name}", query={})
        if answer.status == 404:
            await self._post("/api/v1/namespaces", {"metadata": {"name": name}})

    async def _lease(self, name: str) -> None:
        spec = {
            "holderIdentity": name,
            "leaseDurationSeconds": 40,
            "renewTime": clocks.micro_stamp(_CLOCK.now()),
        }
        await self._post(_LEASES, {"metadata": {"name": name}, "spec": spec})

    async def _post(self, path: str, body: Json) -> None:
        await serving.send(self._api, "POST", path, msgspec.json.encode(body))

    async def _merge(self, path: str, body: Json) -> None:
        await serving.send(self._api, "PATCH", path, msgspec.json.encode(body), content_type=_MERGE)


def _number(name: str) -> int:
    return int(name.rpartition("-")[2])


async def _each(numbers: Iterable[int], do: Callable[[int], Any]) -> None:
    """Do something for each number, several at a time."""
    waiting = iter(numbers)

    async def work() -> None:
        for number in waiting:
            await do(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(_CONNECTIONS):
            group.create_task(work())
