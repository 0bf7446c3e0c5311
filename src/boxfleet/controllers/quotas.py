"""What controllers see of quotas: whether a tenant's addresses are used up, and when there may be room again."""

from collections.abc import Callable

from boxfleet.api import labels, namespace, resource_quota, tenant
from boxfleet.client import shared
from boxfleet.planning import usage

_Changed = Callable[[], None]


class Quotas:
    """Looks at ResourceQuotas and Tenants in caches."""

    def __init__(self, caches: shared.Caches) -> None:
        self._spaces = caches.of(namespace.Namespace)
        self._tenants = caches.of(tenant.Tenant)
        self._quotas = caches.of(resource_quota.ResourceQuota)

    def addresses_used_up(self, space: str) -> str:
        """Why the instances of a Namespace get no further addresses; empty when a tenant's quota does not forbid it."""
        found = self._spaces.find(space)
        owner = self._tenants.find(found.metadata.labels.get(labels.TENANT, "")) if found is not None else None
        if owner is None or "addresses" not in owner.status.hard:
            return ""
        used, hard = owner.status.used.get("addresses", "0"), owner.status.hard["addresses"]
        if usage.amount("addresses", used) < usage.amount("addresses", hard):
            return ""
        return f"exceeded quota: tenant/{owner.metadata.name}, used: addresses={used}, limited: addresses={hard}"

    def listen(self, changed: _Changed) -> None:
        """Hear when there may be room: less is used, more is allowed, or a limit is gone."""

        def quota_changed(old: resource_quota.ResourceQuota | None, new: resource_quota.ResourceQuota | None) -> None:
            if old is not None and (new is None or _has_room(old.status, new.status)):
                changed()

        def tenant_changed(old: tenant.Tenant | None, new: tenant.Tenant | None) -> None:
            if old is not None and (new is None or _has_room(old.status, new.status)):
                changed()

        self._quotas.listen(quota_changed)
        self._tenants.listen(tenant_changed)


def _has_room(
    before: resource_quota.QuotaStatus | tenant.TenantStatus, after: resource_quota.QuotaStatus | tenant.TenantStatus
) -> bool:
    if before.hard != after.hard:
        return True
    return any(
        usage.amount(name, text) < usage.amount(name, before.used.get(name, "0")) for name, text in after.used.items()
    )
