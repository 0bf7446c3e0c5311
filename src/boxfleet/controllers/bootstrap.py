"""The objects that are there from the first start: the hosts' Cluster and the address pool."""

from boxfleet.api import address_pool, cluster, meta, priority_class
from boxfleet.client import client, errors
from boxfleet.controllers import settings


async def make(api: client.Client, settings: settings.Settings) -> None:
    """Create what is missing; what is there stays as its owner made it.

    A pool is made only where there is none at all: whoever has another one does without the first.
    """
    wanted: list[meta.Object] = [
        cluster.Cluster(
            metadata=meta.ObjectMeta(name=settings.cluster),
            spec=cluster.ClusterSpec(type=cluster.ClusterType.HOSTS),
        )
    ]
    wanted += [
        priority_class.PriorityClass(metadata=meta.ObjectMeta(name=name), value=value)
        for name, value in priority_class.SYSTEM.items()
    ]
    if not (await api.list(address_pool.AddressPool)).items:
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
