"""Step 6: from a name to a host."""

from boxfleet.api import config, labels, node, node_pool
from boxfleet.client import cache, client, errors
from boxfleet.client import events as recorders
from boxfleet.controllers.node_pool import joining, report
from boxfleet.controllers.node_pool import ledger as ledgers
from boxfleet.kit import clock
from boxfleet.planning import node_health
from boxfleet.ports import provider as ports

# Seconds between looks at a machine that is on its way.
_AGAIN = 15.0


class Begin:
    """Makes machines and has them join."""

    def __init__(
        self,
        api: client.Client,
        ledger: ledgers.Ledger,
        nodes: cache.Cache[node.Node],
        *,
        joins: joining.Joins,
        events: recorders.Recorder,
        clock: clock.Clock,
    ) -> None:
        self._api = api
        self._ledger = ledger
        self._nodes = nodes
        self._joins = joins
        self._events = events
        self._clock = clock

    async def create(
        self, pool: node_pool.NodePool, machine: node_pool.PoolMachine, provider: ports.Provider
    ) -> float | None:
        """Phase Creating: a token, whose public part is written down before it is good, then the machine."""
        name = pool.metadata.name
        if pool.metadata.deletionTimestamp or report.held(pool.status, self._clock.now()):
            await self._ledger.change_machine(
                name, machine.name, node_pool.Phase.DELETING, message="its pool makes no machines now"
            )
            return 0.0
        try:
            server, authority = self._joins.where()
            template = pool.spec.template
            zone = {labels.ZONE: template.zone} if template.zone else {}
            known = template.labels | zone | {labels.NODE_POOL: name}
            # The provider may take its time too.
            seconds = pool.spec.joinSeconds + 2 * pool.spec.provider.timeoutSeconds
            token = self._joins.token(machine.name, labels=known, taints=template.taints, seconds=seconds)
            await self._ledger.change_machine(name, machine.name, tokens=[*machine.tokens, token.identifier])
            await self._api.create(token.secret)
            made = await provider.create(
                ports.Order(
                    name=machine.name,
                    join=ports.Join(server=server, authority=authority, token=token.token),
                    zone=template.zone,
                    resources=template.resources,
                    labels=known,
                )
            )
        except ports.ProviderFault as fault:
            # Whatever was made of it is taken away: only the provider knows.
            await self._fail(pool, machine, type(fault).__name__, str(fault))
            return 0.0
        await self._ledger.change_machine(name, machine.name, node_pool.Phase.JOINING, id=made.id, message="")
        self._events.normal(pool, "MachineMade", f"{machine.name} is made ({made.id or 'no id'}), and is to join")
        return 0.0

    async def join(self, pool: node_pool.NodePool, machine: node_pool.PoolMachine) -> float | None:
        """Phase Joining: until the Node is Ready, or it takes too long."""
        name = pool.metadata.name
        if pool.metadata.deletionTimestamp:
            await self._ledger.change_machine(name, machine.name, node_pool.Phase.DELETING)
            return 0.0
        found = self._nodes.find(machine.name)
        if found is not None and node_health.is_ready(found):
            await self.revoke(machine)
            await self._ledger.change_machine(name, machine.name, node_pool.Phase.READY, tokens=[])
            self._events.normal(pool, "HostJoined", f"{machine.name} is Ready")
            return None
        left = pool.spec.joinSeconds - self._ledger.age(machine.since)
        if left > 0:
            return min(left, _AGAIN)
        state = "is not Ready" if found is not None else "has not joined"
        await self._fail(
            pool,
            machine,
            "NotJoined",
            f"{machine.name} {state} {pool.spec.joinSeconds} s after it was made: see what it says when it starts",
        )
        return 0.0

    async def revoke(self, machine: node_pool.PoolMachine) -> None:
        """End its tokens."""
        for identifier in machine.tokens:
            namespace, secret = self._joins.secret_of(identifier)
            try:
                await self._api.delete(config.Secret, secret, namespace=namespace)
            except errors.NotFound:
                continue

    async def _fail(self, pool: node_pool.NodePool, machine: node_pool.PoolMachine, reason: str, message: str) -> None:
        await self._ledger.change_machine(
            pool.metadata.name,
            machine.name,
            node_pool.Phase.DELETING,
            fault=(reason, message),
            hold=pool.spec.retrySeconds,
            message=message,
        )
        self._events.warning(pool, reason, message)
