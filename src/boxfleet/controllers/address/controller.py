"""The Address controller's loops: claims, addresses, pools."""

import asyncio

import msgspec
import structlog

from boxfleet.api import address, address_pool, labels, meta, node, pod, unit
from boxfleet.client import client, errors, loop
from boxfleet.client import events as recorders
from boxfleet.controllers import caches, quotas, settings
from boxfleet.controllers.address import claim, hosts, keep, ledger, pool
from boxfleet.kit import clock
from boxfleet.planning import addresses, instances

log = structlog.get_logger()

# Seconds that changes of a pool's use are gathered before its status is written.
_POOL_PAUSE = 0.2
# Seconds that changes of an Address' status are gathered, but for readiness, which the name servers wait for: most
# starts are over by then and cost one write, not three.
_STATUS_PAUSE = 5.0
# Seconds that two addresses of one instance are looked at before one is released: its Pod is on its way to the cache.
_DOUBLE_PAUSE = 2.0
# Seconds after which those who wait for a full pool look again, should the signal have been lost.
_FULL_RETRY = 30.0
_QUOTA_EXCEEDED = "QuotaExceeded"


class _Want(msgspec.Struct, frozen=True):
    """A Unit or a Pod of its own that may want addresses."""

    is_unit: bool
    key: meta.Key

    def __str__(self) -> str:
        return f"{'unit' if self.is_unit else 'pod'} {self.key}"


class AddressController:
    """Units and Pods -> Addresses."""

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
        self._indexed = indexed
        self._events = events
        self._clock = clock
        self._settings = settings
        self._pools = indexed.shared.of(address_pool.AddressPool)
        self._nodes = indexed.shared.of(node.Node)
        # Kubernetes selects custom kinds by their fields since 1.31 alone.
        self._ledger = ledger.Ledger(
            api, indexed.addresses, clock=clock, concurrency=settings.concurrency, selects=not settings.hub
        )
        self._waiting: set[_Want] = set()
        self._doubles: dict[meta.Key, float] = {}
        self._claims: loop.Loop[_Want] = loop.Loop("address claims", self._claim, workers=8)
        self._held: loop.Loop[meta.Key] = loop.Loop("addresses", self._keep, workers=8)
        self._status: loop.Loop[meta.Key] = loop.Loop("address pools", self._report_pool, workers=1)
        self._hosts: loop.Loop[str] = loop.Loop("addresses of hosts", self._claim_for_host, workers=1)
        self._listen()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for each in (self._claims, self._held, self._status, self._hosts):
                group.create_task(each.run())

    async def _claim(self, want: _Want) -> float | None:
        subject = self._wanting(want)
        if subject is None:
            self._waiting.discard(want)
            return None
        # From now on: what helps may come while the attempt that it comes too late for is under way.
        self._waiting.add(want)
        pools = self._in_order()
        if not pools:
            self._events.warning(
                subject, "NoAddressPool", f"there is no AddressPool: create one, for example {self._settings.pool}"
            )
            return _FULL_RETRY
        try:
            if isinstance(subject, unit.Unit):
                await self._claim_unit(subject, pools)
            else:
                await self._claim_pod(subject, pools)
        except ledger.PoolFull as error:
            self._events.warning(subject, "AddressPoolFull", str(error))
            if isinstance(subject, pod.Pod):
                await self._say_waiting(subject, str(error))
            return _FULL_RETRY
        except errors.Forbidden as refused:
            if not refused.over_quota:
                raise
            self._events.warning(subject, _QUOTA_EXCEEDED, refused.message)
            if isinstance(subject, pod.Pod):
                await self._say_waiting(subject, refused.message, reason=_QUOTA_EXCEEDED)
            return _FULL_RETRY
        self._waiting.discard(want)
        return None

    def _in_order(self) -> list[address_pool.AddressPool]:
        """The pools to claim from: the ordinary one first, then by name."""
        alive = [each for each in self._pools if not (each.metadata.deletionTimestamp or self._shadow(each))]
        return sorted(alive, key=lambda each: (each.metadata.name != self._settings.pool, each.metadata.name))

    def _shadow(self, subject: address_pool.AddressPool) -> str:
        """The older pool that a pool gets in the way of: two that were made at once do not see each other."""
        older = [each for each in self._pools if each is not subject and pool.is_older(each, subject)]
        faults = ((each, addresses.overlap(subject.spec, each.spec)) for each in older)
        return next(
            (f"AddressPool {each.metadata.name} ({each.spec.cidr}) {fault}" for each, fault in faults if fault), ""
        )

    def _wanting(self, want: _Want) -> unit.Unit | pod.Pod | None:
        """The object behind a key, if it wants an address at all."""
        if want.is_unit:
            found = self._indexed.units.get(want.key)
            return found if found is not None and not found.metadata.deletionTimestamp else None
        alone = self._indexed.pods.get(want.key)
        if alone is None or alone.metadata.deletionTimestamp or not claim.is_alone(alone):
            return None
        return alone if alone.status.phase in ("", "Pending", "Running") else None

    async def _claim_unit(self, subject: unit.Unit, pools: list[address_pool.AddressPool]) -> None:
        claims = claim.of_unit(subject, suffix=self._settings.domain)
        for each in claims:
            current = self._indexed.pods.find(each.spec.instance, namespace=each.spec.namespace)
            used = claim.wanted_annotation(current) if current is not None else ""
            if used and not self._ledger.holds(each.instance):
                # Its Address was deleted while it runs: the same one again, if nobody was faster.
                await self._ledger.claim_exactly(pools, each, used)
            if (reserved := self._ledger.reserved(each.instance)) is not None:
                await keep.adopt(self._api, reserved, each.spec)
        selector = f"spec.namespace={subject.metadata.namespace},spec.unit={subject.metadata.name}"
        await self._ledger.claim(pools, claims, selector=selector)

    async def _claim_pod(self, subject: pod.Pod, pools: list[address_pool.AddressPool]) -> None:
        metadata = subject.metadata
        one = claim.of_pod(subject, suffix=self._settings.domain)
        said = claim.wanted_annotation(subject)
        if said and not self._ledger.has(one.instance, said):
            # Its claim was lost, or it came with a wish: the ledger has the last word.
            if not await self._ledger.claim_exactly(pools, one, said):
                self._events.warning(
                    subject,
                    "AddressTaken",
                    f"address {said} is not free in any AddressPool: delete the Pod, and create it without the "
                    f"annotation {labels.ADDRESS} or with another address",
                )
            return
        if said:
            return
        selector = f"spec.namespace={metadata.namespace},spec.instance={metadata.name}"
        if (reserved := self._ledger.reserved(one.instance)) is not None:
            await keep.adopt(self._api, reserved, one.spec)
        await self._ledger.claim(pools, [one], selector=selector)
        found = self._ledger.holds(one.instance)
        if found:
            change = {"metadata": {"uid": metadata.uid, "annotations": {labels.ADDRESS: found}}}
            try:
                await self._api.patch(pod.Pod, metadata.name, change, namespace=metadata.namespace)
            except errors.NotFound:
                return

    async def _say_waiting(self, subject: pod.Pod, message: str, *, reason: str = "AddressPoolFull") -> None:
        condition = meta.Condition(
            type="AddressClaimed",
            status="False",
            reason=reason,
            message=message,
            lastTransitionTime=clock.stamp(self._clock.now()),
        )
        old = meta.find_condition(subject.status.conditions, condition.type)
        if old is not None and old.message == message:
            return
        await self._api.put_condition(subject, condition)

    async def _claim_for_host(self, name: str) -> float | None:
        subject = self._nodes.find(name)
        if subject is None or hosts.wish(subject) != labels.OWN:
            return None
        for each in self._in_order():
            if hosts.held(subject, each.metadata.name, self._indexed.addresses):
                continue
            try:
                await self._ledger.claim([each], [hosts.claim(subject, each.metadata.name)], selector="spec.namespace=")
            except ledger.PoolFull as error:
                self._events.warning(subject, "AddressPoolFull", str(error))
                return _FULL_RETRY
        return None

    async def _keep(self, key: meta.Key) -> float | None:
        held = self._indexed.addresses.get(key)
        if held is None or held.metadata.deletionTimestamp:
            self._doubles.pop(key, None)
            return None
        spec = held.spec
        current = self._indexed.pods.find(spec.instance, namespace=spec.namespace)
        owner = self._indexed.units.find(spec.unit, namespace=spec.namespace) if spec.unit else None
        if current is None and not keep.is_wanted(held, owner=owner):
            await keep.release(self._api, held)
            return None
        wait = await self._settle_double(held)
        if wait is not None:
            return wait
        await keep.report(self._api, held, keep.status(held, current))
        return None

    async def _settle_double(self, held: address.Address) -> float | None:
        """Release this address when its instance has another that counts; seconds to wait before deciding."""
        instance = f"{held.spec.namespace}/{held.spec.instance}"
        many = self._indexed.addresses.by_index(caches.INSTANCE, instance)
        best = held
        for each in many:
            best = caches.preferred(best, each, self._indexed.pods) if each is not held else best
        if best is held or held.spec.reserved:
            self._doubles.pop(held.key, None)
            return None
        now = self._clock.monotonic()
        since = self._doubles.setdefault(held.key, now)
        if now - since < _DOUBLE_PAUSE:
            return _DOUBLE_PAUSE - (now - since)
        current = await self._api.find(pod.Pod, held.spec.instance, namespace=held.spec.namespace)
        if current is None or current.metadata.annotations.get(labels.ADDRESS) != held.metadata.name:
            log.warning("instance had two addresses", instance=instance, kept=best.metadata.name)
            self._events.warning(
                held, "Released", f"{instance} has the address {best.metadata.name}; an instance has one in all"
            )
            await keep.drop(self._api, held)
        return None

    async def _report_pool(self, key: meta.Key) -> float | None:
        subject = self._pools.get(key)
        if subject is None:
            return None
        used = sum(1 for each in self._indexed.addresses if each.spec.pool == key.name)
        wanted = pool.status(
            subject,
            used=used,
            shadow=self._shadow(subject),
            hosts=hosts.on_network(subject, self._nodes, self._indexed.addresses),
            now=clock.stamp(self._clock.now()),
        )
        if wanted != subject.status:
            await self._api.replace(msgspec.structs.replace(subject, status=wanted), subresource="status")
        return None

    def _listen(self) -> None:
        self._indexed.units.listen(self._unit_changed)
        self._indexed.pods.listen(self._pod_changed)
        self._indexed.addresses.listen(self._address_changed)
        self._pools.listen(self._pool_changed)
        self._nodes.listen(self._node_changed)
        quotas.Quotas(self._indexed.shared).listen(self._wake_waiting)

    def _unit_changed(self, old: unit.Unit | None, new: unit.Unit | None) -> None:
        subject = new or old
        if subject is None or (
            old is not None
            and new is not None
            and (old.metadata.generation, old.metadata.uid, old.metadata.deletionTimestamp)
            == (new.metadata.generation, new.metadata.uid, new.metadata.deletionTimestamp)
        ):
            return
        self._claims.add(_Want(is_unit=True, key=subject.key))
        for each in self._indexed.addresses.by_index(caches.UNIT, str(subject.key)):
            self._held.add(each.key)

    def _pod_changed(self, old: pod.Pod | None, new: pod.Pod | None) -> None:
        subject = new or old
        if subject is None:
            return
        if new is not None and (old is None or _claims_by(old) != _claims_by(new)) and claim.is_alone(new):
            self._claims.add(_Want(is_unit=False, key=new.key))
        urgent = new is None or _is_ready(old) != _is_ready(new)
        for each in self._indexed.addresses.by_index(caches.INSTANCE, str(subject.key)):
            self._held.add_after(each.key, 0 if urgent else _STATUS_PAUSE)

    def _address_changed(self, old: address.Address | None, new: address.Address | None) -> None:
        subject = new or old
        if subject is None:
            return
        self._held.add_after(subject.key, _STATUS_PAUSE)
        if old is None or new is None:
            # What concerns hosts is waited for by one that joins.
            host = subject.metadata.annotations.get(labels.HOST_OF, "")
            self._status.add_after(meta.Key("", subject.spec.pool), 0 if host else _POOL_PAUSE)
            if host and new is None:
                self._hosts.add(host)
            if new is not None and subject.spec.reserved and not subject.spec.unit:
                # It may be meant for a Unit's instance.
                unit_name = subject.spec.instance.rpartition("-")[0]
                self._claims.add(_Want(is_unit=True, key=meta.Key(subject.spec.namespace, unit_name)))
            # A Pod of its own gets its annotation now; an Address that was deleted while wanted is claimed anew.
            if new is None or not subject.spec.unit:
                key = meta.Key(subject.spec.namespace, subject.spec.unit or subject.spec.instance)
                self._claims.add(_Want(is_unit=bool(subject.spec.unit), key=key))
        if new is None:
            self._wake_waiting()
            # It may have been a Pod of its own that had the name of an instance.
            unit_name = subject.spec.instance.rpartition("-")[0]
            self._claims.add(_Want(is_unit=True, key=meta.Key(subject.spec.namespace, unit_name)))

    def _pool_changed(self, old: address_pool.AddressPool | None, new: address_pool.AddressPool | None) -> None:
        if new is not None:
            self._status.add(new.key)
        if old is None or new is None or old.spec != new.spec:
            self._wake_waiting()
            for host in self._nodes:
                self._hosts.add(host.metadata.name)
            # One pool decides whether another may hand out.
            for each in self._pools:
                self._status.add(each.key)

    def _node_changed(self, old: node.Node | None, new: node.Node | None) -> None:
        before, after = (
            None if each is None else (each.metadata.uid, hosts.wish(each), hosts.underlay(each)) for each in (old, new)
        )
        if before == after:
            return
        if new is not None:
            self._hosts.add(new.metadata.name)
        for each in self._pools:
            self._status.add(each.key)

    def _wake_waiting(self) -> None:
        for want in list(self._waiting):
            self._claims.add(want)


def _claims_by(subject: pod.Pod) -> object:
    """What decides whether a Pod of its own wants an address, and which."""
    metadata = subject.metadata
    going, said = metadata.deletionTimestamp, claim.wanted_annotation(subject)
    return metadata.uid, going, said, subject.status.phase, metadata.ownerReferences


def _is_ready(subject: pod.Pod | None) -> bool:
    return subject is not None and instances.is_ready(subject)
