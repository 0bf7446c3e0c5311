"""Shims and network namespaces that a new containerd does not take over, though the one before it made them.

A containerd that is killed while it starts a task leaves a shim with nothing in it, or with a process that is in no
books; killed while it makes a sandbox, a network namespace that no sandbox names, or only the file for one. The next
containerd drops its folder and goes on, and nobody would ever end them. So: note the names of all that there is while
no containerd runs, start one, and end what it does not take for alive. What is made after the note is never touched,
and the note is on disk, so that the work is done also when its doer is killed.
"""

import asyncio
import json
import os
import pathlib
import re
import shutil
import subprocess

from boxfleet.drivers.containerd import config, traces
from boxfleet.kit import cgroup, durable
from boxfleet.ports import runtime

_ID = re.compile(r"[0-9a-f]{64}")


def note(settings: config.Settings) -> None:
    """Write down what there is. Only while containerd does not run."""
    ids = set(_shims(settings)) | {path.name for path in _spaces(settings).glob("*")}
    for parent in traces.cgroups(settings.cgroup_parent):
        ids |= {found[0] for path in cgroup.below(parent) if (found := _ID.search(path.name))}
    durable.write(settings.noted_file, json.dumps(sorted(ids)).encode())


async def end(settings: config.Settings, engine: runtime.Runtime) -> list[str]:
    """End what was noted and is not alive for the running containerd; the names. Raises RuntimeFault."""
    file = settings.noted_file
    if not file.exists():
        return []
    noted = set(json.loads(file.read_text()))
    running = [one for one in await engine.list_containers() if one.state is runtime.State.RUNNING]
    alive = {one.id for one in running} | {one.sandbox_id for one in running}
    # What it lists as dead is lost to it, too: removing that later would end nothing.
    alive |= {one.id for one in await engine.list_sandboxes() if one.ready}
    alive |= {name for engine_id in alive if (name := _space_of(settings, engine_id))}
    lost = sorted(noted - alive)
    if lost:
        await asyncio.to_thread(_end, settings, lost)
    file.unlink()
    return lost


def _shims(settings: config.Settings) -> dict[str, int]:
    """Shims of this containerd: the id that each was started for, and its process."""
    found = {}
    for pid, words in traces.shims(settings.socket):
        if "-id" in words[:-1]:
            found[words[words.index("-id") + 1]] = pid
    return found


def _spaces(settings: config.Settings) -> pathlib.Path:
    """Where containerd mounts the sandboxes' network namespaces, each on a file of its name."""
    return settings.state / "io.containerd.grpc.v1.cri/netns"


def _space_of(settings: config.Settings, engine_id: str) -> str | None:
    """The name of the network namespace that a sandbox was started in, from its OCI bundle."""
    for bundle in settings.state.glob(f"io.containerd.runtime.v2.task/*/{engine_id}/config.json"):
        for space in json.loads(bundle.read_text()).get("linux", {}).get("namespaces", []):
            if space.get("type") == "network" and space.get("path"):
                return pathlib.PurePath(space["path"]).name
    return None


def _end(settings: config.Settings, ids: list[str]) -> None:
    groups = [
        path
        for parent in traces.cgroups(settings.cgroup_parent)
        for path in cgroup.below(parent)
        if (found := _ID.search(path.name)) and found[0] in ids
    ]
    sockets = [one for engine_id, pid in _shims(settings).items() if engine_id in ids for one in traces.sockets(pid)]
    traces.end(
        lambda: [*(pid for engine_id, pid in _shims(settings).items() if engine_id in ids), *traces.members(groups)]
    )
    for socket in sockets:
        socket.unlink(missing_ok=True)
    for mount in traces.mounts_below(settings.state):
        if any(engine_id in mount for engine_id in ids):
            subprocess.run(["umount", "--lazy", mount], stderr=subprocess.DEVNULL, check=False)
    for space in (_spaces(settings) / name for name in ids):
        if not os.path.ismount(space):
            space.unlink(missing_ok=True)
    for group in sorted(groups, reverse=True):
        traces.remove_cgroup(group)
    for engine_id in ids:
        for bundle in settings.state.glob(f"io.containerd.runtime.v2.task/*/{engine_id}"):
            if not os.path.ismount(bundle / "rootfs"):
                shutil.rmtree(bundle, ignore_errors=True)
