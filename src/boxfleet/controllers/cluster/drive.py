"""Step 2: the loops of one cluster."""

import asyncio
from collections.abc import Callable

import msgspec
import structlog

from boxfleet.api import cluster, labels, meta
from boxfleet.client import client, errors, loop
from boxfleet.client import events as recorders
from boxfleet.controllers import settings
from boxfleet.controllers.cluster import deliver, hosts, mirror, part, report
from boxfleet.kit import backoff, clock
from boxfleet.ports import cluster as ports

log = structlog.get_logger()

# Seconds that one call of the driver for one share may take: a cluster that hangs must not hold its queue for ever.
_CALL_LIMIT = 60.0
_WORKERS = 4


class Drive:
    """Drives one joined cluster until cancelled; the driver is closed by whoever made it."""

    def __init__(
        self,
        name: str,
        driver: ports.Cluster,
        *,
        api: client.Client,
        mine: part.Part,
        find: Callable[[str], cluster.Cluster | None],
        events: recorders.Recorder,
        clock: clock.Clock,
        settings: settings.Settings,
    ) -> None:
        self.name = name
        self._settings = settings
        self._driver = driver
        self._api = api
        self._part = mine
        self._find = find
        self._clock = clock
        self._backoff = backoff.Backoff(initial=0.5, limit=15.0)
        self._deliver = deliver.Deliver(api, mine, driver, events=events, clock=clock)
        self._mirror = mirror.Mirror(
            api,
            mine,
            driver,
            missing=lambda key: self._delivering.add(key),
            is_lost=lambda: self._is_lost,
            events=events,
            clock=clock,
        )
        self._hosts = hosts.Hosts(api, name, clock=clock)
        self._delivering: loop.Loop[meta.Key] = loop.Loop(f"delivery to {name}", self._one_share, workers=_WORKERS)
        self._mirroring: loop.Loop[meta.Key] = loop.Loop(f"mirror of {name}", self._mirror.reconcile, workers=_WORKERS)
        self._hosting: loop.Loop[str] = loop.Loop(f"hosts of {name}", self._all_hosts, workers=1)
        self._looking: loop.Loop[str] = loop.Loop(f"status of {name}", self._look, workers=1)
        # Why the view was lost, and when the cluster was last heard of, by our own clock.
        self._fault: ports.ClusterFault | None = None
        self._heard = clock.monotonic()
        self._synced = False

    async def run(self) -> None:
        """Drive until cancelled."""
        self._looking.add("")
        async with asyncio.TaskGroup() as group:
            group.create_task(self._view(), name=f"view of {self.name}")
            for each in (self._delivering, self._mirroring, self._hosting, self._looking):
                group.create_task(each.run(), name=each.name)

    def share_changed(self, key: meta.Key) -> None:
        """A Placement, a Pod or something that a Pod refers to changed."""
        self._delivering.add(key)
        self._mirroring.add(key)

    def pod_gone(self, uid: str) -> None:
        """A Pod is not there any more."""
        self._deliver.forget(uid)
        self._mirror.forget(uid)

    @property
    def _is_lost(self) -> bool:
        return self._clock.monotonic() - self._heard > self._settings.cluster_silence

    async def _view(self) -> None:
        failures = 0
        while True:
            began = self._clock.monotonic()
            try:
                await self._driver.run(self._seen)
            except ports.ClusterFault as fault:
                self._lost(fault)
            except Exception as error:
                log.exception("the view of a cluster failed", cluster=self.name)
                self._lost(ports.ClusterFault(f"the driver failed: {error!r}"))
            failures = 1 if self._clock.monotonic() - began > self._backoff.limit else failures + 1
            await self._clock.sleep(self._backoff.delay(failures=failures))

    def _seen(self, key: meta.Key | None) -> None:
        self._heard = self._clock.monotonic()
        if self._fault is not None or (self._driver.synced and not self._synced):
            self._fault = None
            self._looking.add("")
            self._hosting.add("")
            there = {meta.Key(each.namespace, each.unit) for each in self._driver.instances()}
            for unit in there | {part.unit_key(share) for share in self._part.shares()}:
                self.share_changed(unit)
        self._synced = self._driver.synced
        if key is None:
            self._hosting.add("")
        else:
            self.share_changed(key)

    def _lost(self, fault: ports.ClusterFault) -> None:
        if self._fault is None:
            log.warning("a cluster is not seen any more", cluster=self.name, cause=str(fault))
        self._fault = fault
        self._synced = False
        self._looking.add("")

    async def _one_share(self, key: meta.Key) -> float | None:
        try:
            async with asyncio.timeout(_CALL_LIMIT):
                return await self._deliver.reconcile(key)
        except TimeoutError:
            log.warning("a cluster took too long for a share", cluster=self.name, unit=str(key))
            return self._settings.cluster_look
        except ports.ClusterFault as fault:
            # Its status tells, once for all shares.
            log.info("not delivered now", cluster=self.name, unit=str(key), cause=str(fault))
            self._looking.add("")
            return self._settings.cluster_look

    async def _all_hosts(self, _: str) -> None:
        if not self._driver.synced:
            return
        wanted = {hosts.name_of(self.name, each.name): each for each in self._driver.nodes()}
        await self._hosts.put(wanted, known=self._part.nodes(), reachable=True)

    async def _look(self, _: str) -> float:
        subject = self._find(self.name)
        if subject is None:
            return self._settings.cluster_look
        looked, fault = None, self._fault
        try:
            async with asyncio.timeout(self._settings.cluster_look):
                looked = await self._driver.check()
            self._heard = self._clock.monotonic()
        except TimeoutError:
            fault = ports.Unreachable(f"no answer within {self._settings.cluster_look:.0f} s")
        except ports.ClusterFault as found:
            fault = found
        if labels.CLUSTER_FINALIZER not in subject.metadata.finalizers and not subject.metadata.deletionTimestamp:
            change = {"metadata": {"finalizers": [*subject.metadata.finalizers, labels.CLUSTER_FINALIZER],
                                   "resourceVersion": subject.metadata.resourceVersion}}  # fmt: skip
            await self._api.patch(cluster.Cluster, self.name, change)
            return 0.1
        status = report.status_of(
            subject,
            looked=looked,
            fault=fault,
            hosts=self._driver.nodes(),
            pods=self._part.all_pods(),
            now=clock.stamp(self._clock.now()),
        )
        if report.is_worth_writing(subject.status, status):
            try:
                await self._api.replace(msgspec.structs.replace(subject, status=status), subresource="status")
            except (errors.NotFound, errors.Conflict):
                return 1.0
        if self._is_lost:
            await self._mirror.say_unreachable()
            known = self._part.nodes()
            lost = {hosts.name_of(self.name, each.name): each for each in self._driver.nodes()}
            await self._hosts.put(lost, known={name: known[name] for name in lost if name in known}, reachable=False)
        return self._settings.cluster_look
