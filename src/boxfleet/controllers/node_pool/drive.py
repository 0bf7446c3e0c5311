"""Step 5: one pool's machines."""

from boxfleet.api import node_pool
from boxfleet.client import loop
from boxfleet.controllers.node_pool import begin as begins
from boxfleet.controllers.node_pool import leave as leaves
from boxfleet.controllers.node_pool import ledger as ledgers
from boxfleet.controllers.node_pool import strays as strays_
from boxfleet.ports import provider as ports

# What stands for the pool itself in its queue; no machine is called that.
_LOOK = ""
_AFTER_FAULT = 15.0


class Drive:
    """Brings each machine of a pool from phase to phase, and looks at what the provider has."""

    def __init__(
        self,
        name: str,
        provider: ports.Provider,
        *,
        ledger: ledgers.Ledger,
        begin: begins.Begin,
        leave: leaves.Leave,
        strays: strays_.Strays,
        look: float,
    ) -> None:
        self._name = name
        self._provider = provider
        self._ledger = ledger
        self._begin = begin
        self._leave = leave
        self._strays = strays
        self._seconds = look
        self._loop: loop.Loop[str] = loop.Loop(f"machines of {name}", self.reconcile, slowest=10.0)

    async def run(self) -> None:
        """Work until cancelled."""
        found = self._ledger.pool(self._name)
        for each in found.status.machines if found is not None else ():
            self.wake(each.name)
        self._loop.add(_LOOK)
        await self._loop.run()

    def wake(self, machine: str) -> None:
        """Something changed about a machine."""
        self._loop.add(machine)

    async def reconcile(self, machine: str) -> float | None:
        """One step of one machine; gives seconds until the next."""
        if machine == _LOOK:
            return await self._look()
        found = self._ledger.machine(self._name, machine)
        if found is None:
            return None
        pool, one = found
        match one.phase:
            case node_pool.Phase.CREATING:
                return await self._begin.create(pool, one, self._provider)
            case node_pool.Phase.JOINING:
                return await self._begin.join(pool, one)
            case node_pool.Phase.READY:
                return await self._leave.watch(pool, one)
            case node_pool.Phase.DRAINING:
                return await self._leave.drain(pool, one)
            case node_pool.Phase.DELETING:
                return await self._leave.delete(pool, one, self._provider)

    async def _look(self) -> float:
        try:
            for name in await self._strays.look(self._provider):
                self.wake(name)
        except ports.ProviderFault as fault:
            self._ledger.faults[self._name] = fault
        else:
            self._ledger.faults.pop(self._name, None)
        await self._ledger.change(self._name, lambda status: None)
        return _AFTER_FAULT if self._name in self._ledger.faults else self._seconds

    async def close(self) -> None:
        """Let go of the provider."""
        await self._provider.close()
