"""The cgroup above all instances: what the host reserves is enforced there, on cgroup v1 and v2 alike.

Where systemd owns the cgroups it is asked for the limits: written past it, they would be on a group that the engine
does not use, or be gone at systemd's next reload.
"""

import pathlib
import subprocess

import structlog

from boxfleet.kit import cgroup
from boxfleet.planning import pod_resources

log = structlog.get_logger()

# Seconds for systemd to answer.
_PATIENCE = 30
_KERNEL = pathlib.Path("/proc/sys/kernel")


def enforce(
    root: pathlib.Path,
    parent: str,
    *,
    cpu: int,
    memory: int,
    booted: pathlib.Path = cgroup.BOOTED,
    kernel: pathlib.Path = _KERNEL,
) -> None:
    """Let all instances together have no more than that: thousandths of a core, bytes.

    Of the processes that the kernel can have they get three quarters: one that does nothing but fork shall leave the
    host enough to be dealt with.

    What the host refuses is told and left: instances run without that limit rather than not at all.
    """
    relative = parent.strip("/")
    quota = cpu * pod_resources.PERIOD // 1000
    shares = max(2, cpu * 1024 // 1000)
    # runc's own conversion of v1 shares to v2 weights.
    weight = 1 + ((min(shares, 262144) - 2) * 9999) // 262142
    processes = min(int((kernel / name).read_text()) for name in ("pid_max", "threads-max")) * 3 // 4
    if cgroup.is_systemds(root, booted=booted):
        limits = [f"CPUQuota={cpu / 10:g}%", f"CPUWeight={weight}", f"MemoryMax={memory}", f"TasksMax={processes}"]
        _systemctl("set-property", "--runtime", cgroup.slice_name(parent), *limits)
        return
    if cgroup.is_unified(root):
        folder = root / relative
        _make_unified(root, relative)
        _write(folder / "cpu.max", f"{quota} {pod_resources.PERIOD}")
        _write(folder / "cpu.weight", str(weight))
        _write(folder / "memory.max", str(memory))
        _write(folder / "pids.max", str(processes))
        return
    for controller, values in {
        "cpu": {
            "cpu.cfs_period_us": str(pod_resources.PERIOD),
            "cpu.cfs_quota_us": str(quota),
            "cpu.shares": str(shares),
        },
        "memory": {"memory.limit_in_bytes": str(memory)},
        "pids": {"pids.max": str(processes)},
    }.items():
        mounted = _mounted(root, controller)
        if mounted is None:
            continue
        folder = mounted / relative
        folder.mkdir(parents=True, exist_ok=True)
        for name, value in values.items():
            _write(folder / name, value)


def remove(root: pathlib.Path, parent: str, *, booted: pathlib.Path = cgroup.BOOTED) -> None:
    """Take the parent away in every hierarchy; what is still in use stays."""
    relative = parent.strip("/")
    if relative and cgroup.is_systemds(root, booted=booted):
        _systemctl("stop", cgroup.slice_name(parent))
        _systemctl("revert", cgroup.slice_name(parent))
    hierarchies = [root] if cgroup.is_unified(root) else [path for path in root.iterdir() if path.is_dir()]
    for hierarchy in hierarchies:
        top = hierarchy / relative
        if not relative or not top.is_dir():
            continue
        for folder in reversed(cgroup.below(top)):
            _rmdir(folder)
        _rmdir(top)


def _systemctl(*words: str) -> None:
    try:
        subprocess.run(["systemctl", *words], check=True, capture_output=True, text=True, timeout=_PATIENCE)
    except (OSError, subprocess.SubprocessError) as error:
        cause = getattr(error, "stderr", None) or str(error)
        log.warning("systemd does not do what is asked for all instances", words=words, cause=cause.strip())


def _make_unified(root: pathlib.Path, relative: str) -> None:
    folder = root
    for part in pathlib.PurePath(relative).parts:
        _write(folder / "cgroup.subtree_control", "+cpu +memory +pids")
        folder = folder / part
        folder.mkdir(exist_ok=True)
    _write(folder / "cgroup.subtree_control", "+cpu +memory +pids")


def _mounted(root: pathlib.Path, controller: str) -> pathlib.Path | None:
    names = (controller, "cpu,cpuacct") if controller == "cpu" else (controller,)
    return next((root / name for name in names if (root / name / "tasks").exists()), None)


def _write(path: pathlib.Path, value: str) -> None:
    try:
        path.write_text(value)
    except OSError as error:
        log.warning("cannot set a limit for all instances", path=str(path), value=value, cause=error.strerror)


def _rmdir(folder: pathlib.Path) -> None:
    try:
        folder.rmdir()
    except OSError as error:
        log.info("a cgroup is still in use", path=str(folder), cause=error.strerror)
