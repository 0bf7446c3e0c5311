"""Load from wrk, and what it costs the server: wrk is no bottleneck where a client in Python would be."""

import asyncio
import dataclasses
import os
import pathlib
import subprocess
from collections.abc import Sequence

import msgspec

SCRIPT = pathlib.Path(__file__).with_name("load.lua")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server under load: where it is, who may ask, and the processes whose CPU time counts."""

    url: str
    token: str
    processes: Sequence[int]


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What one run came to; latencies in milliseconds, CPU in microseconds for each request."""

    rate: float
    median: float
    p99: float
    cpu: float
    failed: int


class _Said(msgspec.Struct):
    requests: int
    microseconds: int
    median: float
    p99: float
    failed: int
    broken: int


async def load(target: Target, verb: str, *, seconds: int, objects: int, connections: int = 16) -> Load:
    """Send one verb for some seconds; raises RuntimeError when connections broke."""
    before = cpu_seconds(target.processes)
    process = await asyncio.create_subprocess_exec(
        "wrk", "--threads=1", f"--connections={connections}", f"--duration={seconds}s", f"--script={SCRIPT}",
        target.url, "--", verb, str(objects), target.token,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    words = (await process.communicate())[1].decode()
    spent = cpu_seconds(target.processes) - before
    if process.returncode != 0 or not words.strip():
        raise RuntimeError(f"wrk failed: {words}")
    said = msgspec.json.decode(words.strip().splitlines()[-1], type=_Said)
    if said.broken:
        raise RuntimeError(f"{said.broken} connections broke during {verb}")
    return Load(
        rate=said.requests / said.microseconds * 1e6,
        median=said.median / 1000,
        p99=said.p99 / 1000,
        cpu=spent / said.requests * 1e6,
        failed=said.failed,
    )


def cpu_seconds(processes: Sequence[int]) -> float:
    """User and system time that processes have taken so far."""
    total = 0
    for pid in processes:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def resident_mib(processes: Sequence[int]) -> float:
    """Memory of processes that is in RAM."""
    total = 0
    for pid in processes:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1])
    return total / 1024


def processes_of(folder: pathlib.Path) -> list[int]:
    """Processes whose command line names a folder, but for this one."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if str(folder).encode() in words and int(path.parent.name) != os.getpid():
            found.append(int(path.parent.name))
    return found
