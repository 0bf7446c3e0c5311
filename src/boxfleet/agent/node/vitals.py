"""How the host is now: what is measured for the conditions of its Node."""

import asyncio
import collections
import os
import pathlib
from collections.abc import Callable, Iterable, Sequence

import structlog

from boxfleet.agent import settings
from boxfleet.agent.node import facts, stalls
from boxfleet.agent.node.found import files
from boxfleet.api import labels, lease, node
from boxfleet.client import client, errors
from boxfleet.kit import cgroup
from boxfleet.kit import clock as clocks
from boxfleet.planning import host_health
from boxfleet.ports import runtime

log = structlog.get_logger()

# Seconds between looks at what costs a call or many files, and for which a runtime may keep silent.
_SELDOM = 30.0
_PATIENCE = 10.0
# Seconds for which an error of a disk, and a restart of the runtime, count as lately.
_ERRORS_WITHIN = 600.0
_RESTARTS_WITHIN = 1200.0


class Vitals:
    """Measures cheaply when it is asked, and the rest from time to time beside that.

    `restarts` gives the moments at which the runtime had to be started again, `faults` what is wrong with scripts.
    """

    def __init__(
        self,
        api: client.Client,
        engine: runtime.Runtime,
        *,
        settings: settings.Settings,
        machine: facts.Machine,
        clock: clocks.Clock,
        restarts: Callable[[], Iterable[float]] = tuple,
        faults: Callable[[], Sequence[str]] = tuple,
        root: pathlib.Path = pathlib.Path("/"),
        patience: float = _PATIENCE,
    ) -> None:
        self._api = api
        self._engine = engine
        self._settings = settings
        self._machine = machine
        self._clock = clock
        self._restarts = restarts
        self._faults = faults
        self._root = root
        self._patience = patience
        self._limits = host_health.Limits(
            memory=settings.memory_pressure, disk=settings.disk_pressure, hold=settings.pressure_hold
        )
        self._latch = host_health.Latch()
        # Systems that are made so that nobody can write their root are well.
        self._root_was_writable = not _is_read_only(root)
        self._errors = Errors()
        self._disk_errors: dict[str, int] = {}
        self._silent = ""
        self._offsets: collections.deque[float] = collections.deque(maxlen=2)
        self.last = host_health.Reading()

    def conditions(self, *, trouble: tuple[str, str] | None, now: str) -> list[node.NodeCondition]:
        """The Node's conditions at this moment."""
        self.last = self.measure()
        found = host_health.findings(self.last, self._limits)
        held = self._latch.conditions(found, hold=self._limits.hold, moment=self._clock.monotonic(), now=now)
        return [*held, host_health.ready(trouble, now=now)]

    def findings(self) -> dict[str, host_health.Finding]:
        """What is bad at this very moment."""
        self.last = self.measure()
        return host_health.findings(self.last, self._limits)

    def measure(self) -> host_health.Reading:
        """Look at the host now."""
        state = pathlib.Path(self._settings.state)
        disk = os.statvfs(state)
        limit = files.number(self._root / "proc/sys/kernel/pid_max") or 0
        # The fourth field of loadavg is "running/existing" (proc(5)).
        words = files.text(self._root / "proc/loadavg").split()
        existing = int(words[3].partition("/")[2]) if len(words) > 3 else 0
        memory = stalls.read(self._root, "memory")
        moment = self._clock.monotonic()
        return host_health.Reading(
            memory_free=min(
                _percent(facts.available_memory(), self._machine.memory), self._pods_memory_free(default=100)
            ),
            disk_free=_percent(disk.f_bavail, disk.f_blocks),
            inodes_free=_percent(disk.f_favail, disk.f_files),
            pids_free=_percent(limit - existing, limit),
            cpu_stall=stalls.read(self._root, "cpu").some60,
            # Of the last seconds, too: what is over shall not be acted on.
            memory_stall=min(memory.full60, memory.full10),
            io_stall=stalls.read(self._root, "io").full60,
            read_only=tuple(self._read_only(state)),
            disk_errors=self._disk_errors,
            # Two times in a row: a server that took long to write says nothing about clocks.
            clock_off=min(self._offsets, key=abs) if len(self._offsets) == 2 else None,
            runtime_silent=self._silent,
            runtime_restarts=sum(1 for each in self._restarts() if moment - each < _RESTARTS_WITHIN),
            script_faults=tuple(self._faults()),
        )

    async def run(self) -> None:
        """Look at what changes seldom until cancelled."""
        while True:
            counters = await asyncio.to_thread(error_counters, self._root)
            self._disk_errors = self._errors.lately(counters, moment=self._clock.monotonic())
            await self._ask_runtime()
            await self._compare_clocks()
            await self._clock.sleep(_SELDOM)

    async def _ask_runtime(self) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await self._engine.version()
            self._silent = ""
        except TimeoutError:
            self._silent = f"the container runtime gives no answer for {self._patience:g} s"
        except runtime.RuntimeFault as error:
            self._silent = f"the container runtime does not answer: {error}"

    async def _compare_clocks(self) -> None:
        """By one and the same write: the Lease has our time of it, and the server's."""
        path = client.path_of(lease.Lease, namespace=labels.LEASE_NAMESPACE, name=self._settings.node)
        try:
            found = await self._api.call("GET", path)
            written = max(one["time"] for one in found["metadata"]["managedFields"])
            said = found["spec"]["renewTime"]
            self._offsets.append((clocks.parse(written) - clocks.parse(said)).total_seconds())
        except errors.ApiError:
            self._offsets.clear()
        except (KeyError, ValueError) as error:
            log.debug("the lease says nothing of the servers' time", cause=repr(error))

    def _read_only(self, state: pathlib.Path) -> list[str]:
        found = []
        if self._root_was_writable and _is_read_only(self._root):
            found.append(str(self._root))
        if _is_read_only(state):
            found.append(str(state))
        return found

    def _pods_memory_free(self, *, default: int) -> int:
        """What is left of the memory that all instances may have together, in percent."""
        root = pathlib.Path(self._settings.cgroup_root)
        for place in cgroup.places(self._settings.cgroup_parent):
            for folder, most, used, idle in (
                (root / place, "memory.max", "memory.current", "inactive_file"),
                (root / "memory" / place, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
            ):
                limit, now = files.number(folder / most), files.number(folder / used)
                if limit is None or now is None or limit > self._machine.memory:
                    continue
                stat = dict(line.split()[:2] for line in files.text(folder / "memory.stat").splitlines())
                return _percent(limit - now + int(stat.get(idle, 0)), limit)
        return default


class Errors:
    """Counters of errors over time: what they count up to says little, that they count up says all."""

    def __init__(self) -> None:
        self._seen: collections.deque[tuple[float, dict[str, int]]] = collections.deque()

    def lately(self, counters: dict[str, int], *, moment: float) -> dict[str, int]:
        """What came up in the last minutes, by disk."""
        self._seen.append((moment, counters))
        while len(self._seen) > 1 and moment - self._seen[1][0] >= _ERRORS_WITHIN:
            self._seen.popleft()
        before = self._seen[0][1]
        # One that was not there before begins now.
        return {name: more for name, count in counters.items() if (more := count - before.get(name, count)) > 0}


def error_counters(root: pathlib.Path) -> dict[str, int]:
    """Errors that the kernel has counted: requests of SCSI and SATA disks, and what ext4 found broken."""
    found = {}
    for disk in files.entries(root / "sys/block"):
        found[disk.name] = files.number(disk / "device/ioerr_cnt")
    for system in files.entries(root / "sys/fs/ext4"):
        found[f"ext4 on {system.name}"] = files.number(system / "errors_count")
    return {name: count for name, count in found.items() if count is not None}


def _is_read_only(path: pathlib.Path) -> bool:
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def _percent(part: int, whole: int) -> int:
    # File systems without inodes of their own say that they have none.
    return 100 * part // whole if whole > 0 else 100
