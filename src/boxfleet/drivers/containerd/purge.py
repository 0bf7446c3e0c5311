"""Taking away what a containerd leaves on the host: shims, containers, mounts, cgroups, files."""

import asyncio
import os
import pathlib
import shutil
import signal
import subprocess

from boxfleet.drivers.containerd import config, translate
from boxfleet.ports import runtime

_AT_ONCE = 8
_SHIM = "containerd-shim"


async def remove_sandboxes(engine: runtime.Runtime) -> None:
    """Remove all sandboxes with their containers and networks; raises RuntimeFault when the engine refuses one."""
    gate = asyncio.Semaphore(_AT_ONCE)
    faults: list[runtime.RuntimeFault] = []

    async def remove(sandbox_id: str) -> None:
        async with gate:
            try:
                await engine.stop_sandbox(sandbox_id)
                await engine.remove_sandbox(sandbox_id)
            except runtime.RuntimeFault as fault:
                faults.append(fault)

    async with asyncio.TaskGroup() as group:
        for sandbox in await engine.list_sandboxes():
            group.create_task(remove(sandbox.id))
    if faults:
        raise faults[0]


async def sweep(settings: config.Settings) -> None:
    """Remove by force whatever is left; containerd must not run. Harmless when nothing is left."""
    shim_sockets = _shim_sockets(settings.state)
    groups = _cgroups(settings.cgroup_parent)
    for _ in range(200):
        left = _shims(settings.socket) + [pid for group in groups for pid in _members(group)]
        if not left:
            break
        for pid in left:
            _kill(pid)
        await asyncio.sleep(0.02)
    for mount in _mounts_below(settings.root, settings.state):
        # Lazily, since a dying process may hold it for another moment.
        process = await asyncio.create_subprocess_exec("umount", "--lazy", mount, stderr=subprocess.DEVNULL)
        await process.wait()
    for group in groups:
        _remove_cgroup(group)
    for path in (settings.root, settings.state):
        shutil.rmtree(path, ignore_errors=True)
    files = [settings.config_file, settings.pid_file, *shim_sockets]
    files += [settings.socket, settings.socket.with_name(settings.socket.name + ".ttrpc")]
    for file in files:
        file.unlink(missing_ok=True)
    # The shims' common folder, which containerd makes wherever its state is.
    for folder in (pathlib.Path("/run/containerd/s"), pathlib.Path("/run/containerd")):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _shims(socket: pathlib.Path) -> list[int]:
    """The processes of shims that belong to the containerd of that socket."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = entry.joinpath("cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if pathlib.PurePath(words[0]).name.startswith(_SHIM) and str(socket) in words:
            found.append(int(entry.name))
    return found


def _shim_sockets(state: pathlib.Path) -> list[pathlib.Path]:
    """The sockets of shims: outside of the state folder, but each bundle names its own."""
    found = []
    for address in state.glob("io.containerd.runtime.v2.task/*/*/address"):
        text = address.read_text().strip()
        if text.startswith("unix:///run/containerd/s/"):
            found.append(pathlib.Path(text.removeprefix("unix://")))
    return found


def _cgroups(parent: str) -> list[pathlib.Path]:
    """The folders of a cgroup in every hierarchy, whether systemd made it or not."""
    found = []
    for fields in _mountinfo():
        kind = fields[fields.index("-") + 1]
        if kind in ("cgroup", "cgroup2"):
            for path in (parent, translate.cgroup_parent(parent, systemd=True)):
                place = pathlib.Path(fields[4], path.strip("/"))
                if path.strip("/") and place.is_dir():
                    found.append(place)
    return found


def _members(group: pathlib.Path) -> list[int]:
    found = []
    for file in group.rglob("cgroup.procs"):
        try:
            found += [int(line) for line in file.read_text().split()]
        except OSError:
            continue
    return found


def _remove_cgroup(group: pathlib.Path) -> None:
    for folder, _, _ in os.walk(group, topdown=False):
        try:
            pathlib.Path(folder).rmdir()
        except OSError:
            continue


def _mounts_below(*roots: pathlib.Path) -> list[str]:
    """Mount points below the folders, the latest first."""
    points = [fields[4].encode().decode("unicode_escape") for fields in _mountinfo()]
    return [point for point in reversed(points) if any(pathlib.Path(point).is_relative_to(root) for root in roots)]


def _mountinfo() -> list[list[str]]:
    return [line.split() for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()]


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
