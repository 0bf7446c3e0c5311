"""Step 1: a drive for every NodePool, and one decision for all."""

import asyncio
import base64
import dataclasses
from collections.abc import Mapping

import structlog

from boxfleet.api import cluster, config, disruption_budget, labels, meta, namespace, node, node_pool, pod
from boxfleet.client import client, errors, loop
from boxfleet.client import events as recorders
from boxfleet.controllers import caches, settings
from boxfleet.controllers.node_pool import begin, decide, drive, facts, joining, leave, ledger, strays
from boxfleet.kit import clock, ids, supervise
from boxfleet.planning import node_health
from boxfleet.ports import provider as ports

log = structlog.get_logger()

# Seconds after which a pool that could not be connected is looked at again, and its Secret for changes.
_AGAIN = 15.0
# Seconds that changes are gathered before it is decided.
_GATHER = 0.3
_ALL = "all pools"
_SYSTEM = "kube-system"


@dataclasses.dataclass(slots=True)
class _Running:
    # What it was connected by.
    basis: str
    drive: drive.Drive
    task: asyncio.Task[None]


class NodePoolController:
    """Keeps a Drive per NodePool, by what `connectors` know of its provider's type."""

    def __init__(
        self,
        api: client.Client,
        indexed: caches.Indexed,
        *,
        connectors: Mapping[node_pool.ProviderType, joining.Connect],
        joins: joining.Joins | None,
        events: recorders.Recorder,
        clock: clock.Clock,
        settings: settings.Settings,
    ) -> None:
        """Without `joins` no machine could join: then nothing is done."""
        shared = indexed.shared
        self._api = api
        self._connectors = connectors
        self._joins = joins
        self._events = events
        self._clock = clock
        self._settings = settings
        self._indexed = indexed
        self._pools = shared.of(node_pool.NodePool)
        self._nodes = shared.of(node.Node)
        self._running: dict[str, _Running] = {}
        self._group: asyncio.TaskGroup | None = None
        self._fleet = ""
        self._ledger = ledger.Ledger(api, self._pools, self._nodes, clock=clock)
        self._decider = decide.Decider(
            facts.Facts(indexed, shared, self._ledger, cluster=settings.cluster, clock=clock),
            self._ledger,
            events=events,
            wake=self._wake,
            taken=self._is_taken,
        )
        self._loop: loop.Loop[str] = loop.Loop("node pools", self.reconcile)
        self._decisions: loop.Loop[str] = loop.Loop("decisions about node pools", self._decide, workers=1, slowest=10.0)
        self._pools.listen(self._pool_changed)
        self._nodes.listen(self._node_changed)
        indexed.pods.listen(self._pod_changed)
        shared.of(disruption_budget.PodDisruptionBudget)

    async def run(self) -> None:
        """Look after all pools until cancelled."""
        for each in self._pools:
            self._loop.add(each.metadata.name)
        self._decisions.add(_ALL)
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(self._loop.run())
                group.create_task(self._decisions.run())
        finally:
            self._group = None
            for one in self._running.values():
                await one.drive.close()
            self._running.clear()

    async def reconcile(self, name: str) -> float | None:
        """Connect, connect anew or let go of one pool."""
        subject = self._ledger.pool(name)
        connect = self._connectors.get(subject.spec.provider.type) if subject is not None else None
        if subject is None or connect is None or self._joins is None:
            await self._stop(name)
            return None
        if subject.metadata.deletionTimestamp:
            if not subject.status.machines and await self._finished(subject):
                await self._stop(name)
                return None
            await self._dismiss_all(subject)
        elif labels.NODE_POOL_FINALIZER not in subject.metadata.finalizers:
            # Before the first machine: who deletes the pool then waits for its machines.
            finalizers = [*subject.metadata.finalizers, labels.NODE_POOL_FINALIZER]
            change = {"metadata": {"finalizers": finalizers, "resourceVersion": subject.metadata.resourceVersion}}
            await self._api.patch(node_pool.NodePool, name, change)
            return 0.0
        try:
            secret = await self._secret(subject)
            basis = ids.fingerprint(
                [subject.metadata.uid, meta.to_dict(subject.spec.provider), dict(secret)], length=32
            )
            known = self._running.get(name)
            if known is None or known.basis != basis or known.task.done():
                await self._stop(name)
                self._start(subject, connect(subject, secret, await self._mark()), basis=basis)
        except ports.ProviderFault as fault:
            self._ledger.faults[name] = fault
            await self._ledger.change(name, lambda status: None)
        return _AGAIN

    async def _decide(self, _: str) -> float | None:
        return await self._decider.decide() if self._joins is not None else None

    def _start(self, subject: node_pool.NodePool, provider: ports.Provider, *, basis: str) -> None:
        if self._group is None or self._joins is None:
            raise RuntimeError("not running")
        name = subject.metadata.name
        first = begin.Begin(
            self._api, self._ledger, self._nodes, joins=self._joins, events=self._events, clock=self._clock
        )
        one = drive.Drive(
            name,
            provider,
            ledger=self._ledger,
            begin=first,
            leave=leave.Leave(self._api, self._ledger, self._indexed, self._nodes, begin=first, events=self._events),
            strays=strays.Strays(self._api, self._ledger, name, events=self._events),
            look=self._settings.node_pool_look,
        )
        run = supervise.keep_running(f"node pool {name}", one.run, clock=self._clock)
        self._running[name] = _Running(basis, one, self._group.create_task(run, name=f"node pool {name}"))
        log.info("driving a node pool", pool=name, provider=subject.spec.provider.type.value)

    async def _stop(self, name: str) -> None:
        known = self._running.pop(name, None)
        self._ledger.faults.pop(name, None)
        if known is None:
            return
        known.task.cancel()
        await asyncio.wait([known.task])
        await known.drive.close()

    async def _secret(self, subject: node_pool.NodePool) -> Mapping[str, str]:
        name = subject.spec.provider.secret
        if not name:
            return {}
        found = await self._api.find(config.Secret, name, namespace=cluster.NAMESPACE)
        if found is None:
            raise ports.Refused(f"Secret {name} for its provider is not there in Namespace {cluster.NAMESPACE}")
        try:
            return {key: base64.b64decode(text).decode() for key, text in found.data.items()}
        except ValueError:
            raise ports.Refused(f"Secret {name} for its provider holds what is no text") from None

    async def _mark(self) -> str:
        """What tells this fleet's machines from others': the same for as long as its objects live."""
        if not self._fleet:
            self._fleet = (await self._api.get(namespace.Namespace, _SYSTEM)).metadata.uid
        return self._fleet

    async def _dismiss_all(self, subject: node_pool.NodePool) -> None:
        """Of a pool that goes every host leaves; machines that are no hosts yet see to it themselves."""
        for one in subject.status.machines:
            if one.phase is node_pool.Phase.READY:
                await self._ledger.change_machine(
                    subject.metadata.name, one.name, node_pool.Phase.DRAINING, message="its pool is deleted"
                )
            self._wake(subject.metadata.name, one.name)

    async def _finished(self, subject: node_pool.NodePool) -> bool:
        """Let a pool without machines go."""
        kept = [each for each in subject.metadata.finalizers if each != labels.NODE_POOL_FINALIZER]
        change = {"metadata": {"finalizers": kept, "resourceVersion": subject.metadata.resourceVersion}}
        try:
            await self._api.patch(node_pool.NodePool, subject.metadata.name, change)
        except errors.NotFound:
            return True
        return True

    def _wake(self, pool: str, machine: str) -> None:
        known = self._running.get(pool)
        if known is not None:
            known.drive.wake(machine)

    def _is_taken(self, name: str) -> bool:
        return self._nodes.find(name) is not None

    def _soon(self) -> None:
        if len(self._pools):
            self._decisions.add_after(_ALL, _GATHER)

    def _pool_changed(self, old: node_pool.NodePool | None, new: node_pool.NodePool | None) -> None:
        subject = new or old
        if subject is None:
            return
        name = subject.metadata.name
        if old is None or new is None or _essence(old) != _essence(new):
            self._loop.add(name)
        for one in new.status.machines if new is not None and old is not None else ():
            if one.phase not in {each.phase for each in old.status.machines if each.name == one.name}:  # type: ignore[union-attr]
                self._wake(name, one.name)
        self._soon()

    def _node_changed(self, old: node.Node | None, new: node.Node | None) -> None:
        subject = new or old
        if subject is None or (old is not None and new is not None and _state(old) == _state(new)):
            return
        pool = subject.metadata.labels.get(labels.NODE_POOL, "")
        if pool:
            self._wake(pool, subject.metadata.name)
        self._soon()

    def _pod_changed(self, old: pod.Pod | None, new: pod.Pod | None) -> None:
        if old is None or new is None or _seat(old) != _seat(new):
            self._soon()


def _essence(subject: node_pool.NodePool) -> object:
    metadata = subject.metadata
    empty = bool(metadata.deletionTimestamp) and not subject.status.machines
    return metadata.uid, subject.spec, bool(metadata.deletionTimestamp), metadata.finalizers, empty


def _state(subject: node.Node) -> object:
    return node_health.is_ready(subject), subject.spec, subject.metadata.labels, subject.status.allocatable


def _seat(subject: pod.Pod) -> object:
    said = meta.find_condition(subject.status.conditions, "PodScheduled")
    reason = said.reason if said is not None else ""
    return subject.spec.nodeName, bool(subject.metadata.deletionTimestamp), subject.status.has_ended, reason
