"""What containerd's shims are on the host: processes, sockets, cgroups, mounts, as the kernel shows them."""

import os
import pathlib
import signal
import time
from collections.abc import Callable, Iterable

from boxfleet.kit import cgroup

_SHIM = "containerd-shim"
# Seconds in which killed processes are gone.
_DYING = 5.0


def shims(socket: pathlib.Path) -> list[tuple[int, list[str]]]:
    """The shims of the containerd of that socket: process ids and command lines."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = entry.joinpath("cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if pathlib.PurePath(words[0]).name.startswith(_SHIM) and str(socket) in words:
            found.append((int(entry.name), words))
    return found


def sockets(pid: int) -> list[pathlib.Path]:
    """The sockets in the file system that a process listens on."""
    inodes = set()
    for handle in pathlib.Path(f"/proc/{pid}/fd").glob("*"):
        try:
            target = str(handle.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[len("socket:[") : -1])
    rows = [line.split() for line in pathlib.Path("/proc/net/unix").read_text().splitlines()[1:]]
    return [pathlib.Path(row[7]) for row in rows if len(row) == 8 and row[6] in inodes and row[7].startswith("/")]


def cgroups(parent: str) -> list[pathlib.Path]:
    """The folders of a cgroup in every hierarchy, whether systemd made it or not."""
    found = []
    for fields in _mountinfo():
        kind = fields[fields.index("-") + 1]
        if kind in ("cgroup", "cgroup2"):
            found += [place for path in cgroup.places(parent) if (place := pathlib.Path(fields[4], path)).is_dir()]
    return found


def members(groups: Iterable[pathlib.Path]) -> list[int]:
    """The processes of cgroups and all below."""
    found = []
    for group in groups:
        for folder in (group, *cgroup.below(group)):
            try:
                found += [int(line) for line in (folder / "cgroup.procs").read_text().split()]
            except OSError:
                continue
    return found


def end(find: Callable[[], list[int]]) -> None:
    """Kill the processes that `find` gives until it gives none; blocks for some seconds at most."""
    deadline = time.monotonic() + _DYING
    while (left := find()) and time.monotonic() < deadline:
        for pid in left:
            kill(pid)
        time.sleep(0.02)


def remove_cgroup(group: pathlib.Path) -> None:
    """Remove a cgroup and all below; those that still have processes stay."""
    for folder, _, _ in os.walk(group, topdown=False):
        try:
            pathlib.Path(folder).rmdir()
        except OSError:
            continue


def mounts_below(*roots: pathlib.Path) -> list[str]:
    """Mount points below the folders, the latest first."""
    points = [fields[4].encode().decode("unicode_escape") for fields in _mountinfo()]
    return [point for point in reversed(points) if any(pathlib.Path(point).is_relative_to(root) for root in roots)]


def kill(pid: int) -> None:
    """SIGKILL; harmless when it is gone."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _mountinfo() -> list[list[str]]:
    return [line.split() for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()]
