"""Stopping every instance of this host and its engines, and taking away their traces."""

import asyncio
import contextlib
import pathlib
import shutil
from collections.abc import Callable

from boxfleet.agent import ends
from boxfleet.agent.node import cgroups
from boxfleet.api import pod, unit
from boxfleet.app import access, host, owning, paths, settings
from boxfleet.client import errors
from boxfleet.kit import cgroup, daemon
from boxfleet.planning import stopping
from boxfleet.ports import network, runtime

Say = Callable[[str], None]

# Seconds that the API gets to say in which order to stop.
_PATIENCE = 5.0
# For instances that nobody knows the grace of: Kubernetes' default.
_GRACE = 30
# Sandboxes removed at once.
_AT_ONCE = 8


async def plan(known: settings.All) -> list[dict[str, int]]:
    """Waves of Pod UIDs with their grace, by what the API knows; none when it does not answer."""
    try:
        async with access.admin(known, patience=_PATIENCE) as api:
            units, pods = await api.list(unit.Unit), await api.list(pod.Pod)
    except (errors.ApiError, access.NoAccess, OSError):
        return []
    return stopping.stages(units.items, pods.items)


async def stop_instances(known: settings.All, waves: list[dict[str, int]], *, say: Say) -> None:
    """Stop all instances gracefully, wave by wave, then the name server and containerd."""
    engines = host.wire(known, told=say)
    if engines.engine.settings.root.joinpath("io.containerd.metadata.v1.bolt").exists():
        try:
            await engines.engine.start()
            await _stop_all(engines.engine.runtime, waves, state=paths.of(known).agent, say=say)
        except runtime.RuntimeFault as error:
            say(f"containerd does not help to stop instances: {error}")
        await engines.engine.stop()
    # Its watchdog has nothing to watch over any more; the promise itself stays until the agent takes it back.
    paths.of(known).fence.unlink(missing_ok=True)
    await engines.names.stop()


async def _stop_all(engine: runtime.Runtime, waves: list[dict[str, int]], *, state: pathlib.Path, say: Say) -> None:
    sandboxes = {one.id: one for one in await engine.list_sandboxes()}
    running: dict[str, list[str]] = {}
    for container in await engine.list_containers():
        if container.state is runtime.State.RUNNING and container.sandbox_id in sandboxes:
            running.setdefault(sandboxes[container.sandbox_id].uid, []).append(container.id)
    if running:
        say(f"stopping {len(running)} instances")
    named = {uid for wave in waves for uid in wave}
    for wave in [*waves, {uid: _GRACE for uid in running if uid not in named}]:
        async with asyncio.TaskGroup() as group:
            for uid, grace in wave.items():
                for container_id in running.get(uid, []):
                    group.create_task(_stop_one(engine, container_id, grace, say))
    ended = await _ended(engine, {one.id: one.uid for one in sandboxes.values()})
    try:
        await asyncio.to_thread(ends.remember, state, ended)
    except OSError as error:
        say(f"how instances ended is not kept: {error}")
    gate = asyncio.Semaphore(_AT_ONCE)
    async with asyncio.TaskGroup() as group:
        for sandbox_id in sandboxes:
            group.create_task(_remove(engine, sandbox_id, gate, say))


async def _ended(engine: runtime.Runtime, uids: dict[str, str]) -> dict[str, list[runtime.ContainerStatus]]:
    """What became of containers that run no more, by their Pods' uids."""
    found: dict[str, list[runtime.ContainerStatus]] = {}
    for one in await engine.list_containers():
        if one.state is runtime.State.EXITED and one.sandbox_id in uids:
            with contextlib.suppress(runtime.NotFound):
                found.setdefault(uids[one.sandbox_id], []).append(await engine.container_status(one.id))
    return found


async def _stop_one(engine: runtime.Runtime, container_id: str, grace: int, say: Say) -> None:
    try:
        await engine.stop_container(container_id, grace_seconds=grace)
    except runtime.RuntimeFault as error:
        # What does not stop so is ended with its sandbox.
        say(str(error))


async def _remove(engine: runtime.Runtime, sandbox_id: str, gate: asyncio.Semaphore, say: Say) -> None:
    async with gate:
        try:
            await engine.stop_sandbox(sandbox_id)
            await engine.remove_sandbox(sandbox_id)
        except runtime.RuntimeFault as error:
            # The agent clears it away when it runs again; a purge does so by force.
            say(str(error))


async def remove_traces(known: settings.All, *, lost: bool, say: Say) -> list[str]:
    """Take away what the engines made on the machine: containers, mounts, cgroups, bridges, rules, settings.

    What is left of it, in words. `lost`: there is no state to find it by, so the names in the settings have to do,
    as far as they can mean no other Boxfleet's.
    """
    where = paths.of(known)
    if where.containerd.exists() or where.containerd_run.exists() or daemon.find(where.run / "containerd.pid"):
        await host.wire(known, told=say).engine.purge()
    if not lost or owning.is_named_for(known, "cgroup_parent"):
        await asyncio.to_thread(cgroups.remove, cgroup.ROOT, known.cgroup_parent)
    engines = host.wire(known, told=say)
    left = ""
    try:
        await engines.network.remove()
        if lost and owning.is_named_for(known, "bridge"):
            left = await engines.network.remove_lost(known.bridge)
    except network.NetworkFault as error:
        left = f"the network of the bridge {known.bridge}, which is not wholly removed: {error}"
    shutil.rmtree(engines.names.settings.folder, ignore_errors=True)
    return [left] if left else []
