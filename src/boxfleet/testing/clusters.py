"""A cluster of somebody else's in memory, with the manners of the real ones.

Instances run and are ready a moment after they are ordered, unless `behave` says otherwise. Several drivers may be made
on one `MemoryCluster`, of one fleet or of several, as servers come and go.
"""

import asyncio
import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from boxfleet.api import meta, tunnel
from boxfleet.ports import cluster, streams

_TIME = "2026-01-01T00:00:00Z"


def running(pod: cluster.JsonObject) -> cluster.JsonObject:
    """The v1 PodStatus of an instance that runs and is ready."""
    containers = pod["spec"]["containers"]
    return {
        "phase": "Running",
        "startTime": _TIME,
        "podIP": "198.51.100.7",
        "conditions": [
            {"type": name, "status": "True", "lastTransitionTime": _TIME}
            for name in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
        ],
        "containerStatuses": [
            {
                "name": each["name"],
                "image": each.get("image", ""),
                "imageID": "",
                "ready": True,
                "started": True,
                "restartCount": 0,
                "state": {"running": {"startedAt": _TIME}},
            }
            for each in containers
        ],
    }


def pending(pod: cluster.JsonObject) -> cluster.JsonObject:
    """The v1 PodStatus of an instance that is not started yet."""
    return {
        "phase": "Pending",
        "conditions": [{"type": "PodScheduled", "status": "False", "lastTransitionTime": _TIME}],
    }


@dataclasses.dataclass(slots=True, kw_only=True)
class Running:
    """An instance in the cluster: whose it is, its order, and how it does."""

    fleet: str
    instance: cluster.Instance
    order: cluster.Order


class MemoryCluster:
    """The cluster itself; `driver` gives what speaks to it.

    Set `down` by `cut` to make it unreachable, `denied` to what a missing right is called, and put an exception into
    `failures` under a method's name to make its next call raise it. `calls` lists the changing calls as
    (method, what), `shares` is what was delivered last, by fleet and Unit. `linger` keeps what leaves until `finish`.
    """

    def __init__(
        self,
        *,
        nodes: Sequence[cluster.Node] = (),
        behave: Callable[[cluster.JsonObject], cluster.JsonObject] = running,
        answer: Callable[[tunnel.Order], str] = lambda _: "",
    ) -> None:
        plenty = {"cpu": "8", "memory": "16Gi", "pods": "110"}
        self.nodes = list(nodes) or [cluster.Node(name="node-a", capacity=plenty, allocatable=plenty)]
        self.behave = behave
        self.answer = answer
        self.version = "memory://1"
        self.lacks: list[cluster.Lack] = []
        self.down = False
        self.linger = False
        self.denied = ""
        self.failures: dict[str, Exception] = {}
        self.calls: list[tuple[str, str]] = []
        self.shares: dict[tuple[str, meta.Key], cluster.Share] = {}
        self.running: dict[meta.Key, Running] = {}
        # Names of Units that objects of somebody else's stand in the way of.
        self.foreign: set[meta.Key] = set()
        self._serial = itertools.count(1)
        self._drivers: list[MemoryDriver] = []

    def driver(self, fleet: str = "fleet") -> "MemoryDriver":
        """What a server of that fleet has of the cluster."""
        made = MemoryDriver(self, fleet)
        self._drivers.append(made)
        return made

    @contextlib.contextmanager
    def cut(self) -> Iterator[None]:
        """It does not answer meanwhile."""
        self.down = True
        self._tell_all()
        try:
            yield
        finally:
            self.down = False
            self._tell_all()

    def kill(self, key: meta.Key) -> None:
        """End an instance, which the cluster makes anew by itself."""
        if (one := self.running.get(key)) is not None:
            self._start(one.fleet, key.namespace, one.instance.unit, key.name, one.order)
            self._tell(meta.Key(key.namespace, one.instance.unit))

    def set_status(self, key: meta.Key, status: cluster.JsonObject) -> None:
        """Make an instance do well or badly."""
        one = self.running[key]
        one.instance = _changed(one.instance, status=status)
        self._tell(meta.Key(key.namespace, one.instance.unit))

    def set_nodes(self, nodes: Sequence[cluster.Node]) -> None:
        """Have other hosts."""
        self.nodes = list(nodes)
        self._tell(None)

    def finish(self) -> None:
        """End what leaves."""
        for key, one in list(self.running.items()):
            if one.instance.leaving:
                del self.running[key]
                self._settle(one.fleet, meta.Key(key.namespace, one.instance.unit))

    def enter(self, method: str, what: str = "") -> None:
        """Begin a call: raises what it is to raise."""
        if self.down:
            raise cluster.Unreachable("cannot reach the cluster: it is cut off")
        if self.denied:
            raise cluster.Denied(self.denied)
        if (failure := self.failures.pop(method, None)) is not None:
            raise failure
        if what:
            self.calls.append((method, what))

    def deliver(self, fleet: str, share: cluster.Share) -> None:
        """Take a share over."""
        others = {other for other, key in self.shares if key == share.key and other != fleet}
        if share.key in self.foreign or others:
            raise cluster.Taken(
                f"{share.unit} in namespace {share.namespace} belongs to somebody else: rename the Unit"
            )
        for order in share.orders.values():
            if order.pod["spec"].get("nodeName"):
                raise cluster.Unsupported("spec.nodeName cannot be set: the cluster chooses its hosts itself")
        self.shares[fleet, share.key] = share
        self._settle(fleet, share.key)

    def withdraw(self, fleet: str, key: meta.Key) -> None:
        """Take everything of a Unit away."""
        if self.shares.pop((fleet, key), None) is not None:
            self._settle(fleet, key)

    def renew(self, fleet: str, key: meta.Key) -> None:
        """Make an instance anew."""
        if (one := self.running.get(key)) is not None and one.fleet == fleet:
            self.kill(key)

    def _settle(self, fleet: str, key: meta.Key) -> None:
        """Make what runs of a Unit what its share says."""
        share = self.shares.get((fleet, key))
        wanted = {} if share is None else {f"{key.name}-{n}": order for n, order in share.orders.items()}
        for found, one in list(self.running.items()):
            if (one.fleet, found.namespace, one.instance.unit) != (fleet, key.namespace, key.name):
                continue
            order = wanted.get(found.name)
            if order is None or order.pod["metadata"]["uid"] != one.instance.uid:
                if self.linger:
                    one.instance = _changed(one.instance, leaving=True)
                else:
                    del self.running[found]
        for name, order in wanted.items():
            known = self.running.get(meta.Key(key.namespace, name))
            if known is None:
                self._start(fleet, key.namespace, key.name, name, order)
            else:
                known.order = order
        self._tell(key)

    def _start(self, fleet: str, namespace: str, unit: str, name: str, order: cluster.Order) -> None:
        status = self.behave(order.pod)
        made = cluster.Instance(
            namespace=namespace,
            unit=unit,
            name=name,
            uid=order.pod["metadata"]["uid"],
            incarnation=f"incarnation-{next(self._serial)}",
            node=self.nodes[0].name if status.get("phase") != "Pending" else "",
            status=status,
        )
        self.running[meta.Key(namespace, name)] = Running(fleet=fleet, instance=made, order=order)

    def _tell(self, key: meta.Key | None) -> None:
        for each in self._drivers:
            each.tell(key)

    def _tell_all(self) -> None:
        for each in self._drivers:
            each.wake()


class MemoryDriver:
    """Implements `ports.cluster.Cluster` on a `MemoryCluster`."""

    def __init__(self, place: MemoryCluster, fleet: str) -> None:
        self._place = place
        self._fleet = fleet
        self._view: list[cluster.Instance] = []
        self._nodes: list[cluster.Node] = []
        self._synced = False
        self._pending: list[meta.Key | None] = []
        self._wakened = asyncio.Event()
        self.closed = False

    async def check(self) -> cluster.Report:
        """What the cluster is set to."""
        self._place.enter("check")
        return cluster.Report(
            version=self._place.version, latency=0.001, nodes=list(self._place.nodes), lacks=list(self._place.lacks)
        )

    async def run(self, changed: Callable[[meta.Key | None], None]) -> None:
        """Follow the cluster; raises Unreachable when it is cut off."""
        self._pending.clear()
        try:
            self._place.enter("run")
            self._look()
            self._synced = True
            changed(None)
            for key in {meta.Key(each.namespace, each.unit) for each in self._view}:
                changed(key)
            while True:
                await self._wakened.wait()
                self._wakened.clear()
                self._place.enter("run")
                self._look()
                pending, self._pending = self._pending, []
                for each in dict.fromkeys(pending):
                    changed(each)
        finally:
            self._synced = False

    @property
    def synced(self) -> bool:
        """Whether `run` follows."""
        return self._synced and not self._place.down

    def instances(self, key: meta.Key | None = None) -> Sequence[cluster.Instance]:
        """As last seen."""
        return [each for each in self._view if key is None or meta.Key(each.namespace, each.unit) == key]

    def nodes(self) -> Sequence[cluster.Node]:
        """As last seen."""
        return list(self._nodes)

    async def deliver(self, share: cluster.Share) -> None:
        """Make the share's instances run."""
        self._place.enter("deliver", f"{share.namespace}/{share.unit}")
        self._place.deliver(self._fleet, share)

    async def withdraw(self, key: meta.Key) -> None:
        """Forget the Unit."""
        self._place.enter("withdraw", f"{key.namespace}/{key.name}")
        self._place.withdraw(self._fleet, key)

    async def renew(self, namespace: str, name: str) -> None:
        """Make one anew."""
        self._place.enter("renew", f"{namespace}/{name}")
        self._place.renew(self._fleet, meta.Key(namespace, name))

    async def stream(self, order: tunnel.Order, channels: streams.Channels) -> bytes:
        """Say what `answer` gives."""
        self._place.enter("stream")
        if not isinstance(order, tunnel.UsageOrder):
            one = self._place.running.get(meta.Key(order.namespace, order.pod))
            if one is None or one.instance.uid != order.uid:
                raise streams.Refusal(f"pod {order.pod} is not there", code=404, reason="NotFound")
        await channels.send(tunnel.Channel.STDOUT, b"")
        if said := self._place.answer(order):
            await channels.send(tunnel.Channel.STDOUT, said.encode())
        return tunnel.success()

    async def usage(self, node: str) -> tunnel.UsageReport:
        """Nothing uses anything."""
        self._place.enter("usage")
        return tunnel.UsageReport(at=0.0, seconds=15.0, cpu=0.0, memory=0, containers=[])

    async def close(self) -> None:
        """Remember it in `closed`."""
        self.closed = True

    def tell(self, key: meta.Key | None) -> None:
        """Something changed."""
        self._pending.append(key)
        self._wakened.set()

    def wake(self) -> None:
        """Look whether the cluster is still there."""
        self._wakened.set()

    def _look(self) -> None:
        self._nodes = list(self._place.nodes)
        self._view = [one.instance for one in self._place.running.values() if one.fleet == self._fleet]


def _changed(instance: cluster.Instance, **fields: Any) -> cluster.Instance:
    return msgspec.structs.replace(instance, **fields)
