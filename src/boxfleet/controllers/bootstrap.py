"""The objects that are there from the first start: namespaces, the hosts' Cluster, the address pool."""

from boxfleet.api import address_pool, cluster, labels, meta, namespace
from boxfleet.client import client, errors
from boxfleet.controllers import settings

NAMESPACES = ("default", "kube-system", labels.LEASE_NAMESPACE)


async def make(api: client.Client, settings: settings.Settings) -> None:
    """Create what is missing; what is there stays as its owner made it."""
    wanted: list[meta.Object] = [
        namespace.Namespace(metadata=meta.ObjectMeta(name=name, labels={"kubernetes.io/metadata.name": name}))
        for name in NAMESPACES
    ]
    wanted.append(
        cluster.Cluster(
            metadata=meta.ObjectMeta(name=settings.cluster),
            spec=cluster.ClusterSpec(type=cluster.ClusterType.HOSTS),
        )
    )
    wanted.append(
        address_pool.AddressPool(
            metadata=meta.ObjectMeta(name=settings.pool),
            spec=address_pool.AddressPoolSpec(cidr=settings.pool_cidr, bridge=settings.pool_bridge),
        )
    )
    for each in wanted:
        try:
            await api.create(each)
        except errors.AlreadyExists:
            continue
