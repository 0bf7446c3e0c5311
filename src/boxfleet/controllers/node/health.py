"""Step 1: whether a node is alive."""

from typing import Any

import msgspec

from boxfleet.api import labels, lease, meta, node
from boxfleet.client import client, errors, loop
from boxfleet.client import events as recorders
from boxfleet.controllers import caches, settings
from boxfleet.kit import clock
from boxfleet.planning import instances, node_health


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
        self._pods = indexed.pods
        self._nodes = indexed.shared.of(node.Node)
        # When a node was last heard of, by our own clock.
        self._heard: dict[str, float] = {}
        self._loop: loop.Loop[str] = loop.Loop("node health", self.reconcile)
        self.run = self._loop.run
        self._nodes.listen(self._node_changed)
        indexed.shared.of(lease.Lease).listen(self._lease_changed)

    async def reconcile(self, name: str) -> float | None:
        """Look at one node; gives seconds until it counts as lost unless it is heard of."""
        subject = self._nodes.find(name)
        if subject is None or labels.MIRRORED in subject.metadata.labels:
            # Of the hosts of others their own cluster tells.
            self._heard.pop(name, None)
            return None
        silent = self._clock.monotonic() - self._heard.setdefault(name, self._clock.monotonic())
        lost = silent >= self._grace
        now = clock.stamp(self._clock.now())
        if lost and node_health.ready_status(subject) != node_health.UNKNOWN:
            await self._say_lost(subject, silent=silent, now=now)
        if lost:
            await self._pods_not_ready(name, now=now)
        taints = node_health.wanted_taints(subject, lost=lost, now=now)
        if taints != subject.spec.taints:
            change: dict[str, Any] = {
                "metadata": {"resourceVersion": subject.metadata.resourceVersion},
                "spec": {"taints": msgspec.to_builtins(taints) or None},
            }
            # After the status was written the cache is behind: the change that comes back leads here again.
            if not lost or node_health.ready_status(subject) == node_health.UNKNOWN:
                await self._api.patch(node.Node, name, change)
        return None if lost else self._grace - silent

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

    def _lease_changed(self, old: lease.Lease | None, new: lease.Lease | None) -> None:
        if new is None or new.metadata.namespace != labels.LEASE_NAMESPACE:
            return
        name = new.metadata.name
        if old is None:
            # What was there at the start may be old: the node has the whole grace to be heard of.
            self._heard.setdefault(name, self._clock.monotonic())
        elif old.spec.renewTime != new.spec.renewTime:
            self._heard[name] = self._clock.monotonic()
        else:
            return
        subject = self._nodes.find(name)
        if subject is not None and any(each.key == labels.TAINT_UNREACHABLE for each in subject.spec.taints):
            self._loop.add(name)
