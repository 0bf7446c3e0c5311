"""How the host is: pressure on memory, disk and process numbers."""

import os
import pathlib

import msgspec

from boxfleet.agent import settings
from boxfleet.agent.node import facts
from boxfleet.api import node


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured, in percent free."""

    memory: int
    disk: int
    pids: int


def measure(wish: settings.Settings, machine: facts.Machine) -> Measured:
    """Look at the host now."""
    disk = os.statvfs(wish.state)
    limit = int(pathlib.Path("/proc/sys/kernel/pid_max").read_text())
    # The fourth field of loadavg is "running/existing" (proc(5)).
    existing = int(pathlib.Path("/proc/loadavg").read_text().split()[3].partition("/")[2])
    return Measured(
        memory=100 * facts.available_memory() // max(1, machine.memory),
        disk=100 * disk.f_bavail // max(1, disk.f_blocks),
        pids=100 * (limit - existing) // max(1, limit),
    )


def conditions(
    found: Measured, wish: settings.Settings, *, trouble: tuple[str, str] | None, now: str
) -> list[node.NodeCondition]:
    """The Node's conditions; `trouble` is reason and message when instances cannot be run."""

    def pressure(kind: str, what: str, free: int, floor: int) -> node.NodeCondition:
        tight = free < floor
        return node.NodeCondition(
            type=kind,
            status="True" if tight else "False",
            reason=f"NodeHas{'Insufficient' if tight else 'Sufficient'}{what}",
            message=f"{free}% free" + (f", less than the {floor}% wanted" if tight else ""),
            lastHeartbeatTime=now,
            lastTransitionTime=now,
        )

    ready = node.NodeCondition(
        type="Ready",
        status="True" if trouble is None else "False",
        reason="AgentReady" if trouble is None else trouble[0],
        message="the agent is ready to run instances" if trouble is None else trouble[1],
        lastHeartbeatTime=now,
        lastTransitionTime=now,
    )
    return [
        pressure("MemoryPressure", "Memory", found.memory, wish.memory_pressure),
        pressure("DiskPressure", "Disk", found.disk, wish.disk_pressure),
        pressure("PIDPressure", "PID", found.pids, 5),
        ready,
    ]
