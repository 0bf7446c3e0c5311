"""A Docker engine or a Swarm as a cluster (`ports.cluster.Cluster`): which of both, the engine says itself."""

from collections.abc import Callable, Mapping, Sequence

from boxfleet.api import cluster as clusters
from boxfleet.api import meta, tunnel, wellknown
from boxfleet.drivers.docker import connection, engine, place, report
from boxfleet.drivers.docker.swarm import swarm
from boxfleet.kit import clock as clocks
from boxfleet.ports import cluster, streams


class Driver:
    """`fleet` tells what is ours there; `domain` is the suffix of domain names.

    An engine that manages a Swarm when it is first spoken to is driven as that, any other one by itself.
    """

    def __init__(
        self,
        access: clusters.DockerAccess,
        *,
        fleet: str,
        credentials: Mapping[str, bytes],
        clock: clocks.Clock,
        domain: str = wellknown.DOMAIN,
    ) -> None:
        self._link = connection.Connection(connection.Where.parse(access.host), credentials)
        self._wish = place.Wish(fleet=fleet, domain=domain, network=access.network)
        self._clock = clock
        self._chosen: engine.Engine | swarm.Swarm | None = None

    async def check(self) -> cluster.Report:
        """Look at it without changing anything."""
        try:
            chosen = await self._choose()
        except cluster.Unsupported:
            # Too old: that is what a look is for.
            return await report.look(self._link, self._wish, clock=self._clock)
        return await chosen.check()

    async def run(self, changed: Callable[[meta.Key | None], None]) -> None:
        """Keep the view up to date, and carry out what takes long, until cancelled."""
        await (await self._choose()).run(changed)

    @property
    def synced(self) -> bool:
        """Whether the view is whole and fresh."""
        return self._chosen is not None and self._chosen.synced

    def instances(self, key: meta.Key | None = None) -> Sequence[cluster.Instance]:
        """The instances of a Unit, or of the fleet."""
        return self._chosen.instances(key) if self._chosen is not None else ()

    def nodes(self) -> Sequence[cluster.Node]:
        """Its hosts."""
        return self._chosen.nodes() if self._chosen is not None else ()

    async def deliver(self, share: cluster.Share) -> None:
        """Make the Unit's containers or services be what the share says."""
        await (await self._choose()).deliver(share)

    async def withdraw(self, key: meta.Key) -> None:
        """Take away all that was made for a Unit."""
        await (await self._choose()).withdraw(key)

    async def renew(self, namespace: str, name: str) -> None:
        """End one instance and make it anew."""
        await (await self._choose()).renew(namespace, name)

    async def stream(self, order: tunnel.Order, channels: streams.Channels) -> bytes:
        """Carry out exec, attach, logs or port-forward."""
        return await (await self._choose()).stream(order, channels)

    async def usage(self, node: str) -> tunnel.UsageReport:
        """What a host and our instances there use."""
        return await (await self._choose()).usage(node)

    async def close(self) -> None:
        """Let go of connections; the engine's work goes on."""
        await self._link.close()

    async def _choose(self) -> engine.Engine | swarm.Swarm:
        if self._chosen is None:
            info = await self._link.call("GET", "/info")
            manages = bool((info.get("Swarm") or {}).get("ControlAvailable"))
            # Somebody else may have been faster.
            if self._chosen is None:
                kind = swarm.Swarm if manages else engine.Engine
                self._chosen = kind(self._link, self._wish, clock=self._clock)
        return self._chosen
