"""How a host is, from what was measured: the conditions of its Node, with hysteresis so that none flaps."""

from collections.abc import Mapping

import msgspec

from boxfleet.api import node


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured. Shares are in percent, seconds of the clock count from the servers' time."""

    memory_free: int = 100
    disk_free: int = 100
    inodes_free: int = 100
    pids_free: int = 100
    # Of the last minute: in which some work waited for a processor, and all work for memory or a disk.
    cpu_stall: float = 0.0
    memory_stall: float = 0.0
    io_stall: float = 0.0
    # Folders that became read-only.
    read_only: tuple[str, ...] = ()
    # By disk or file system: errors that came up lately.
    disk_errors: Mapping[str, int] = {}
    # None while it is not known.
    clock_off: float | None = None
    # Why the runtime does not answer.
    runtime_silent: str = ""
    # How often it had to be started again lately.
    runtime_restarts: int = 0
    script_faults: tuple[str, ...] = ()


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Free percent of memory and disk below which there is pressure, and seconds for which one stays at least."""

    memory: int
    disk: int
    hold: float
    # Kubernetes' own values where it has one.
    inodes: int = 5
    pids: int = 5
    # From here on next to nothing gets done: for memory less than where systemd-oomd kills (60%).
    cpu_stall: float = 90.0
    memory_stall: float = 40.0
    io_stall: float = 80.0
    # The API's times are whole seconds, and a busy server takes some to answer.
    clock: float = 10.0
    # As often within the time that is looked at is no accident (node-problem-detector's own value).
    restarts: int = 5


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing about a host: bad, or at least `near` enough to it that it is not over yet."""

    bad: bool
    near: bool = False
    reason: str = ""
    message: str = ""


# The reason while all is well.
_WELL = {
    "MemoryPressure": "NodeHasSufficientMemory",
    "DiskPressure": "NodeHasSufficientDisk",
    "PIDPressure": "NodeHasSufficientPID",
    "CPUPressure": "ProcessorsKeepUp",
    "IOPressure": "DisksKeepUp",
    "DiskProblem": "NoDiskErrors",
    "ReadOnlyProblem": "DisksAreWritable",
    "ClockProblem": "ClockIsRight",
    "RuntimeProblem": "RuntimeIsWell",
    "FactsProblem": "ScriptsAreWell",
}


def findings(found: Reading, limits: Limits) -> dict[str, Finding]:
    """By the condition's type."""
    memory = _scarce(found.memory_free, limits.memory, "NodeHasInsufficientMemory")
    if not memory.bad:
        memory = _stalled(
            found.memory_stall, limits.memory_stall, "MemoryThrashes", "all work waited for memory", memory
        )
    disk = _scarce(found.disk_free, limits.disk, "NodeHasInsufficientDisk")
    if not disk.bad:
        inodes = _scarce(found.inodes_free, limits.inodes, "NodeHasInsufficientInodes", what="of the inodes free")
        disk = inodes if inodes.bad or inodes.near else disk
    nothing = Finding(bad=False)
    return {
        "MemoryPressure": memory,
        "DiskPressure": disk,
        "PIDPressure": _scarce(found.pids_free, limits.pids, "NodeHasInsufficientPID"),
        "CPUPressure": _stalled(
            found.cpu_stall, limits.cpu_stall, "ProcessorsAreBusy", "some work waited for a processor", nothing
        ),
        "IOPressure": _stalled(found.io_stall, limits.io_stall, "DisksAreBusy", "all work waited for a disk", nothing),
        "DiskProblem": Finding(
            bad=bool(found.disk_errors),
            reason="DiskErrors",
            message="errors lately: "
            + ", ".join(f"{each} {count}" for each, count in sorted(found.disk_errors.items()))
            if found.disk_errors
            else "",
        ),
        "ReadOnlyProblem": Finding(
            bad=bool(found.read_only),
            reason="DiskIsReadOnly",
            message=f"cannot be written any more: {', '.join(found.read_only)}" if found.read_only else "",
        ),
        "ClockProblem": _clock(found.clock_off, limits.clock),
        "RuntimeProblem": _runtime(found, limits),
        "FactsProblem": Finding(
            bad=bool(found.script_faults), reason="ScriptsAtFault", message="; ".join(found.script_faults)[:1024]
        ),
    }


def _scarce(free: int, floor: int, reason: str, *, what: str = "free") -> Finding:
    # Over only when there is half as much again: what was cleared away may come back.
    message = f"{free}% {what}" + (f", less than the {floor}% wanted" if free < floor else "")
    return Finding(bad=free < floor, near=free < floor * 1.5, reason=reason, message=message)


def _stalled(share: float, limit: float, reason: str, what: str, otherwise: Finding) -> Finding:
    if share >= limit * 0.75:
        message = f"{what} in {share:.0f}% of the last minute"
        return Finding(bad=share >= limit, near=True, reason=reason, message=message)
    return otherwise


def _clock(off: float | None, limit: float) -> Finding:
    if off is None or abs(off) < limit / 2:
        return Finding(bad=False)
    message = f"the clock is {abs(off):.0f} s {'behind' if off > 0 else 'ahead of'} the servers'"
    return Finding(bad=abs(off) >= limit, near=True, reason="ClockIsOff", message=message)


def _runtime(found: Reading, limits: Limits) -> Finding:
    if found.runtime_silent:
        return Finding(bad=True, reason="RuntimeSilent", message=found.runtime_silent)
    many = found.runtime_restarts >= limits.restarts
    message = f"had to be started again {found.runtime_restarts} times lately" if many else ""
    return Finding(bad=many, reason="RuntimeRestarts", message=message)


class Latch:
    """Remembers what was bad: a condition goes away only when all has been well for a while."""

    def __init__(self) -> None:
        # By type: when it was seen last, and what was said.
        self._last: dict[str, tuple[float, Finding]] = {}

    def conditions(
        self, found: Mapping[str, Finding], *, hold: float, moment: float, now: str
    ) -> list[node.NodeCondition]:
        """The conditions for findings at a moment (seconds of a clock that never goes back)."""
        return [self._condition(kind, each, hold=hold, moment=moment, now=now) for kind, each in found.items()]

    def _condition(self, kind: str, found: Finding, *, hold: float, moment: float, now: str) -> node.NodeCondition:
        before = self._last.get(kind)
        if found.bad or (before is not None and found.near):
            self._last[kind] = (moment, found)
            said = found
        elif before is not None and moment - before[0] < hold:
            said = before[1]
        else:
            self._last.pop(kind, None)
            return _built(kind, "False", _WELL[kind], found.message, now)
        return _built(kind, "True", said.reason, said.message, now)


def ready(trouble: tuple[str, str] | None, *, now: str) -> node.NodeCondition:
    """The Ready condition; `trouble` is reason and message when instances cannot be run."""
    if trouble is None:
        return _built("Ready", "True", "AgentReady", "the agent is ready to run instances", now)
    return _built("Ready", "False", *trouble, now)


def _built(kind: str, status: str, reason: str, message: str, now: str) -> node.NodeCondition:
    return node.NodeCondition(
        type=kind, status=status, reason=reason, message=message, lastHeartbeatTime=now, lastTransitionTime=now
    )
