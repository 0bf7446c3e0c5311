"""What only one server does at a time: controllers, scheduler and compaction, on caches of their own."""

import asyncio
from collections.abc import Mapping

from boxfleet.api import cluster, roles
from boxfleet.app import control, node_tokens, providers, settings
from boxfleet.client import client, shared
from boxfleet.controllers import manager
from boxfleet.controllers.cluster import controller as driving
from boxfleet.controllers.token_secrets import controller as token_secrets
from boxfleet.kit import clock as clocks
from boxfleet.kit import supervise
from boxfleet.scheduler import scheduler
from boxfleet.scheduler import settings as scheduler_settings
from boxfleet.store import compactor
from boxfleet.store import settings as store_settings
from boxfleet.store import store as stores


async def run(
    known: settings.Server,
    apis: Mapping[str, client.Client],
    store: stores.Store,
    *,
    clock: clocks.Clock,
    sign: token_secrets.Sign,
    connectors: Mapping[cluster.ClusterType, driving.Connect],
) -> None:
    """Work until cancelled; `apis` holds a client for each of `roles.PARTS`, `sign` makes tokens of Secrets.

    `connectors` make drivers of Clusters that others run.
    """
    caches = shared.Caches(apis[roles.CONTROLLERS], clock=clock)
    placing = caches.speaking(apis[roles.SCHEDULER])
    controllers = manager.Manager(
        caches,
        clock=clock,
        settings=control.settings_of(known),
        cluster_api=apis[roles.CLUSTER_CONTROLLER],
        connectors=connectors,
        garbage_api=apis[roles.GARBAGE_COLLECTOR],
        node_pool_api=apis[roles.NODE_POOL_CONTROLLER],
        providers=providers.connectors(known),
        joins=node_tokens.PoolJoins(known, clock=clock),
        namespace_api=apis[roles.NAMESPACE_CONTROLLER],
        quota_api=apis[roles.QUOTA_CONTROLLER],
        tenant_api=apis[roles.TENANT_CONTROLLER],
        token_api=apis[roles.TOKEN_CONTROLLER],
        sign=sign,
    )
    loops = {
        "controllers": controllers.run,
        "scheduler": scheduler.Scheduler(placing, clock=clock, settings=scheduler_settings.Settings()).run,
        # After those that ask for caches.
        "caches": caches.run,
        "compactor": lambda: compactor.run(store, clock=clock, settings=store_settings.Settings()),
    }
    async with asyncio.TaskGroup() as group:
        for name, loop in loops.items():
            group.create_task(supervise.keep_running(name, loop, clock=clock), name=name)
