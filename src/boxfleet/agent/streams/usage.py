"""What this host and its containers use: the runtime's counters and the kernel's, looked at twice.

The rate of a counter takes two looks. The one before counts when it is neither too fresh nor too old; else a second is
taken a moment later. Nothing is looked at while nobody asks.
"""

import asyncio
import os
import pathlib
from typing import Final

import msgspec

from boxfleet.api import tunnel
from boxfleet.kit import clock as clocks
from boxfleet.ports import runtime, streams

# Seconds between the two looks of a rate.
_LEAST: Final = 1.0
_MOST: Final = 60.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class _Look(msgspec.Struct):
    """Counters at one moment: nanoseconds of CPU by container, and of the whole host."""

    at: float
    containers: dict[str, int]
    host: int


class Usage:
    """Measures; one for the whole agent."""

    def __init__(
        self, engine: runtime.Runtime, *, clock: clocks.Clock, proc: pathlib.Path = pathlib.Path("/proc")
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._proc = proc
        self._last: _Look | None = None
        # Whoever asks at the same time waits for the same looks.
        self._measuring = asyncio.Lock()

    async def run(self, channels: streams.Channels) -> bytes:
        """Send the figures as one `tunnel.UsageReport`; the Status to finish with."""
        report = await self.measure()
        await channels.send(tunnel.Channel.STDOUT, b"")
        await channels.send(tunnel.Channel.STDOUT, msgspec.json.encode(report))
        return tunnel.success()

    async def measure(self) -> tunnel.UsageReport:
        """The rates between two looks, and the memory of now."""
        async with self._measuring:
            before = self._last
            if before is None or not _LEAST <= self._clock.monotonic() - before.at <= _MOST:
                before = self._look(await self._engine.stats())
                await self._clock.sleep(_LEAST)
            stats = await self._engine.stats()
            now = self._last = self._look(stats)
        seconds = max(now.at - before.at, 0.001)
        sandboxes = {one.id: one for one in await self._engine.list_sandboxes()}
        containers = {one.id: one for one in await self._engine.list_containers()}
        used = []
        for one in stats:
            container = containers.get(one.id)
            sandbox = sandboxes.get(container.sandbox_id) if container is not None else None
            # A container that began between the looks has used what it has used since.
            spent = one.cpu_ns - before.containers.get(one.id, 0)
            if container is not None and sandbox is not None:
                used.append(
                    tunnel.ContainerReport(
                        namespace=sandbox.namespace,
                        pod=sandbox.name,
                        container=container.name,
                        cpu=max(spent, 0) / seconds / 1e9,
                        memory=one.memory_working_set,
                    )
                )
        return tunnel.UsageReport(
            at=self._clock.now().timestamp(),
            seconds=seconds,
            cpu=max(now.host - before.host, 0) / seconds / 1e9,
            memory=self._memory(),
            containers=used,
        )

    def _look(self, stats: list[runtime.Stats]) -> _Look:
        return _Look(
            at=self._clock.monotonic(), containers={one.id: one.cpu_ns for one in stats}, host=self._host_cpu()
        )

    def _host_cpu(self) -> int:
        """Nanoseconds that all CPUs have worked since the host started (proc(5), /proc/stat)."""
        first = (self._proc / "stat").read_text().partition("\n")[0].split()[1:]
        user, nice, system, _idle, _waiting, interrupts, soft = (int(word) for word in first[:7])
        return (user + nice + system + interrupts + soft) * 1_000_000_000 // _TICKS

    def _memory(self) -> int:
        """Bytes that could not be had for something else (proc(5), /proc/meminfo)."""
        lines = (self._proc / "meminfo").read_text().splitlines()
        known = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
        return known["MemTotal"] - known["MemAvailable"]
