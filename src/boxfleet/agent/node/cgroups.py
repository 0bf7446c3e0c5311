"""The cgroup above all instances: what the host reserves is enforced there, on cgroup v1 and v2 alike."""

import pathlib

import structlog

from boxfleet.planning import pod_resources

log = structlog.get_logger()


def is_unified(root: pathlib.Path) -> bool:
    """Whether the host has cgroup v2 only."""
    return (root / "cgroup.controllers").exists()


def enforce(root: pathlib.Path, parent: str, *, cpu: int, memory: int) -> None:
    """Let all instances together have no more than that: thousandths of a core, bytes.

    What the host refuses is told and left: instances run without that limit rather than not at all.
    """
    relative = parent.strip("/")
    quota = cpu * pod_resources.PERIOD // 1000
    shares = max(2, cpu * 1024 // 1000)
    if is_unified(root):
        folder = root / relative
        _make_unified(root, relative)
        # runc's own conversion of v1 shares to v2 weights.
        weight = 1 + ((min(shares, 262144) - 2) * 9999) // 262142
        _write(folder / "cpu.max", f"{quota} {pod_resources.PERIOD}")
        _write(folder / "cpu.weight", str(weight))
        _write(folder / "memory.max", str(memory))
        return
    for controller, values in {
        "cpu": {
            "cpu.cfs_period_us": str(pod_resources.PERIOD),
            "cpu.cfs_quota_us": str(quota),
            "cpu.shares": str(shares),
        },
        "memory": {"memory.limit_in_bytes": str(memory)},
    }.items():
        mounted = _mounted(root, controller)
        if mounted is None:
            continue
        folder = mounted / relative
        folder.mkdir(parents=True, exist_ok=True)
        for name, value in values.items():
            _write(folder / name, value)


def remove(root: pathlib.Path, parent: str) -> None:
    """Take the parent away in every hierarchy; what is still in use stays."""
    relative = parent.strip("/")
    hierarchies = [root] if is_unified(root) else [path for path in root.iterdir() if path.is_dir()]
    for hierarchy in hierarchies:
        top = hierarchy / relative
        if not relative or not top.is_dir():
            continue
        for folder in sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True):
            _rmdir(folder)
        _rmdir(top)


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
