"""Step 7: from a host to nothing."""

from boxfleet.api import labels, node, node_pool, pod, volume_claim
from boxfleet.client import cache, client, errors
from boxfleet.client import events as recorders
from boxfleet.controllers import caches
from boxfleet.controllers.node_pool import begin
from boxfleet.controllers.node_pool import ledger as ledgers
from boxfleet.planning import draining
from boxfleet.ports import provider as ports

# Seconds between looks at a host that is emptied: who was bound before it was cordoned is seen then.
_LOOK = 1.0
_REFUSED = 5.0
# Seconds until a provider is asked again to take a machine away.
_AGAIN = 15.0


class Leave:
    """Empties hosts, and takes machines away."""

    def __init__(
        self,
        api: client.Client,
        ledger: ledgers.Ledger,
        indexed: caches.Indexed,
        nodes: cache.Cache[node.Node],
        *,
        begin: begin.Begin,
        events: recorders.Recorder,
    ) -> None:
        self._api = api
        self._ledger = ledger
        self._claims = indexed.claims
        self._nodes = nodes
        self._begin = begin
        self._events = events

    async def watch(self, pool: node_pool.NodePool, machine: node_pool.PoolMachine) -> float | None:
        """Phase Ready: until its Node is gone, which ends the machine's certificate, so that it is of no use."""
        host = machine.name
        if self._nodes.find(host) is not None or await self._api.find(node.Node, host) is not None:
            return None
        why = "its Node was deleted"
        await self._ledger.change_machine(pool.metadata.name, host, node_pool.Phase.DELETING, message=why)
        self._events.warning(pool, "NodeGone", f"{host}: {why}, so the machine goes")
        return 0.0

    async def drain(self, pool: node_pool.NodePool, machine: node_pool.PoolMachine) -> float | None:
        """Phase Draining: cordon, evict, and go on when nothing is left. Gives up when it takes too long."""
        name, host = pool.metadata.name, machine.name
        found = self._nodes.find(host)
        if found is None:
            if await self._api.find(node.Node, host) is None:
                await self._ledger.change_machine(name, host, node_pool.Phase.DELETING)
                return 0.0
            return _LOOK
        if not found.spec.unschedulable:
            await self._api.patch(node.Node, host, {"spec": {"unschedulable": True}})
            return _LOOK
        going = bool(pool.metadata.deletionTimestamp)
        kept = [each for each in self._claims if each.metadata.annotations.get(labels.SELECTED_NODE) == host]
        pods = (await self._api.list(pod.Pod, fields=f"spec.nodeName={host}")).items
        there = {each.metadata.uid: each for each in pods if not each.status.has_ended}
        why = f"it keeps the data of {kept[0].key}" if kept else await self._evict(host, there, kept)
        if not there and not kept:
            await self._ledger.change_machine(name, host, node_pool.Phase.DELETING, message="")
            return 0.0
        late = self._ledger.age(machine.since) > pool.spec.scaleDown.drainSeconds
        if not going and (late or kept):
            await self._keep(pool, machine, why or f"it is not empty after {pool.spec.scaleDown.drainSeconds} s")
            return None
        await self._ledger.change_machine(name, host, message=why or machine.message)
        return _REFUSED if why else _LOOK

    async def delete(
        self, pool: node_pool.NodePool, machine: node_pool.PoolMachine, provider: ports.Provider
    ) -> float | None:
        """Phase Deleting: the machine, its Node, its tokens, and last its name."""
        name, host = pool.metadata.name, machine.name
        try:
            await provider.delete(host)
        except ports.ProviderFault as fault:
            await self._ledger.change_machine(name, host, message=f"cannot be deleted: {fault}")
            self._events.warning(pool, "CannotDelete", f"{host}: {fault}")
            return _AGAIN
        found = await self._api.find(node.Node, host)
        if found is not None and found.metadata.labels.get(labels.NODE_POOL) == name:
            try:
                await self._api.delete(node.Node, host, uid=found.metadata.uid)
            except (errors.NotFound, errors.Conflict):
                return 0.0
        await self._begin.revoke(machine)

        def change(status: node_pool.NodePoolStatus) -> None:
            status.machines = [each for each in status.machines if each.name != host]

        await self._ledger.change(name, change)
        self._events.normal(pool, "MachineDeleted", f"{host} is deleted")
        return None

    async def _evict(self, host: str, there: dict[str, pod.Pod], kept: list[volume_claim.PersistentVolumeClaim]) -> str:
        """Ask all to leave; why not all of them do, empty when they do."""
        why = ""
        for each in draining.leaving(host, there.values(), kept):
            if each.refused:
                why = why or f"{each} is nobody's: delete it"
            elif not there[each.uid].metadata.deletionTimestamp:
                try:
                    await self._api.evict(namespace=each.namespace, pod=each.name, uid=each.uid)
                except (errors.NotFound, errors.Conflict):
                    continue
                except errors.Unavailable as error:
                    why = why or f"{each}: {error.message}"
        return why

    async def _keep(self, pool: node_pool.NodePool, machine: node_pool.PoolMachine, why: str) -> None:
        """It takes instances again."""
        await self._ledger.change_machine(pool.metadata.name, machine.name, node_pool.Phase.READY, message="")
        await self._api.patch(node.Node, machine.name, {"spec": {"unschedulable": None}})
        self._events.warning(pool, "NotDrained", f"{machine.name} stays: {why}")
