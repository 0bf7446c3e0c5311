"""What containers use: the engine's counters, looked at twice."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from boxfleet.api import tunnel
from boxfleet.drivers.docker import connection, faults, model
from boxfleet.kit import clock as clocks
from boxfleet.kit import tasks

# Seconds between the two looks of a rate.
_LEAST: Final = 1.0
_MOST: Final = 60.0
_AT_ONCE: Final = 8


class Usage:
    """Measures; the figures of the host are those of all containers on the engine, others' too."""

    def __init__(self, link: connection.Connection, *, clock: clocks.Clock) -> None:
        self._link = link
        self._clock = clock
        self._last: tuple[float, dict[str, int]] | None = None
        # Whoever asks at the same time waits for the same looks.
        self._measuring = asyncio.Lock()

    async def measure(self, ours: Iterable[model.Container]) -> tunnel.UsageReport:
        """The rates between two looks, and the memory of now. Raises ClusterFaults."""
        known = {one.id: one.mark for one in ours}
        async with self._measuring:
            before = self._last
            if before is None or not _LEAST <= self._clock.monotonic() - before[0] <= _MOST:
                before = (self._clock.monotonic(), _cpu(await self._look()))
                await self._clock.sleep(_LEAST)
            stats = await self._look()
            now = self._last = (self._clock.monotonic(), _cpu(stats))
        seconds = max(now[0] - before[0], 0.001)
        rates = {one: max(used - before[1].get(one, 0), 0) / seconds / 1e9 for one, used in now[1].items()}
        memory = {one: _memory(figures) for one, figures in stats.items()}
        return tunnel.UsageReport(
            at=self._clock.now().timestamp(),
            seconds=seconds,
            cpu=sum(rates.values()),
            memory=sum(memory.values()),
            containers=[
                tunnel.ContainerReport(
                    namespace=mark.namespace,
                    pod=mark.pod,
                    container=mark.container,
                    cpu=rates[one],
                    memory=memory[one],
                )
                for one, mark in known.items()
                if one in rates and mark.role in ("main", "sidecar", "init")
            ],
        )

    async def _look(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}

        async def look(container_id: str) -> None:
            try:
                found[container_id] = await self._link.call(
                    "GET", f"/containers/{container_id}/stats", params={"stream": False, "one-shot": True}
                )
            except (faults.NotFound, faults.Conflict):
                # It ended meanwhile.
                return

        there = await self._link.call("GET", "/containers/json")
        await tasks.gather((look(one["Id"]) for one in there), limit=_AT_ONCE)
        return found


def _cpu(stats: dict[str, dict[str, Any]]) -> dict[str, int]:
    return {one: int(figures["cpu_stats"]["cpu_usage"].get("total_usage") or 0) for one, figures in stats.items()}


def _memory(figures: dict[str, Any]) -> int:
    """Without what the kernel could take back at once, as a kubelet counts ("working set")."""
    memory = figures.get("memory_stats") or {}
    idle = (memory.get("stats") or {}).get("total_inactive_file", (memory.get("stats") or {}).get("inactive_file", 0))
    return max(int(memory.get("usage") or 0) - int(idle), 0)
