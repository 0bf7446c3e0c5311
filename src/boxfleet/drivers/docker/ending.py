"""How containers and volumes end: hook, signal, force, removal."""

import asyncio
from typing import Any, Final

import msgspec

from boxfleet.api import pod as pods
from boxfleet.drivers.docker import asking, connection, faults, marks, model

# A container whose preStop hook used up the grace still gets this many seconds to end, as Kubernetes has it.
_LEAST_GRACE: Final = 2
# Seconds for the engine to do what it was told besides.
_SLACK: Final = 30.0


async def stop(link: connection.Connection, one: model.Container, *, ip: str, grace: int | None) -> None:
    """Stop a container: preStop hook, signal, force; harmless when it runs not. Raises Unreachable.

    `grace` in seconds for hook and program together; None: what the container was made with.
    """
    if one.state.status not in ("running", "restarting", "paused"):
        return
    whole = grace if grace is not None else one.config.stop_timeout
    began = asyncio.get_running_loop().time()
    hook = _pre_stop(one)
    if hook is not None and whole > 0:
        container = pods.Container(name=one.mark.container, ports=_ports(one))
        await asking.ask(link, one.id, container, hook, ip=ip, seconds=float(whole))
    used = asyncio.get_running_loop().time() - began
    left = max(_LEAST_GRACE, int(whole - used)) if hook is not None and whole > 0 else whole
    await _tell(link, one, "stop", t=left, seconds=left + _SLACK)


async def kill(link: connection.Connection, one: model.Container) -> None:
    """End a container at once; harmless when it runs not. Raises Unreachable."""
    await _tell(link, one, "kill", seconds=_SLACK)


async def restart(link: connection.Connection, one: model.Container, *, grace: int | None) -> None:
    """Stop a container and start it again. Raises ClusterFaults."""
    seconds = grace if grace is not None else one.config.stop_timeout
    await _tell(link, one, "restart", t=seconds, seconds=seconds + _SLACK)


async def remove_volumes(link: connection.Connection, filters: dict[str, list[str]]) -> None:
    """Remove volumes that have these labels; harmless when there are none. Raises ClusterFaults."""
    found = await link.call("GET", "/volumes", params={"filters": filters})
    for one in found.get("Volumes") or ():
        try:
            await link.call("DELETE", f"/volumes/{one['Name']}", params={"force": True})
        except faults.NotFound:
            continue


async def _tell(link: connection.Connection, one: model.Container, verb: str, *, seconds: float, **params: Any) -> None:
    try:
        await link.call("POST", f"/containers/{one.id}/{verb}", params=params, seconds=seconds)
    except (faults.NotFound, faults.Conflict):
        # It is gone, or it runs not.
        return


def _pre_stop(one: model.Container) -> pods.LifecycleHandler | None:
    text = one.labels.get(marks.PRE_STOP, "")
    return msgspec.json.decode(text, type=pods.LifecycleHandler) if text else None


def _ports(one: model.Container) -> list[pods.ContainerPort]:
    text = one.labels.get(marks.PORTS, "")
    return msgspec.json.decode(text, type=list[pods.ContainerPort]) if text else []
