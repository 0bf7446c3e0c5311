"""Taking away what a containerd leaves on the host: shims, containers, mounts, cgroups, files."""

import asyncio
import pathlib
import shutil
import subprocess

from boxfleet.drivers.containerd import config, traces
from boxfleet.ports import runtime

_AT_ONCE = 8


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
    groups = traces.cgroups(settings.cgroup_parent)
    for _ in range(200):
        left = [pid for pid, _ in traces.shims(settings.socket)] + traces.members(groups)
        if not left:
            break
        for pid in left:
            traces.kill(pid)
        await asyncio.sleep(0.02)
    for mount in traces.mounts_below(settings.root, settings.state):
        # Lazily, since a dying process may hold it for another moment.
        process = await asyncio.create_subprocess_exec("umount", "--lazy", mount, stderr=subprocess.DEVNULL)
        await process.wait()
    for group in groups:
        traces.remove_cgroup(group)
    for path in (settings.root, settings.state):
        shutil.rmtree(path, ignore_errors=True)
    files = [settings.config_file, settings.pid_file, settings.noted_file, *shim_sockets]
    files += [settings.socket, settings.socket.with_name(settings.socket.name + ".ttrpc")]
    for file in files:
        file.unlink(missing_ok=True)
    # The shims' common folder, which containerd makes wherever its state is.
    for folder in (pathlib.Path("/run/containerd/s"), pathlib.Path("/run/containerd")):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _shim_sockets(state: pathlib.Path) -> list[pathlib.Path]:
    """The sockets of shims: outside of the state folder, but each bundle names its own."""
    found = []
    for address in state.glob("io.containerd.runtime.v2.task/*/*/address"):
        text = address.read_text().strip()
        if text.startswith("unix:///run/containerd/s/"):
            found.append(pathlib.Path(text.removeprefix("unix://")))
    return found
