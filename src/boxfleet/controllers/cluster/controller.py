"""Step 1: a drive for every Cluster that somebody else runs."""

import asyncio
import dataclasses
from collections.abc import Callable, Mapping

import structlog

from boxfleet.api import cluster, config, labels, meta, placement, pod
from boxfleet.client import client, errors, loop
from boxfleet.client import events as recorders
from boxfleet.controllers import caches, settings
from boxfleet.controllers.cluster import drive, hosts, part
from boxfleet.kit import clock, ids, supervise
from boxfleet.planning import pod_volumes
from boxfleet.ports import cluster as ports

log = structlog.get_logger()

# Makes a driver from a Cluster and the data of its Secret; raises ClusterFault when they cannot be used.
Connect = Callable[[cluster.Cluster, Mapping[str, bytes]], ports.Cluster]

# Seconds after which what could not be connected is tried again.
_AGAIN = 15.0
# Seconds between looks at a Cluster that is being given up.
_SOON = 0.5


@dataclasses.dataclass(slots=True)
class _Running:
    # What it was connected by.
    basis: str
    drive: drive.Drive
    driver: ports.Cluster
    task: asyncio.Task[None]


class ClusterController:
    """Keeps a Drive per Cluster, by what `connectors` know of its type."""

    def __init__(
        self,
        api: client.Client,
        indexed: caches.Indexed,
        *,
        connectors: Mapping[cluster.ClusterType, Connect],
        events: recorders.Recorder,
        clock: clock.Clock,
        settings: settings.Settings,
    ) -> None:
        self._api = api
        self._indexed = indexed
        self._connectors = connectors
        self._events = events
        self._clock = clock
        self._settings = settings
        self._clusters = indexed.shared.of(cluster.Cluster)
        self._running: dict[str, _Running] = {}
        self._group: asyncio.TaskGroup | None = None
        self._loop: loop.Loop[str] = loop.Loop("clusters", self.reconcile)
        self._clusters.listen(self._cluster_changed)
        indexed.placements.listen(self._placement_changed)
        indexed.pods.listen(self._pod_changed)
        indexed.files.listen(self._files_changed)

    async def run(self) -> None:
        """Drive all until cancelled."""
        for each in self._clusters:
            self._loop.add(each.metadata.name)
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(self._loop.run())
        finally:
            self._group = None
            for one in self._running.values():
                await one.driver.close()
            self._running.clear()

    async def reconcile(self, name: str) -> float | None:
        """Connect, connect anew or let go of one Cluster."""
        subject = self._clusters.find(name)
        connect = self._connectors.get(subject.spec.type) if subject is not None else None
        if subject is None or connect is None:
            await self._stop(name)
            return None
        if subject.metadata.deletionTimestamp:
            released = subject.spec.onDelete is cluster.OnDelete.RELEASE
            if released:
                # Nothing is taken away there any more.
                await self._stop(name)
                await self._release(subject)
            if await self._finished(subject):
                await self._stop(name)
                return None
            if released:
                return _SOON
        try:
            keys = await self._keys(subject)
            basis = ids.fingerprint([meta.to_dict(subject.spec), subject.metadata.uid, dict(keys)], length=32)
            known = self._running.get(name)
            if known is not None and known.basis == basis and not known.task.done():
                # Keys are renewed by their owner without a word to us.
                return _AGAIN
            await self._stop(name)
            driver = connect(subject, keys)
        except ports.ClusterFault as fault:
            await self._say(subject, fault)
            return _AGAIN
        self._start(subject, driver, basis=basis)
        return _AGAIN

    def driver(self, name: str) -> ports.Cluster | None:
        """The driver of a Cluster while it is connected."""
        found = self._running.get(name)
        return found.driver if found is not None else None

    def _start(self, subject: cluster.Cluster, driver: ports.Cluster, *, basis: str) -> None:
        name = subject.metadata.name
        if self._group is None:
            raise RuntimeError("not running")
        mine = part.Part(name, self._indexed)
        one = drive.Drive(
            name,
            driver,
            api=self._api,
            mine=mine,
            find=self._clusters.find,
            events=self._events,
            clock=self._clock,
            settings=self._settings,
        )
        run = supervise.keep_running(f"cluster {name}", one.run, clock=self._clock)
        task = self._group.create_task(run, name=f"cluster {name}")
        self._running[name] = _Running(basis, one, driver, task)
        log.info("driving a cluster", cluster=name, type=subject.spec.type.value)

    async def _stop(self, name: str) -> None:
        known = self._running.pop(name, None)
        if known is None:
            return
        known.task.cancel()
        await asyncio.wait([known.task])
        await known.driver.close()

    async def _keys(self, subject: cluster.Cluster) -> Mapping[str, bytes]:
        if subject.spec.credentials is None:
            return {}
        name = subject.spec.credentials.secret
        found = await self._api.find(config.Secret, name, namespace=cluster.NAMESPACE)
        if found is None:
            raise ports.Denied(f"Secret {name} with its keys is not there in Namespace {cluster.NAMESPACE}: create it")
        return pod_volumes.secret_data(found)

    async def _say(self, subject: cluster.Cluster, fault: ports.ClusterFault) -> None:
        """Tell that it cannot even be connected."""
        old = meta.find_condition(subject.status.conditions, "Ready")
        if old is not None and (old.status, old.message) == ("False", str(fault)):
            return
        condition = meta.Condition(
            type="Ready",
            status="False",
            reason=type(fault).__name__,
            message=str(fault),
            lastTransitionTime=clock.stamp(self._clock.now()),
        )
        change = {
            "status": {
                "observedGeneration": subject.metadata.generation,
                "conditions": [meta.to_dict(condition)],
            }
        }
        await self._api.patch(cluster.Cluster, subject.metadata.name, change, subresource="status")

    async def _finished(self, subject: cluster.Cluster) -> bool:
        """Whether nothing is left of a Cluster that is being deleted; then it may go."""
        mine = part.Part(subject.metadata.name, self._indexed)
        if mine.shares() or mine.all_pods():
            return False
        await hosts.Hosts(self._api, subject.metadata.name, clock=self._clock).put(
            {}, known=mine.nodes(), reachable=True
        )
        kept = [each for each in subject.metadata.finalizers if each != labels.CLUSTER_FINALIZER]
        change = {"metadata": {"finalizers": kept, "resourceVersion": subject.metadata.resourceVersion}}
        try:
            await self._api.patch(cluster.Cluster, subject.metadata.name, change)
        except errors.NotFound:
            return True
        return True

    async def _release(self, subject: cluster.Cluster) -> None:
        """Leave what runs there alone: its Placements and Pods go without taking it with them."""
        mine = part.Part(subject.metadata.name, self._indexed)
        for each in mine.shares():
            kept = [one for one in each.metadata.finalizers if one != labels.CLUSTER_FINALIZER]
            change = {"metadata": {"finalizers": kept, "uid": each.metadata.uid}}
            metadata = each.metadata
            try:
                await self._api.patch(placement.Placement, metadata.name, change, namespace=metadata.namespace)
            except errors.NotFound:
                continue
        for one in mine.all_pods():
            if mine.keeps(one):
                # Nobody else has taken it yet.
                continue
            try:
                await self._api.delete(
                    pod.Pod,
                    one.metadata.name,
                    namespace=one.metadata.namespace,
                    uid=one.metadata.uid,
                    grace_seconds=0,
                )
            except (errors.NotFound, errors.Conflict):
                continue

    def _cluster_changed(self, old: cluster.Cluster | None, new: cluster.Cluster | None) -> None:
        subject = new or old
        if subject is not None and (old is None or new is None or _access(old) != _access(new)):
            self._loop.add(subject.metadata.name)

    def _placement_changed(self, old: placement.Placement | None, new: placement.Placement | None) -> None:
        subject = new or old
        if subject is None:
            return
        known = self._running.get(subject.spec.cluster)
        if known is not None and (old is None or new is None or _essence(old) != _essence(new)):
            known.drive.share_changed(part.unit_key(subject))
        cluster_ = self._clusters.find(subject.spec.cluster)
        if new is None and cluster_ is not None and cluster_.metadata.deletionTimestamp:
            self._loop.add(subject.spec.cluster)

    def _pod_changed(self, old: pod.Pod | None, new: pod.Pod | None) -> None:
        subject = new or old
        if subject is None or (known := self._running.get(subject.metadata.labels.get(labels.CLUSTER, ""))) is None:
            return
        if new is None:
            known.drive.pod_gone(subject.metadata.uid)
        if old is None or new is None or _order(old) != _order(new):
            unit = subject.metadata.labels.get(labels.UNIT, "")
            known.drive.share_changed(meta.Key(subject.metadata.namespace, unit))

    def _files_changed(self, old: config.ConfigMap | None, new: config.ConfigMap | None) -> None:
        subject = new or old
        if subject is None or (old is not None and new is not None and old.data == new.data):
            return
        key = meta.Key(subject.metadata.namespace, subject.metadata.labels.get(labels.UNIT, ""))
        for known in self._running.values():
            known.drive.share_changed(key)


def _access(subject: cluster.Cluster) -> object:
    return subject.metadata.uid, subject.spec, bool(subject.metadata.deletionTimestamp)


def _essence(subject: placement.Placement) -> object:
    return subject.metadata.uid, subject.spec, bool(subject.metadata.deletionTimestamp), subject.metadata.finalizers


def _order(subject: pod.Pod) -> object:
    """What of a Pod matters to its delivery; its status is our own writing."""
    metadata = subject.metadata
    return metadata.uid, metadata.deletionTimestamp, metadata.labels, metadata.annotations, subject.spec.nodeName
