"""The Node object and its Lease: registered at the start, kept true, renewed. Deleted ones stay away."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import structlog

from boxfleet.agent import fencer, fencing, settings
from boxfleet.agent.node import facts, vitals
from boxfleet.api import labels, lease, meta, node
from boxfleet.client import client, errors
from boxfleet.kit import clock as clocks
from boxfleet.planning import takeover
from boxfleet.ports import runtime

log = structlog.get_logger()

# As many images as Kubernetes shows.
_IMAGES = 50
# Seconds until what failed is tried again.
_SOON = 2.0
# Seconds for the runtime to name its images.
_PATIENCE = 10.0


class Keeper:
    """Reports this host. `trouble` gives reason and message while instances cannot be run here."""

    def __init__(
        self,
        api: client.Client,
        images: runtime.Images,
        *,
        settings: settings.Settings,
        machine: facts.Machine,
        vitals: vitals.Vitals,
        clock: clocks.Clock,
        trouble: Callable[[], tuple[str, str] | None],
        fence: fencing.Fence,
        offers: Callable[[], Mapping[str, str | None]] = dict,
        nobody: Callable[[], Awaitable[bool]] | None = None,
        returned: Callable[[], None] = lambda: None,
    ) -> None:
        """`nobody` says whether it is sure that no server runs; `returned` hears when this host was taken for lost."""
        self._api = api
        self._images = images
        self._settings = settings
        self._machine = machine
        self._vitals = vitals
        self._clock = clock
        self._trouble = trouble
        # Further resources; None for one that is not offered any more.
        self._offers = offers
        self._fence = fence
        self._nobody = nobody
        self._returned = returned
        self._wake = asyncio.Event()
        self._sent = b""
        self._sent_at = 0.0
        # Set once; as with a kubelet, a Node that is deleted later comes back with the next start only.
        self._registered = asyncio.Event()
        self._deleted = False
        self._conditions: list[node.NodeCondition] = []
        self.uid = ""

    def look(self) -> None:
        """Something changed: report soon."""
        self._wake.set()

    async def run(self) -> None:
        """Report until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._report_forever())
            group.create_task(self._renew_forever())

    async def _report_forever(self) -> None:
        while True:
            self._wake.clear()
            try:
                if not self._registered.is_set():
                    await self._register()
                await self._report()
                self._deleted = False
                pause = self._settings.node_check
            except errors.NotFound:
                if not self._deleted:
                    log.warning("this Node was deleted", remedy="to have it again, restart the agent: boxfleet up")
                self._deleted = True
                pause = self._settings.node_check
            except (errors.ApiError, runtime.RuntimeFault, OSError) as error:
                log.info("cannot report the node", cause=str(error))
                pause = self._settings.node_check if str(error) == node.GONE else _SOON
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _register(self) -> None:
        name = self._settings.node
        marks = {
            labels.HOSTNAME: self._machine.hostname,
            labels.ARCH: self._machine.info.architecture,
            labels.OS: self._machine.info.operatingSystem,
            labels.CLUSTER: self._settings.cluster,
        }
        wishes = {labels.HOST_ADDRESS: labels.GATEWAY if self._settings.gateway else labels.OWN}
        try:
            fresh = meta.ObjectMeta(name=name, labels=marks, annotations=wishes)
            mine = await self._api.create(node.Node(metadata=fresh))
        except errors.AlreadyExists:
            change = {"metadata": {"labels": marks, "annotations": wishes}}
            mine = await self._api.patch(node.Node, name, change)
        self.uid = mine.metadata.uid
        self._conditions = mine.status.conditions
        # Nobody shall find a Node that nothing is heard of.
        await self._renew()
        self._registered.set()
        self._sent = b""

    async def _report(self) -> None:
        now = clocks.stamp(self._clock.now())
        fresh = self._vitals.conditions(trouble=self._trouble(), now=now)
        for one in fresh:
            before = meta.find_condition(self._conditions, one.type)
            if before is not None and before.status == one.status:
                one.lastTransitionTime = before.lastTransitionTime
        offers = dict(self._offers())
        status = node.NodeStatus(
            capacity=self._machine.capacity,
            allocatable=self._machine.allocatable,
            conditions=fresh,
            addresses=[
                node.NodeAddress(type="InternalIP", address=self._machine.address),
                node.NodeAddress(type="Hostname", address=self._machine.hostname),
            ],
            nodeInfo=self._machine.info,
            images=await self._image_list(),
        )
        essence = msgspec.json.encode(
            (status.capacity, status.allocatable, offers, [_told(each) for each in fresh], status.images)
        )
        moment = self._clock.monotonic()
        if essence == self._sent and moment - self._sent_at < self._settings.node_heartbeat:
            # Nothing new to say, but that the Node was deleted, or taken for lost, shall be heard soon.
            known = await self._api.get(node.Node, self._settings.node)
            if _is_said(fresh, known.status.conditions):
                return
            self._returned()
        body: dict[str, Any] = msgspec.to_builtins(status)
        for amounts in (body["capacity"], body["allocatable"]):
            amounts |= offers
        body.setdefault("images", [])
        await self._api.patch(node.Node, self._settings.node, {"status": body}, subresource="status")
        self._conditions = fresh
        self._sent, self._sent_at = essence, moment

    def _owner(self) -> meta.OwnerReference:
        """The Lease goes with its Node."""
        kind = node.Node.KIND
        return meta.OwnerReference(apiVersion=kind.api_version, kind=kind.kind, name=self._settings.node, uid=self.uid)

    async def _image_list(self) -> list[node.ContainerImage]:
        try:
            # One that hangs must not keep the Node from saying so.
            async with asyncio.timeout(_PATIENCE):
                found = await self._images.list()
        except (runtime.RuntimeFault, TimeoutError):
            return []
        largest = sorted(found, key=lambda image: (-image.size, image.id))[:_IMAGES]
        return [node.ContainerImage(names=[*image.digests, *image.tags], sizeBytes=image.size) for image in largest]

    async def _renew_forever(self) -> None:
        await self._registered.wait()
        pause, silent = 0.0, False
        while True:
            await self._clock.sleep(pause)
            ordinary = self._settings.lease_renew
            try:
                async with asyncio.timeout(takeover.ATTEMPT if self._fence.promised else None):
                    if not self._deleted:
                        await self._renew()
                pause = min(takeover.RENEW, ordinary) if self._fence.promised else ordinary
                if self._fence.is_asked:
                    # The promise goes with the next renewal.
                    pause = takeover.AGAIN
                if silent:
                    # It may have been taken for lost.
                    self._returned()
                    self.look()
                silent = False
            except (errors.ApiError, TimeoutError) as error:
                log.info("cannot renew the node's lease", cause=str(error) or "no answer in time")
                silent = True
                pause = takeover.AGAIN if self._fence.promised else _SOON
                if isinstance(error, errors.ApiError) and error.message == node.GONE:
                    pause = ordinary
                elif self._fence.promised and self._nobody is not None and await self._nobody():
                    self._fence.refused()
            self._fence.check()

    async def _renew(self) -> None:
        name = self._settings.node
        promise = await self._fence.promise()
        began = fencer.now()
        now = clocks.micro_stamp(self._clock.now())
        spec = {
            "holderIdentity": name,
            "leaseDurationSeconds": self._settings.lease_duration,
            "renewTime": now,
        }
        try:
            said = {labels.FENCE: promise or None}
            owners = [msgspec.to_builtins(self._owner())]
            change = {"metadata": {"ownerReferences": owners, "annotations": said}, "spec": spec}
            mine = await self._api.patch(lease.Lease, name, change, namespace=labels.LEASE_NAMESPACE)
        except errors.NotFound:
            fresh = lease.Lease(
                metadata=meta.ObjectMeta(name=name, namespace=labels.LEASE_NAMESPACE, ownerReferences=[self._owner()]),
                spec=lease.LeaseSpec(
                    holderIdentity=name, leaseDurationSeconds=self._settings.lease_duration, renewTime=now
                ),
            )
            if promise:
                fresh.metadata.annotations[labels.FENCE] = promise
            mine = await self._api.create(fresh)
        mode = mine.metadata.annotations.get(labels.TAKEOVER, "")
        await self._fence.renewed(began, promised=bool(promise), mode=mode)


def _is_said(fresh: list[node.NodeCondition], known: list[node.NodeCondition]) -> bool:
    """Whether the server has the conditions as they are."""
    return all((held := meta.find_condition(known, one.type)) and held.status == one.status for one in fresh)


def _told(one: node.NodeCondition) -> tuple[str, ...]:
    """What of a condition is news when it changes. Messages about pressure hold numbers that move all the time."""
    return (one.type, one.status, one.reason, "" if one.type.endswith("Pressure") else one.message)
