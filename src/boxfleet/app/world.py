"""Reading all objects that health depends on."""

import asyncio

from boxfleet.api import address_pool, box, cluster, event, node, pod, unit
from boxfleet.client import client
from boxfleet.planning import health


async def read(api: client.Client) -> health.World:
    """Everything as it is now, read at once. Raises ApiError."""
    (nodes, clusters, pools), (boxes, units, pods, warnings) = await asyncio.gather(
        asyncio.gather(api.list(node.Node), api.list(cluster.Cluster), api.list(address_pool.AddressPool)),
        asyncio.gather(
            api.list(box.Box),
            api.list(unit.Unit),
            api.list(pod.Pod),
            api.list(event.Event, fields="type=Warning"),
        ),
    )
    return health.World(
        nodes=nodes.items,
        clusters=clusters.items,
        pools=pools.items,
        boxes=boxes.items,
        units=units.items,
        pods=pods.items,
        events=warnings.items,
    )
