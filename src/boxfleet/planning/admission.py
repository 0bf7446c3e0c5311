"""Which rules beside other objects there are, by the qualified name of the kind, and who keeps count."""

from boxfleet.api import address, address_pool, admission, cluster, kind, pod, priority_class, tenant, volume_claim
from boxfleet.planning import (
    account_admission,
    address_admission,
    cluster_admission,
    eviction_admission,
    limit_admission,
    pool_admission,
    priority_admission,
    quota_admission,
    tenant_admission,
)


def _pod_default(new: kind.JsonObject, old: kind.JsonObject | None, look: admission.Look) -> None:
    account_admission.default(new, old, look)
    priority_admission.default(new, old, look)
    limit_admission.default(new, old, look)


POLICY = admission.Policy(
    rules={
        address_pool.AddressPool.KIND.qualified: admission.Rules(
            write=pool_admission.write_errors, delete=pool_admission.kept_by
        ),
        address.Address.KIND.qualified: admission.Rules(write=address_admission.write_errors),
        cluster.Cluster.KIND.qualified: admission.Rules(delete=cluster_admission.kept_by),
        pod.Pod.KIND.qualified: admission.Rules(default=_pod_default, refuse=limit_admission.refuse_pod),
        volume_claim.PersistentVolumeClaim.KIND.qualified: admission.Rules(refuse=limit_admission.refuse_claim),
        priority_class.PriorityClass.KIND.qualified: admission.Rules(refuse=priority_admission.refuse),
        tenant.Tenant.KIND.qualified: admission.Rules(write=tenant_admission.write_errors),
        tenant.NamespaceSet.KIND.qualified: admission.Rules(write=tenant_admission.set_errors),
    },
    accounts=(quota_admission.accounts, tenant_admission.accounts),
    evictions=eviction_admission.accounts,
)
