"""Logs, exec and the like of instances in clusters that others run: any server reaches them by itself."""

import asyncio
import dataclasses
from collections.abc import Mapping
from typing import Final

import msgspec
import structlog

from boxfleet.api import cluster, config, labels, meta, pod, tunnel
from boxfleet.api import node as nodes
from boxfleet.client import cache, client, errors
from boxfleet.controllers.cluster import controller
from boxfleet.kit import clock, ids, supervise
from boxfleet.planning import pod_volumes, shares
from boxfleet.ports import cluster as ports
from boxfleet.ports import streams

log = structlog.get_logger()

# Seconds that a driver which nobody asks is kept, and between looks for such.
_IDLE: Final = 600.0
_LOOK: Final = 60.0
# Seconds until a driver has its first view.
_PATIENCE: Final = 5.0
_GLANCE: Final = 0.02


@dataclasses.dataclass(slots=True)
class _Open:
    basis: str
    driver: ports.Cluster
    task: asyncio.Task[None]
    used: float


class Reach:
    """Implements `apiserver.streams.elsewhere.Elsewhere`: a driver per cluster, from its first stream on.

    `api` may read Clusters, Pods, Nodes and the Secrets with the clusters' keys.
    """

    def __init__(
        self,
        api: client.Client,
        *,
        connectors: Mapping[cluster.ClusterType, controller.Connect],
        clock: clock.Clock,
    ) -> None:
        self._api = api
        self._connectors = connectors
        self._clock = clock
        self._clusters = cache.Cache(api, cluster.Cluster)
        self._open: dict[str, _Open] = {}
        self._opening = asyncio.Lock()
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Be able to reach until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(self._clusters.run())
                while True:
                    await self._clock.sleep(_LOOK)
                    for name, known in list(self._open.items()):
                        if self._clock.monotonic() - known.used > _IDLE:
                            await self._close(name)
        finally:
            self._group = None
            for known in self._open.values():
                await known.driver.close()
            self._open.clear()

    def serves(self, node: str) -> bool:
        """Whether a Node shows a host of a cluster that we can speak to."""
        return self._cluster_of(node) is not None

    async def carry_out(self, node: str, order: tunnel.Order, channels: streams.Channels) -> bytes:
        """Have the cluster's driver carry an order out. Raises Refusal and Disconnected."""
        found = self._cluster_of(node)
        if found is None:
            raise streams.Refusal(f"the Cluster of node {node} is gone", code=404, reason="NotFound")
        try:
            driver = await self._driver(found)
            if isinstance(order, tunnel.UsageOrder):
                await channels.send(tunnel.Channel.STDOUT, b"")
                report = await driver.usage(await self._host(found, node))
                await channels.send(tunnel.Channel.STDOUT, msgspec.json.encode(report))
                return tunnel.success()
            return await driver.stream(await self._translated(order), channels)
        except ports.ClusterFault as fault:
            name = found.metadata.name
            raise streams.Refusal(f"cluster {name}: {fault}", code=503, reason="ServiceUnavailable") from None
        except errors.NotFound:
            raise streams.Refusal("the pod is gone", code=404, reason="NotFound") from None

    def _cluster_of(self, node: str) -> cluster.Cluster | None:
        name, dot, _ = node.partition(".")
        found = self._clusters.find(name) if dot else None
        return found if found is not None and found.spec.type in self._connectors else None

    async def _host(self, found: cluster.Cluster, name: str) -> str:
        """The cluster's own name of a host."""
        shown = await self._api.get(nodes.Node, name)
        return shown.metadata.annotations.get(labels.NAME_THERE, name.removeprefix(f"{found.metadata.name}."))

    async def _translated(
        self, order: tunnel.ExecOrder | tunnel.AttachOrder | tunnel.LogOrder | tunnel.ForwardOrder
    ) -> tunnel.ExecOrder | tunnel.AttachOrder | tunnel.LogOrder | tunnel.ForwardOrder:
        """The order in the cluster's terms: there an instance is known by its mark."""
        found = await self._api.get(pod.Pod, order.pod, namespace=order.namespace)
        if found.metadata.uid != order.uid:
            raise streams.Refusal(f"pod {order.pod} was replaced: try again", code=404, reason="NotFound")
        return msgspec.structs.replace(order, uid=shares.mark_of(found))

    async def _driver(self, found: cluster.Cluster) -> ports.Cluster:
        name = found.metadata.name
        async with self._opening:
            keys = await self._keys(found)
            basis = ids.fingerprint([meta.to_dict(found.spec), found.metadata.uid, dict(keys)], length=32)
            known = self._open.get(name)
            if known is None or known.basis != basis or known.task.done():
                await self._close(name)
                known = self._start(found, keys, basis)
            known.used = self._clock.monotonic()
        end = self._clock.monotonic() + _PATIENCE
        while not known.driver.synced:
            if self._clock.monotonic() > end:
                raise ports.Unreachable(f"it does not answer within {_PATIENCE:.0f} s")
            await self._clock.sleep(_GLANCE)
        return known.driver

    def _start(self, found: cluster.Cluster, keys: Mapping[str, bytes], basis: str) -> _Open:
        if self._group is None:
            raise ports.Unreachable("this server is stopping")
        name = found.metadata.name
        driver = self._connectors[found.spec.type](found, keys)

        async def follow() -> None:
            while True:
                try:
                    await driver.run(lambda _: None)
                except ports.ClusterFault as fault:
                    log.info("cannot reach a cluster for streams", cluster=name, cause=str(fault))
                await self._clock.sleep(1.0)

        task = self._group.create_task(
            supervise.keep_running(f"streams of {name}", follow, clock=self._clock), name=f"streams of {name}"
        )
        opened = self._open[name] = _Open(basis, driver, task, self._clock.monotonic())
        return opened

    async def _close(self, name: str) -> None:
        known = self._open.pop(name, None)
        if known is None:
            return
        known.task.cancel()
        await asyncio.wait([known.task])
        await known.driver.close()

    async def _keys(self, found: cluster.Cluster) -> Mapping[str, bytes]:
        if found.spec.credentials is None:
            return {}
        secret = await self._api.find(config.Secret, found.spec.credentials.secret, namespace=cluster.NAMESPACE)
        if secret is None:
            raise ports.Denied(f"Secret {found.spec.credentials.secret} with its keys is gone")
        return pod_volumes.secret_data(secret)
