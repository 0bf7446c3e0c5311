"""Which rules beside other objects there are, by the qualified name of the kind, and who keeps count."""

from boxfleet.api import address, address_pool, admission, pod, tenant, volume_claim
from boxfleet.planning import address_admission, limit_admission, pool_admission, quota_admission, tenant_admission

POLICY = admission.Policy(
    rules={
        address_pool.AddressPool.KIND.qualified: admission.Rules(
            write=pool_admission.write_errors, delete=pool_admission.kept_by
        ),
        address.Address.KIND.qualified: admission.Rules(write=address_admission.write_errors),
        pod.Pod.KIND.qualified: admission.Rules(default=limit_admission.default, refuse=limit_admission.refuse_pod),
        volume_claim.PersistentVolumeClaim.KIND.qualified: admission.Rules(refuse=limit_admission.refuse_claim),
        tenant.Tenant.KIND.qualified: admission.Rules(write=tenant_admission.write_errors),
        tenant.NamespaceSet.KIND.qualified: admission.Rules(write=tenant_admission.set_errors),
    },
    accounts=(quota_admission.accounts, tenant_admission.accounts),
)
