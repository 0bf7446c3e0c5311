"""Step 4: the tenant controller's loop."""

import msgspec

from boxfleet.api import labels, meta, namespace, tenant
from boxfleet.client import client, errors, loop, shared
from boxfleet.controllers.tenant import count, objects, spaces
from boxfleet.kit import clock
from boxfleet.planning import conditions, counting, tenancy

FINALIZER = "boxfleet.dev/tenant"
# Seconds until all is counted anew, as for a ResourceQuota: soon after something changed, and then now and then.
_SOON = 10.0
_RESYNC = 300.0


class TenantController:
    """Makes Tenants real."""

    def __init__(self, api: client.Client, caches: shared.Caches, *, clock: clock.Clock) -> None:
        self._api = api
        self._caches = caches
        self._clock = clock
        self._tenants = caches.of(tenant.Tenant)
        self._sets = caches.of(tenant.NamespaceSet)
        self._spaces = caches.of(namespace.Namespace)
        # By name: generation and Namespaces for which all was counted, and when.
        self._counted: dict[str, tuple[object, float]] = {}
        self._loop: loop.Loop[str] = loop.Loop("tenant", self.reconcile)
        self.run = self._loop.run
        self._tenants.listen(self._tenant_changed)
        self._sets.listen(lambda old, new: self._named(new or old))
        self._spaces.listen(self._space_changed)
        for kind in objects.KINDS:
            caches.of(kind, labels=labels.TENANT).listen(self._made_changed)

    async def reconcile(self, name: str) -> float | None:
        """Make one Tenant right."""
        # Read anew: its revision is what the count is held against.
        subject = await self._api.find(tenant.Tenant, name)
        if subject is None:
            self._counted.pop(name, None)
            return None
        gone = bool(subject.metadata.deletionTimestamp)
        if gone and FINALIZER not in subject.metadata.finalizers:
            return None
        if not gone and FINALIZER not in subject.metadata.finalizers:
            subject = await self._hold(subject, finalizers=[*subject.metadata.finalizers, FINALIZER])
        own = self._sets.find(name)
        if own is None and not gone:
            await self._make_set(subject)
        wanted = {} if gone else tenancy.wanted(subject, own)
        outcome = await spaces.settle(self._api, subject, self._spaces, wanted=wanted)
        await objects.settle(self._api, self._caches, subject, spaces=outcome.have, gone=gone)
        if gone:
            if not outcome.going:
                await self._hold(subject, finalizers=[e for e in subject.metadata.finalizers if e != FINALIZER])
            return None
        return await self._report(subject, outcome)

    async def _hold(self, subject: tenant.Tenant, *, finalizers: list[str]) -> tenant.Tenant:
        data = subject.metadata
        change = {"metadata": {"uid": data.uid, "resourceVersion": data.resourceVersion, "finalizers": finalizers}}
        return await self._api.patch(tenant.Tenant, data.name, change)

    async def _make_set(self, subject: tenant.Tenant) -> None:
        data = meta.ObjectMeta(name=subject.metadata.name, ownerReferences=[meta.owner_of(subject)])
        try:
            await self._api.create(tenant.NamespaceSet(metadata=data))
        except errors.AlreadyExists:
            return

    async def _report(self, subject: tenant.Tenant, outcome: spaces.Outcome) -> float:
        name, status = subject.metadata.name, subject.status
        quota = subject.spec.quota
        basis = (subject.metadata.generation, tuple(outcome.have))
        last = self._counted.get(name)
        now = self._clock.monotonic()
        due = last is None or last[0] != basis or now - last[1] >= _SOON
        if due:
            found = counting.status(quota, await count.count(self._api, spaces=outcome.have))
            hard, used = found["hard"], found["used"]
        else:
            hard, used = status.hard, status.used
        said = conditions.Conditions(status.conditions, now=clock.stamp(self._clock.now()))
        if outcome.problems:
            said.put("Ready", "False", "NamespaceTaken", "; ".join(outcome.problems))
        elif outcome.going:
            said.put("Ready", "False", "NamespaceTerminating", f"still going: {', '.join(outcome.going)}")
        else:
            said.put("Ready", "True", "Provided", f"{len(outcome.have)} Namespaces with their members and limits")
        wanted = tenant.TenantStatus(
            observedGeneration=subject.metadata.generation,
            namespaces=outcome.have,
            hard=hard,
            used=used,
            conditions=said.items,
        )
        if wanted != status:
            await self._api.replace(msgspec.structs.replace(subject, status=wanted), subresource="status")
        if due:
            self._counted[name] = (basis, now)
            return _SOON if last is None or last[0] != basis else _RESYNC
        return _SOON

    def _named(self, subject: meta.Object | None) -> None:
        if subject is not None:
            self._loop.add(subject.metadata.name)

    def _tenant_changed(self, old: tenant.Tenant | None, new: tenant.Tenant | None) -> None:
        # Its use changes with every write that counts, which is none of our business.
        if new is not None and (
            old is None
            or old.metadata.generation != new.metadata.generation
            or old.metadata.deletionTimestamp != new.metadata.deletionTimestamp
        ):
            self._loop.add(new.metadata.name)

    def _space_changed(self, old: namespace.Namespace | None, new: namespace.Namespace | None) -> None:
        owners = {each.metadata.labels.get(labels.TENANT, "") if each is not None else "" for each in (old, new)}
        if old is None or new is None or len(owners) > 1 or new.metadata.deletionTimestamp:
            for each in self._tenants:
                # A name that is free again, or a Namespace that another tenant lets go, may be wanted here.
                self._loop.add(each.metadata.name)

    def _made_changed(self, old: meta.Object | None, new: meta.Object | None) -> None:
        for each in (old, new):
            if each is not None and self._tenants.find(name := each.metadata.labels.get(labels.TENANT, "")):
                self._loop.add(name)
