"""Step 2: the quota controller's loop."""

from boxfleet.api import meta, resource_quota
from boxfleet.client import client, errors, loop, shared
from boxfleet.controllers.quota import count
from boxfleet.planning import counting

# Seconds after which all is counted again: soon after the limits changed, when other servers know of that for sure,
# and then as often as Kubernetes does.
_SOON = 10.0
_RESYNC = 300.0


class QuotaController:
    """Gives ResourceQuotas their status."""

    def __init__(self, api: client.Client, caches: shared.Caches) -> None:
        self._api = api
        self._quotas = caches.of(resource_quota.ResourceQuota)
        self._loop: loop.Loop[meta.Key] = loop.Loop("quota", self.reconcile)
        self.run = self._loop.run
        self._quotas.listen(self._changed)

    async def reconcile(self, key: meta.Key) -> float | None:
        """Count for one quota; raises Conflict when something was counted meanwhile, and is called again."""
        path = client.path_of(resource_quota.ResourceQuota, namespace=key.namespace, name=key.name)
        try:
            quota = await self._api.call("GET", path)
        except errors.NotFound:
            return None
        spec = quota.get("spec") or {}
        wanted = counting.status(spec.get("hard") or {}, await count.count(self._api, spec, namespace=key.namespace))
        said = quota.get("status") or {}
        if said == wanted:
            return _RESYNC
        await self._api.call("PUT", f"{path}/status", body={**quota, "status": wanted})
        return _SOON

    def _changed(self, old: resource_quota.ResourceQuota | None, new: resource_quota.ResourceQuota | None) -> None:
        # Its use changes with every write that counts, which is none of our business.
        if new is not None and (old is None or new.spec.hard != new.status.hard):
            self._loop.add(new.key)
