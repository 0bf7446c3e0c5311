"""Step 4: instances of lost hosts are made elsewhere, when that is safe: docs/adr/0013 says why it is."""

from typing import Any

from boxfleet.api import labels, lease, meta, node, pod
from boxfleet.client import client, errors
from boxfleet.client import events as recorders
from boxfleet.controllers import caches, settings
from boxfleet.kit import clock
from boxfleet.planning import takeover

# Seconds until a lost host is looked at again, while something of it is left to do.
_AGAIN = 1.0
_STAYS = "boxfleet.dev/TakenOver"


class Takeover:
    """What `health` knows of a host's silence, brought to an end."""

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
        self._on = settings.takeover
        self._after = settings.takeover_after
        self._pods = indexed.pods
        self._leases = indexed.shared.of(lease.Lease)
        self._told: set[str] = set()

    def _lease(self, name: str) -> lease.Lease | None:
        """The node's Lease."""
        return self._leases.find(name, namespace=labels.LEASE_NAMESPACE)

    def grace(self, name: str, otherwise: float) -> float:
        """Seconds of silence after which a node is lost: sooner where its instances may be made elsewhere."""
        safe = takeover.is_safe(takeover.promise_of(self._lease(name)), after=self._after)
        return min(self._after, otherwise) if safe else otherwise

    def is_decided(self, name: str) -> bool:
        """Whether the takeover of a host has begun and is not over."""
        return takeover.mode_of(self._lease(name)) == labels.DECIDED

    async def heard(self, name: str, *, others: bool) -> None:
        """The host is there: say whether a takeover may happen; one that was decided is over.

        All that was to be deleted is: this and `lost` are never at work on one host at once.
        """
        self._told.discard(name)
        found = self._lease(name)
        wanted = labels.ARMED if self._on and others else ""
        if found is None or takeover.mode_of(found) == wanted:
            return
        if takeover.mode_of(found) == labels.DECIDED:
            for each in list(self._pods):
                if each.spec.nodeName == name and meta.find_condition(each.status.conditions, _STAYS) is not None:
                    await self._say_stays(each, f"Node {name} is heard of again", reason="HostIsBack")
        await self._say(found, wanted)

    async def lost(self, subject: node.Node, *, alive: int, hosts: int) -> float | None:
        """Take over what may be; seconds until the next look. It is decided first, so that a host knows."""
        name = subject.metadata.name
        found = self._lease(name)
        if found is None or not self._on:
            return None
        if takeover.mode_of(found) != labels.DECIDED:
            if takeover.mode_of(found) != labels.ARMED:
                return None
            if not takeover.is_safe(takeover.promise_of(found), after=self._after):
                return None
            if not takeover.within_budget(alive=alive, hosts=hosts):
                if name not in self._told:
                    self._told.add(name)
                    self._events.warning(
                        subject,
                        "TakeoverHeld",
                        f"{hosts - alive} of {hosts} hosts are lost at once: more likely it is the network. Nothing is "
                        "made elsewhere; take out those that are gone for good: boxfleet node remove --force",
                    )
                return _AGAIN
            # A renewal meanwhile makes this fail, and then the host is not lost.
            await self._say(found, labels.DECIDED)
            self._events.warning(subject, "Takeover", "its instances are made elsewhere")
        return _AGAIN if await self._move(name) else None

    async def _move(self, name: str) -> bool:
        """Delete what may be made elsewhere, which makes it; whether there was any."""
        there = False
        for each in list(self._pods):
            if each.spec.nodeName != name or each.status.has_ended:
                continue
            if why := takeover.stays(each):
                await self._say_stays(each, f"Node {name} is lost, and it is not made elsewhere: {why}")
                continue
            there = True
            self._events.normal(each, "TakenOver", f"Node {name} is lost: it is made elsewhere")
            try:
                await self._api.delete(
                    pod.Pod,
                    each.metadata.name,
                    namespace=each.metadata.namespace,
                    uid=each.metadata.uid,
                    grace_seconds=0,
                )
            except (errors.NotFound, errors.Conflict):
                continue
        return there

    async def _say_stays(self, subject: pod.Pod, message: str, *, reason: str = "StaysOnHost") -> None:
        before = meta.find_condition(subject.status.conditions, _STAYS)
        if before is not None and before.message == message:
            return
        condition = meta.Condition(
            type=_STAYS,
            status="False",
            reason=reason,
            message=message,
            lastTransitionTime=clock.stamp(self._clock.now()),
        )
        try:
            await self._api.put_condition(subject, condition)
        except errors.NotFound:
            return

    async def _say(self, found: lease.Lease, mode: str) -> None:
        change: dict[str, Any] = {
            "metadata": {
                "resourceVersion": found.metadata.resourceVersion,
                "annotations": {labels.TAKEOVER: mode or None},
            }
        }
        await self._api.patch(lease.Lease, found.metadata.name, change, namespace=labels.LEASE_NAMESPACE)
