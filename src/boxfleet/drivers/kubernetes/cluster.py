"""The driver itself: `ports.cluster.Cluster` for Kubernetes."""

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Final

from boxfleet.api import meta, tunnel
from boxfleet.drivers.kubernetes import (
    connection,
    delivery,
    kubeconfig,
    objects,
    remote,
    settings,
    shape,
    survey,
    usage,
    view,
)
from boxfleet.ports import cluster, streams

# Seconds for an order with all that is waited for.
_WHOLE: Final = 120.0


class Cluster:
    """One Kubernetes cluster. Raises Denied when the kubeconfig cannot be used."""

    def __init__(self, own: settings.Settings) -> None:
        self._own = own
        self._via = connection.Connection(kubeconfig.parse(own.kubeconfig))
        self._view = view.View(own, self._via)
        self._delivery = delivery.Delivery(own, objects.Objects(self._via))
        self._remote = remote.Remote(own, self._via, self._view)
        self._server: shape.Server | None = None
        # Two deliveries of one Unit at once would undo each other.
        self._locks: weakref.WeakValueDictionary[meta.Key, asyncio.Lock] = weakref.WeakValueDictionary()

    async def check(self) -> cluster.Report:
        """Look at version, latency, hosts, rights and kinds, without changing anything."""
        with _sense("look at the cluster"):
            report = await survey.look(self._own, self._via)
        # It may have been brought to another version.
        self._server = None
        return report

    async def run(self, changed: Callable[[meta.Key | None], None]) -> None:
        """Follow Pods and hosts."""
        with _sense("follow the cluster"):
            await self._view.run(changed)

    @property
    def synced(self) -> bool:
        """Whether the view follows."""
        return self._view.synced

    def instances(self, key: meta.Key | None = None) -> Sequence[cluster.Instance]:
        """As last seen."""
        return self._view.instances(key)

    def nodes(self) -> Sequence[cluster.Node]:
        """As last seen."""
        return self._view.nodes()

    async def deliver(self, share: cluster.Share) -> None:
        """Make the Unit's native objects be what the share says."""
        async with self._lock(share.key), _bounded(f"deliver Unit {share.unit}"):
            await self._delivery.deliver(share, await self._known())

    async def withdraw(self, key: meta.Key) -> None:
        """Take everything of a Unit away."""
        async with self._lock(key), _bounded(f"withdraw Unit {key.name}"):
            await self._delivery.withdraw(key, await self._known())

    async def renew(self, namespace: str, name: str) -> None:
        """End one instance; its StatefulSet makes it anew. What runs once comes with the next delivery."""
        async with _bounded(f"renew instance {name}"):
            await self._delivery.renew(namespace, name)

    async def stream(self, order: tunnel.Order, channels: streams.Channels) -> bytes:
        """Carry out an order by the cluster's API."""
        if isinstance(order, tunnel.UsageOrder):
            raise streams.Refusal("usage is asked for by node", code=400, reason="BadRequest")
        return await self._remote.run(order, channels)

    async def usage(self, node: str) -> tunnel.UsageReport:
        """What a host and the fleet's instances there use."""
        with _sense(f"measure host {node}"):
            return await usage.measure(self._own, self._via, self._view, node)

    async def close(self) -> None:
        """Let go of connections."""
        await self._via.close()

    def _lock(self, key: meta.Key) -> asyncio.Lock:
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        return lock

    async def _known(self) -> shape.Server:
        if self._server is None:
            self._server = await survey.server_of(self._via)
        return self._server


@contextlib.contextmanager
def _sense(what: str) -> Iterator[None]:
    """An answer of a shape that no API server gives is the cluster's fault, and nobody else's."""
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise cluster.Unreachable(
            f"cannot {what}: something answers there that does not make sense ({type(error).__name__}: {error}); look "
            "whether the kubeconfig's server is a Kubernetes API"
        ) from error


@contextlib.asynccontextmanager
async def _bounded(what: str) -> AsyncIterator[None]:
    try:
        with _sense(what):
            async with asyncio.timeout(_WHOLE):
                yield
    except TimeoutError:
        raise cluster.Unreachable(
            f"cannot {what}: the cluster took more than {_WHOLE:.0f} s; what was begun is finished the next time"
        ) from None
