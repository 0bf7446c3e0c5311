"""Step 8: what the provider has, against what is known."""

from boxfleet.api import node_pool
from boxfleet.client import client
from boxfleet.client import events as recorders
from boxfleet.controllers.node_pool import ledger as ledgers
from boxfleet.ports import provider as ports

_THERE = (node_pool.Phase.JOINING, node_pool.Phase.READY)


class Strays:
    """Compares one pool with its provider."""

    def __init__(self, api: client.Client, ledger: ledgers.Ledger, pool: str, *, events: recorders.Recorder) -> None:
        self._api = api
        self._ledger = ledger
        self._pool = pool
        self._events = events
        # Machines that the last look did not show: one look may be behind.
        self._missed: set[str] = set()

    async def look(self, provider: ports.Provider) -> list[str]:
        """Look once; gives the machines whose end is to be seen to. Raises ApiError and ProviderFault."""
        subject = self._ledger.pool(self._pool)
        if subject is None:
            return []
        before = {each.name for each in subject.status.machines if each.phase in _THERE}
        there = {each.name for each in await provider.list()}
        # Names are written down before machines are made, so what is not known now is nobody's. Asked of the server:
        # a cache may be behind, and what is deleted is gone.
        fresh = await self._api.find(node_pool.NodePool, self._pool)
        if fresh is None or fresh.metadata.uid != subject.metadata.uid:
            return []
        for name in sorted(there - {each.name for each in fresh.status.machines}):
            await provider.delete(name)
            self._events.warning(fresh, "StrayDeleted", f"{name} is known to the provider alone, and was deleted")
        missed = before - there
        gone, self._missed = sorted(missed & self._missed), missed
        for name in gone:
            why = "the provider does not have it any more"
            await self._ledger.change_machine(self._pool, name, node_pool.Phase.DELETING, message=why)
            self._events.warning(fresh, "MachineGone", f"{name}: {why}")
        return gone
