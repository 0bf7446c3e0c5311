"""All kinds that Boxfleet serves."""

from boxfleet.api import (
    address,
    address_pool,
    box,
    cluster,
    config,
    event,
    lease,
    meta,
    namespace,
    node,
    placement,
    pod,
    service_account,
    unit,
    volume_claim,
)

TYPES: tuple[type[meta.Object], ...] = (
    namespace.Namespace,
    config.ConfigMap,
    config.Secret,
    service_account.ServiceAccount,
    event.Event,
    pod.Pod,
    node.Node,
    volume_claim.PersistentVolumeClaim,
    lease.Lease,
    box.Box,
    unit.Unit,
    placement.Placement,
    address_pool.AddressPool,
    address.Address,
    cluster.Cluster,
)
