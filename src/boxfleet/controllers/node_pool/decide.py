"""Step 4: one decision for all pools: machines to make, hosts that are unneeded, hosts that leave."""

import asyncio
from collections.abc import Callable, Mapping

from boxfleet.api import node_pool
from boxfleet.client import events as recorders
from boxfleet.controllers.node_pool import facts as facts_
from boxfleet.controllers.node_pool import ledger as ledgers
from boxfleet.kit import ids
from boxfleet.planning import node_pools

# Seconds until it is looked again although nothing was heard: providers may be asked again, hosts become unneeded.
_AGAIN = 10.0
# Names of instances that an event tells of.
_TOLD = 5


class Decider:
    """Decides from facts and writes it down; drives do the rest."""

    def __init__(
        self,
        facts: facts_.Facts,
        ledger: ledgers.Ledger,
        *,
        events: recorders.Recorder,
        wake: Callable[[str, str], None],
        taken: Callable[[str], bool],
    ) -> None:
        """`wake` is told of (pool, machine) that changed; `taken` whether something has a name already."""
        self._facts = facts
        self._ledger = ledger
        self._events = events
        self._wake = wake
        self._taken = taken

    async def decide(self) -> float | None:
        """Decide once; gives seconds until the next look. Raises ApiError."""
        if not self._ledger.pools():
            return None
        fleet = self._facts.gather()
        # Thousands of instances and hosts take a second or so, in which nobody else is to wait.
        growth = await asyncio.to_thread(node_pools.grow, fleet.pending, fleet.places, fleet.pools)
        for name, count in sorted(growth.new.items()):
            await self._make(name, count, fleet)
        shrinkage = await asyncio.to_thread(
            node_pools.shrink, fleet.waiting, fleet.places, fleet.hosts, fleet.pools, budgets=fleet.budgets
        )
        # While hosts are made nobody leaves: what comes is packed anew first.
        going = [] if growth.new else list(shrinkage.go)
        due = _AGAIN
        for pool in fleet.pools:
            hosts = [each for each in fleet.hosts if each.pool == pool.name]
            await self._mark(pool.name, {each.name: each.name in shrinkage.unneeded for each in hosts})
            for each in hosts:
                if each.name in going:
                    await self._dismiss(each, pool)
                elif each.name in shrinkage.unneeded:
                    due = min(due, max(0.1, pool.unneeded_seconds - (each.unneeded or 0.0)))
        return due

    async def _make(self, name: str, count: int, fleet: facts_.Fleet) -> None:
        subject = self._ledger.pool(name)
        if subject is None:
            return
        fresh = [self._name(name) for _ in range(count)]
        generation = subject.metadata.uid

        def change(status: node_pool.NodePoolStatus) -> None:
            found = self._ledger.pool(name)
            if found is None or found.metadata.uid != generation:
                return
            # Somebody may have written meanwhile; the most holds whatever was decided before.
            room = max(0, found.spec.max - len(status.machines))
            for one in fresh[:room]:
                made = node_pool.PoolMachine(name=one, phase=node_pool.Phase.CREATING, since=self._ledger.now())
                status.machines.append(made)

        await self._ledger.change(name, change)
        told = ", ".join(each.key for each in fleet.pending[:_TOLD])
        more = f" and {len(fleet.pending) - _TOLD} more" if len(fleet.pending) > _TOLD else ""
        why = f"for {told}{more}" if told else f"for its minimum of {subject.spec.min}"
        self._events.normal(subject, "ScaleUp", f"{count} host{'s' if count > 1 else ''} {why}")
        for one in fresh:
            self._wake(name, one)

    async def _mark(self, name: str, unneeded: Mapping[str, bool]) -> None:
        def change(status: node_pool.NodePoolStatus) -> None:
            for one in status.machines:
                if one.name in unneeded and bool(one.unneededSince) != unneeded[one.name]:
                    one.unneededSince = self._ledger.now() if unneeded[one.name] else ""

        await self._ledger.change(name, change)

    async def _dismiss(self, host: node_pools.Host, pool: node_pools.Pool) -> None:
        found = self._ledger.machine(host.pool, host.name)
        if found is None or found[1].phase is not node_pool.Phase.READY:
            return
        await self._ledger.change_machine(host.pool, host.name, node_pool.Phase.DRAINING, message="it is not needed")
        seconds = f"{pool.unneeded_seconds:g} s"
        self._events.normal(found[0], "ScaleDown", f"{host.name} is not needed for {seconds}, and leaves")
        self._wake(host.pool, host.name)

    def _name(self, pool: str) -> str:
        while True:
            name = f"{pool}-{ids.name_suffix()}"
            if not self._taken(name):
                return name
