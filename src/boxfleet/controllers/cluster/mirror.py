"""Step 5: what became of the instances, told as the status of their Pods."""

from collections.abc import Callable
from typing import Any

import msgspec

from boxfleet.api import meta, pod, volume_claim
from boxfleet.client import client, errors
from boxfleet.client import events as recorders
from boxfleet.controllers.cluster import hosts, part
from boxfleet.kit import clock
from boxfleet.planning import instances, pod_volumes, shares
from boxfleet.ports import cluster as ports

# Conditions that the instance's own cluster tells; others on a Pod belong to whoever set them.
_THEIRS = frozenset({"PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"})
# Lists of a status that are written whole, also when they are empty.
_LISTS = ("containerStatuses", "initContainerStatuses", "podIPs")


class Mirror:
    """Keeps the Pods of one cluster equal to its instances. `missing` hears of Units that lack one."""

    def __init__(
        self,
        api: client.Client,
        mine: part.Part,
        driver: ports.Cluster,
        *,
        missing: Callable[[meta.Key], None],
        is_lost: Callable[[], bool],
        events: recorders.Recorder,
        clock: clock.Clock,
    ) -> None:
        self._api = api
        self._part = mine
        self._driver = driver
        self._missing = missing
        self._is_lost = is_lost
        self._events = events
        self._clock = clock
        # What each Pod was last given, by uid.
        self._given: dict[str, bytes] = {}

    def forget(self, uid: str) -> None:
        """A Pod is gone."""
        self._given.pop(uid, None)

    async def reconcile(self, key: meta.Key) -> None:
        """Write what differs for one Unit. Raises ApiError."""
        if not self._driver.synced:
            if self._is_lost():
                await self._let_go(key)
            return
        seen: dict[str, ports.Instance] = {}
        for each in self._driver.instances(key):
            # Of one on its way out and its successor the latter counts.
            if each.uid not in seen or not each.leaving:
                seen[each.uid] = each
        present = {each.name for each in self._driver.instances(key)}
        for subject in self._part.pods(key):
            found = seen.get(shares.mark_of(subject))
            if subject.metadata.deletionTimestamp:
                if subject.metadata.name not in present:
                    await self._remove(subject)
                elif found is not None:
                    await self._write(subject, found)
            elif found is None:
                await self._say_missing(subject)
                self._missing(key)
            elif self._has_moved(subject, found):
                # A Pod's node never changes: another Pod of the same name shows the same instance there.
                self._events.normal(subject, "Moved", f"Cluster {self._part.cluster} moved it to host {found.node}")
                await self._remove(subject)
            else:
                await self._bind(subject, found)
                await self._write(subject, found)
                await self._bind_claims(subject)

    async def say_unreachable(self) -> None:
        """Say of all instances that nobody knows whether they serve. Raises ApiError."""
        now = clock.stamp(self._clock.now())
        condition = meta.Condition(
            type="Ready",
            status="False",
            reason="ClusterUnreachable",
            message=f"Cluster {self._part.cluster} does not answer; the instance may well go on",
            lastTransitionTime=now,
        )
        for each in self._part.all_pods():
            if not instances.is_ready(each):
                continue
            self._given.pop(each.metadata.uid, None)
            try:
                await self._api.put_condition(each, condition)
            except errors.NotFound:
                continue

    async def _let_go(self, key: meta.Key) -> None:
        """Give up Pods that the scheduler has taken away from a cluster that is lost.

        Their successors may start elsewhere. What runs on there is ended when the cluster is heard of again.
        """
        for each in self._part.pods(key):
            if each.metadata.deletionTimestamp and not self._part.keeps(each):
                await self._remove(each)

    def _has_moved(self, subject: pod.Pod, found: ports.Instance) -> bool:
        name = subject.spec.nodeName
        return bool(found.node and name) and name != hosts.name_of(self._part.cluster, found.node)

    async def _bind(self, subject: pod.Pod, found: ports.Instance) -> None:
        if not found.node or subject.spec.nodeName:
            return
        name = hosts.name_of(self._part.cluster, found.node)
        await self._api.bind(
            namespace=subject.metadata.namespace, pod=subject.metadata.name, uid=subject.metadata.uid, node=name
        )
        message = f"Cluster {self._part.cluster} runs {subject.key} on host {found.node}"
        self._events.normal(subject, "Scheduled", message)

    async def _bind_claims(self, subject: pod.Pod) -> None:
        """Say of the claims of an instance that runs that they have their storage."""
        if subject.status.phase != "Running":
            return
        for name in pod_volumes.references(subject.spec).claims:
            claim = self._part.claim(name, namespace=subject.metadata.namespace)
            if claim is None or claim.status.phase == "Bound" or claim.metadata.deletionTimestamp:
                continue
            wish = claim.spec.resources.requests.get("storage")
            status = {
                "phase": "Bound",
                "accessModes": claim.spec.accessModes or ["ReadWriteOnce"],
                "capacity": {"storage": str(wish)} if wish is not None else {},
            }
            await self._api.patch(
                volume_claim.PersistentVolumeClaim,
                name,
                {"status": status},
                namespace=subject.metadata.namespace,
                subresource="status",
            )

    async def _write(self, subject: pod.Pod, found: ports.Instance) -> None:
        status: dict[str, Any] = {key: value for key, value in found.status.items() if value is not None}
        others = [each for each in subject.status.conditions if each.type not in _THEIRS]
        theirs = [each for each in status.get("conditions") or () if each.get("type") in _THEIRS]
        status["conditions"] = [*msgspec.to_builtins(others), *theirs]
        for name in _LISTS:
            status.setdefault(name, [])
        for name in ("reason", "message", "podIP"):
            status.setdefault(name, None)
        text = msgspec.json.encode(status, order="deterministic")
        if self._given.get(subject.metadata.uid) == text:
            return
        change = {"metadata": {"uid": subject.metadata.uid}, "status": status}
        metadata = subject.metadata
        try:
            await self._api.patch(pod.Pod, metadata.name, change, namespace=metadata.namespace, subresource="status")
        except errors.NotFound:
            return
        self._given[metadata.uid] = text

    async def _say_missing(self, subject: pod.Pod) -> None:
        if not instances.is_ready(subject):
            return
        condition = meta.Condition(
            type="Ready",
            status="False",
            reason="InstanceGone",
            message=f"Cluster {self._part.cluster} has no such instance any more; it is made again",
            lastTransitionTime=clock.stamp(self._clock.now()),
        )
        self._given.pop(subject.metadata.uid, None)
        try:
            await self._api.put_condition(subject, condition)
        except errors.NotFound:
            return

    async def _remove(self, subject: pod.Pod) -> None:
        metadata = subject.metadata
        try:
            await self._api.delete(
                pod.Pod, metadata.name, namespace=metadata.namespace, uid=metadata.uid, grace_seconds=0
            )
        except (errors.NotFound, errors.Conflict):
            # Gone or replaced already: the cache was behind.
            return
