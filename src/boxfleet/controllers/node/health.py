"""Step 1: whether a node is alive."""

import asyncio
from typing import Any

import msgspec
import structlog

from boxfleet.api import labels, lease, meta, node
from boxfleet.client import client, errors, loop
from boxfleet.client import events as recorders
from boxfleet.controllers import caches, settings
from boxfleet.controllers.node import takeover
from boxfleet.kit import clock
from boxfleet.planning import instances, node_health

log = structlog.get_logger()

# Seconds between turns of this process' own clock, and by how much one may be late.
_TURN = 0.5
_STILL = 2.0
# Seconds between looks at a node that is well.
_LOOK = 5.0


class Health:
    """Watches Leases and says of silent nodes that they are lost."""

    def __init__(
        self,
        api: client.Client,
        indexed: caches.Indexed,
        *,
        events: recorders.Recorder,
        clock: clock.Clock,
        settings: settings.Settings,
    ) -> None:
        self._api = api
        self._events = events
        self._clock = clock
        self._grace = settings.lease_grace
        self._takeover = takeover.Takeover(api, indexed, events=events, clock=clock, settings=settings)
        self._pods = indexed.pods
        self._nodes = indexed.shared.of(node.Node)
        # When a node was last heard of, by our own clock.
        self._heard: dict[str, float] = {}
        # Those that this process has heard of itself.
        self._renewed: set[str] = set()
        self._turned = clock.monotonic()
        self._loop: loop.Loop[str] = loop.Loop("node health", self.reconcile)
        self._nodes.listen(self._node_changed)
        indexed.shared.of(lease.Lease).listen(self._lease_changed)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._loop.run())
            group.create_task(self._turn())

    async def _turn(self) -> None:
        """Notice when this process stood still: others were not silent then, they were not listened to."""
        while True:
            now = self._clock.monotonic()
            if now - self._turned > _TURN + _STILL:
                log.warning("this process stood still: all nodes are listened to anew", seconds=now - self._turned)
                self._heard = dict.fromkeys(self._heard, now)
            self._turned = now
            await self._clock.sleep(_TURN)

    async def reconcile(self, name: str) -> float | None:
        """Look at one node; gives seconds until it counts as lost unless it is heard of."""
        subject = self._nodes.find(name)
        if subject is None or labels.MIRRORED in subject.metadata.labels:
            # Of the hosts of others their own cluster tells.
            self._heard.pop(name, None)
            self._renewed.discard(name)
            return None
        silent = self._silent(name)
        if silent > _STILL and self._clock.monotonic() - self._turned > _TURN + _STILL:
            return _TURN
        grace = self._takeover.grace(name, self._grace)
        # What an earlier server decided holds until the host is heard of.
        lost = silent >= grace or (name not in self._renewed and self._takeover.is_decided(name))
        now = clock.stamp(self._clock.now())
        if lost and node_health.ready_status(subject) != node_health.UNKNOWN:
            await self._say_lost(subject, silent=silent, now=now)
        taints = node_health.wanted_taints(subject, lost=lost, now=now)
        if taints != subject.spec.taints:
            change: dict[str, Any] = {
                "metadata": {"resourceVersion": subject.metadata.resourceVersion},
                "spec": {"taints": msgspec.to_builtins(taints) or None},
            }
            # After the status was written the cache is behind: the change that comes back leads here again.
            if not lost or node_health.ready_status(subject) == node_health.UNKNOWN:
                await self._api.patch(node.Node, name, change)
        if lost:
            wait = await self._lost(subject)
            await self._pods_not_ready(name, now=now)
            return wait
        if name in self._renewed:
            others = any(self._is_alive(each) for each in self._nodes if each is not subject)
            await self._takeover.heard(name, others=others)
        return min(grace - silent, _LOOK)

    async def _lost(self, subject: node.Node) -> float | None:
        """Take over what may be, once nothing new comes to the node any more."""
        if any(each.key == labels.TAINT_UNREACHABLE for each in subject.spec.taints):
            hosts = [each for each in self._nodes if not each.metadata.deletionTimestamp]
            alive = sum(1 for each in hosts if self._is_alive(each))
            return await self._takeover.lost(subject, alive=alive, hosts=len(hosts))
        # The change of the node leads here again.
        return _TURN

    def _silent(self, name: str) -> float:
        now = self._clock.monotonic()
        return now - self._heard.setdefault(name, now)

    def _is_alive(self, subject: node.Node) -> bool:
        """Whether a node renews as it should, and could take instances."""
        name = subject.metadata.name
        # Half of the time of those that renew often: of hosts that are lost at once none may count for another.
        grace = self._takeover.grace(name, self._grace)
        enough = grace / 2 if grace < self._grace else grace
        return node_health.is_ready(subject) and not self._takeover.is_decided(name) and self._silent(name) < enough

    async def _say_lost(self, subject: node.Node, *, silent: float, now: str) -> None:
        ready = meta.find_condition(subject.status.conditions, "Ready")
        since = (ready.lastHeartbeatTime if ready is not None else "") or now
        condition = node_health.lost_condition(silent=silent, now=now, since=since)
        change = {
            "metadata": {"resourceVersion": subject.metadata.resourceVersion},
            "status": {"conditions": [msgspec.to_builtins(condition)]},
        }
        await self._api.patch(node.Node, subject.metadata.name, change, subresource="status", type="strategic")
        self._events.warning(subject, "NodeNotReady", condition.message)

    async def _pods_not_ready(self, name: str, *, now: str) -> None:
        condition = node_health.lost_pod_condition(node_name=name, now=now)
        for each in list(self._pods):
            if each.spec.nodeName != name or not instances.is_ready(each):
                continue
            try:
                await self._api.put_condition(each, condition)
            except errors.NotFound:
                continue

    def _node_changed(self, old: node.Node | None, new: node.Node | None) -> None:
        if new is not None:
            self._loop.add(new.metadata.name)
        if old is None or new is None or node_health.is_ready(old) != node_health.is_ready(new):
            # Whether others could take its instances is another question now.
            for each in self._nodes:
                self._loop.add(each.metadata.name)

    def _lease_changed(self, old: lease.Lease | None, new: lease.Lease | None) -> None:
        if new is None or new.metadata.namespace != labels.LEASE_NAMESPACE:
            return
        name = new.metadata.name
        if old is None:
            # What was there at the start may be old: the node has the whole grace to be heard of.
            self._heard.setdefault(name, self._clock.monotonic())
        elif old.spec.renewTime != new.spec.renewTime:
            self._heard[name] = self._clock.monotonic()
            if name not in self._renewed:
                self._renewed.add(name)
                self._loop.add(name)
        else:
            return
        subject = self._nodes.find(name)
        if subject is not None and (
            any(each.key == labels.TAINT_UNREACHABLE for each in subject.spec.taints) or self._takeover.is_decided(name)
        ):
            self._loop.add(name)
