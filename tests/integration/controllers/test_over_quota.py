"""A Unit that is over a quota says so in words, and goes on by itself when there is room."""

import pathlib

import pytest
from tests.integration.controllers import fleetbed

from boxfleet.api import meta, namespace, pod, resource_quota, tenant, unit

pytestmark = pytest.mark.anyio


async def test_no_more_pods(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        hard = {"pods": "1"}
        await bed.api.create(
            resource_quota.ResourceQuota(
                metadata=meta.ObjectMeta(name="few", namespace="default"), spec=resource_quota.QuotaSpec(hard=hard)
            )
        )
        await bed.apply(fleetbed.unit_yaml("app", replicas=2))
        await bed.until(lambda: bed.condition(unit.Unit, "app", "Ready")[1] == "QuotaExceeded")
        said = bed.condition(unit.Unit, "app", "Ready")[2]
        assert "exceeded quota: few, requested: pods=1, used: pods=1, limited: pods=1" in said
        await bed.until(lambda: any("exceeded quota: few" in text for text in bed.events("QuotaExceeded")))
        change = {"spec": {"hard": {"pods": "2"}}}
        await bed.api.patch(resource_quota.ResourceQuota, "few", change, namespace="default")
        await bed.until_ready(unit.Unit, "app")
        # What goes makes room for what waits.
        await bed.apply(fleetbed.unit_yaml("other"))
        await bed.until(lambda: bed.condition(unit.Unit, "other", "Ready")[1] == "QuotaExceeded")
        await bed.api.delete(unit.Unit, "app", namespace="default")
        await bed.until_ready(unit.Unit, "other")


async def test_no_more_addresses_for_a_tenant(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        spec = tenant.TenantSpec(namespaces=[tenant.TenantNamespace(name="acme-1")], quota={"addresses": 1})
        await bed.api.create(tenant.Tenant(metadata=meta.ObjectMeta(name="acme"), spec=spec))
        await bed.until(lambda: bed.get(namespace.Namespace, "acme-1"))
        await bed.until(lambda: (t := bed.get(tenant.Tenant, "acme")) and t.status.hard)
        body = fleetbed.unit_yaml("app", replicas=2).replace("metadata: {", "metadata: {namespace: acme-1, ")
        await bed.apply(body)

        def said() -> tuple[str, str]:
            found = bed.get(unit.Unit, "app", namespace="acme-1")
            ready = meta.find_condition(found.status.conditions, "Ready") if found is not None else None
            return (ready.reason, ready.message) if ready is not None else ("", "")

        await bed.until(lambda: said()[0] == "QuotaExceeded")
        assert "exceeded quota: tenant/acme, used: addresses=1, limited: addresses=1" in said()[1]
        assert bed.get(pod.Pod, "app-0", namespace="acme-1")
        await bed.api.patch(tenant.Tenant, "acme", {"spec": {"quota": {"addresses": 2}}})
        await bed.until(lambda: said()[0] == "AllReady")
