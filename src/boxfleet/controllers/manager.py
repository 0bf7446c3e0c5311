"""All controllers together."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from boxfleet.api import cluster as clusters
from boxfleet.api import node_pool as pools
from boxfleet.client import client, shared
from boxfleet.client import events as recorders
from boxfleet.controllers import bootstrap, caches, settings
from boxfleet.controllers.address import controller as address
from boxfleet.controllers.autoscaler import controller as autoscaler
from boxfleet.controllers.box import controller as box
from boxfleet.controllers.cluster import controller as driving
from boxfleet.controllers.disruption import controller as disruption
from boxfleet.controllers.event_ttl import events, pods
from boxfleet.controllers.garbage import controller as garbage
from boxfleet.controllers.namespace import controller as namespace
from boxfleet.controllers.node import cluster, eviction, health
from boxfleet.controllers.node_pool import controller as node_pool
from boxfleet.controllers.node_pool import joining
from boxfleet.controllers.quota import controller as quota
from boxfleet.controllers.rebalance import controller as rebalance
from boxfleet.controllers.root_ca import controller as root_ca
from boxfleet.controllers.tenant import controller as tenant
from boxfleet.controllers.token_secrets import controller as token_secrets
from boxfleet.controllers.unit import controller as unit
from boxfleet.kit import clock, supervise


class Manager:
    """The controllers on shared caches; whoever made the caches runs them.

    `cluster_api`, `garbage_api`, `namespace_api`, `node_pool_api`, `quota_api`, `tenant_api` and `token_api` are for
    those that touch objects of all kinds, Secrets or rights: they speak as users who may. `connectors` make drivers of
    Clusters that others run, by their type, `providers` those of NodePools, whose machines come in by `joins`. `sign`
    makes tokens that lie in Secrets.
    """

    def __init__(
        self,
        shared: shared.Caches,
        *,
        clock: clock.Clock,
        settings: settings.Settings,
        cluster_api: client.Client | None = None,
        connectors: Mapping[clusters.ClusterType, driving.Connect] | None = None,
        garbage_api: client.Client | None = None,
        namespace_api: client.Client | None = None,
        node_pool_api: client.Client | None = None,
        providers: Mapping[pools.ProviderType, joining.Connect] | None = None,
        joins: joining.Joins | None = None,
        quota_api: client.Client | None = None,
        tenant_api: client.Client | None = None,
        token_api: client.Client | None = None,
        sign: token_secrets.Sign | None = None,
    ) -> None:
        api = shared.api
        reaching = cluster_api or api
        giving = shared.speaking(tenant_api or api)
        indexed = caches.Indexed(shared)
        self._api = api
        self._shared = shared
        self._clock = clock
        self._settings = settings
        self._events = recorders.Recorder(api, component="boxfleet-controllers", clock=clock)
        reached = recorders.Recorder(reaching, component="boxfleet-clusters", clock=clock)
        self._loops: dict[str, Callable[[], Awaitable[None]]] = {
            "box": box.BoxController(api, indexed, events=self._events, clock=clock, settings=settings).run,
            "unit": unit.UnitController(api, indexed, events=self._events, clock=clock, settings=settings).run,
            "address": address.AddressController(api, indexed, events=self._events, clock=clock, settings=settings).run,
            "tenant": tenant.TenantController(giving.api, giving, clock=clock).run,
            "cluster status": cluster.ClusterStatus(api, indexed, clock=clock, settings=settings).run,
            "clusters": driving.ClusterController(
                reaching, indexed, connectors=connectors or {}, events=reached, clock=clock, settings=settings
            ).run,
            "rebalance": rebalance.RebalanceController(
                api, indexed, events=self._events, clock=clock, settings=settings
            ).run,
            "events": self._events.run,
            "events of clusters": reached.run,
        }
        if settings.hub:
            # Kubernetes has controllers of its own for all that follows, but for NodePools: their machines join by
            # tokens that only Boxfleet's own server knows.
            return
        collecting = shared.speaking(garbage_api or api)
        emptying = shared.speaking(namespace_api or api)
        counting = shared.speaking(quota_api or api)
        signing = shared.speaking(token_api or api)
        ordering = node_pool_api or api
        ordered = recorders.Recorder(ordering, component="boxfleet-node-pools", clock=clock)
        self._loops |= {
            "garbage": garbage.GarbageController(collecting.api, collecting, clock=clock, events=self._events).run,
            "namespace": namespace.NamespaceController(emptying.api, emptying, clock=clock, settings=settings).run,
            "disruption": disruption.DisruptionController(api, indexed, clock=clock).run,
            "autoscaler": autoscaler.AutoscalerController(api, shared, clock=clock).run,
            "quota": quota.QuotaController(counting.api, counting).run,
            "root authority": root_ca.RootAuthority(api, emptying, settings=settings).run,
            "token secrets": token_secrets.TokenSecrets(signing.api, signing, settings=settings, sign=sign).run,
            "node health": health.Health(api, indexed, events=self._events, clock=clock, settings=settings).run,
            "taint eviction": eviction.TaintEviction(api, indexed, events=self._events, clock=clock).run,
            "old events": events.OldEvents(api, shared, clock=clock, settings=settings).run,
            "orphaned pods": pods.OrphanedPods(api, indexed, clock=clock, settings=settings).run,
            "node pools": node_pool.NodePoolController(
                ordering,
                indexed,
                connectors=providers or {},
                joins=joins,
                events=ordered,
                clock=clock,
                settings=settings,
            ).run,
            "events of node pools": ordered.run,
        }

    async def run(self) -> None:
        """Make the first objects, wait for the caches, and work until cancelled."""
        await supervise.keep_running("bootstrap", self._bootstrap, clock=self._clock)
        await self._shared.synced()
        async with asyncio.TaskGroup() as group:
            for name, run in self._loops.items():
                group.create_task(supervise.keep_running(name, run, clock=self._clock), name=name)

    async def _bootstrap(self) -> None:
        await bootstrap.make(self._api, self._settings)
