"""Step 2: the statuses of pools, read and written in one place."""

import asyncio
import copy
from collections.abc import Callable

from boxfleet.api import node, node_pool
from boxfleet.client import cache, client, errors
from boxfleet.controllers.node_pool import report
from boxfleet.kit import clock
from boxfleet.ports import provider

_TRIES = 5


class Ledger:
    """Pools as last written or seen, whichever is newer: a decision never forgets the one before."""

    def __init__(
        self,
        api: client.Client,
        pools: cache.Cache[node_pool.NodePool],
        nodes: cache.Cache[node.Node],
        *,
        clock: clock.Clock,
    ) -> None:
        self._api = api
        self._pools = pools
        self._nodes = nodes
        self._clock = clock
        self._written: dict[str, node_pool.NodePool] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        # What speaking to the provider came to, by pool.
        self.faults: dict[str, provider.ProviderFault] = {}

    def now(self) -> str:
        """This moment, as statuses have it."""
        return clock.stamp(self._clock.now())

    def age(self, moment: str) -> float:
        """Seconds since a moment; negative for one to come, 0 for none."""
        return (self._clock.now() - clock.parse(moment)).total_seconds() if moment else 0.0

    def pool(self, name: str) -> node_pool.NodePool | None:
        """A pool, unless it is gone."""
        seen, written = self._pools.find(name), self._written.get(name)
        if seen is None:
            self._written.pop(name, None)
            return None
        if written is None or written.metadata.uid != seen.metadata.uid or _revision(seen) >= _revision(written):
            self._written.pop(name, None)
            return seen
        return written

    def pools(self) -> list[node_pool.NodePool]:
        """All pools by name."""
        found = [self.pool(name) for name in sorted(each.metadata.name for each in self._pools)]
        return [each for each in found if each is not None]

    def machine(self, pool: str, name: str) -> tuple[node_pool.NodePool, node_pool.PoolMachine] | None:
        """A machine and its pool, unless either is gone."""
        found = self.pool(pool)
        one = next((each for each in found.status.machines if each.name == name), None) if found is not None else None
        return (found, one) if found is not None and one is not None else None

    async def change(self, name: str, change: Callable[[node_pool.NodePoolStatus], None]) -> None:
        """Write a change of a status, unless it is none; `change` is called again on a newer one. Raises ApiError."""
        async with self._locks.setdefault(name, asyncio.Lock()):
            for attempt in range(_TRIES):
                subject = self.pool(name)
                if subject is None:
                    return
                status = copy.deepcopy(subject.status)
                change(status)
                report.sum_up(subject, status, self._nodes, fault=self.faults.get(name), now=self._clock.now())
                if status == subject.status:
                    return
                new = copy.copy(subject)
                new.status = status
                try:
                    self._written[name] = await self._api.replace(new, subresource="status")
                    return
                except errors.NotFound:
                    return
                except errors.Conflict:
                    if attempt == _TRIES - 1:
                        raise
                    self._written[name] = await self._api.get(node_pool.NodePool, name)

    async def change_machine(
        self,
        pool: str,
        name: str,
        phase: node_pool.Phase | None = None,
        *,
        fault: tuple[str, str] | None = None,
        hold: float = 0.0,
        **fields: object,
    ) -> None:
        """Change one machine; a new phase begins now. A `fault` (reason, message) is kept as the pool's last failure,
        and for `hold` seconds it makes no machines.
        """

        def change(status: node_pool.NodePoolStatus) -> None:
            one = next((each for each in status.machines if each.name == name), None)
            if one is None:
                return
            if phase is not None and one.phase is not phase:
                one.phase, one.since, one.unneededSince = phase, self.now(), ""
            for field, value in fields.items():
                setattr(one, field, value)
            if fault is not None:
                reason, message = fault
                status.lastFailure = node_pool.Failure(time=self.now(), reason=reason, message=message)
                if hold:
                    status.retryAt = report.later(self._clock.now(), hold)
                    status.soldOutUntil = status.retryAt if reason == "SoldOut" else ""

        await self.change(pool, change)


def _revision(subject: node_pool.NodePool) -> int:
    return int(subject.metadata.resourceVersion or 0)
