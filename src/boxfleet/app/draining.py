"""Emptying a node through the eviction API, which keeps disruption budgets; and taking it from the fleet."""

import asyncio
import time
from collections.abc import Callable

from boxfleet.api import labels, node, pod, volume_claim
from boxfleet.client import client as clients
from boxfleet.client import errors
from boxfleet.planning import draining

Say = Callable[[str], None]

# Seconds between tries to evict what a budget holds back, and between looks.
_RETRY = 2.0
_LOOK = 0.3


class Refused(Exception):
    """The node is not drained; the text says why and what to do."""


async def mark(api: clients.Client, name: str, *, unschedulable: bool) -> bool:
    """Keep new instances off a node, or let them come again; whether that is a change. Raises ApiError and Refused."""
    found = await _host(api, name)
    if found.spec.unschedulable == unschedulable:
        return False
    await api.patch(node.Node, name, {"spec": {"unschedulable": unschedulable or None}})
    return True


async def _host(api: clients.Client, name: str) -> node.Node:
    found = await api.get(node.Node, name)
    if labels.MIRRORED in found.metadata.labels:
        cluster = found.metadata.labels.get(labels.CLUSTER, "")
        raise Refused(
            f"{name} only shows a host of cluster {cluster}: whoever runs it takes it out of work there; "
            f"boxfleet cluster cordon {cluster} keeps new instances off the whole cluster"
        )
    return found


async def plan(api: clients.Client, name: str) -> list[draining.Leaving]:
    """What has to leave. Raises ApiError and Refused."""
    await _host(api, name)
    pods = await api.list(pod.Pod, fields=f"spec.nodeName={name}")
    claims = await api.list(volume_claim.PersistentVolumeClaim)
    return draining.leaving(name, pods.items, claims.items)


async def drain(
    api: clients.Client, name: str, *, force: bool, timeout: float, say: Say
) -> tuple[list[draining.Leaving], dict[str, str]]:
    """Cordon the node and evict everything; what left, and what did not in time with the reason. Raises Refused."""
    if await mark(api, name, unschedulable=True):
        say(f"node {name} takes no new instances")
    wanted = await plan(api, name)
    if not force and (held := [each for each in wanted if each.refused]):
        raise Refused("; ".join(f"{each}: {each.refused}" for each in held))
    for each in wanted:
        say(f"{each} leaves" + (f": {each.note}" if each.note else ""))
    end = time.monotonic() + timeout
    left = {str(each): "it has not ended yet" for each in wanted}
    work = [asyncio.create_task(_evict(api, each, left, end, say)) for each in wanted]
    try:
        await asyncio.gather(*work)
    finally:
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
    return [each for each in wanted if str(each) not in left], left


async def remove(api: clients.Client, name: str, *, timeout: float) -> bool:
    """Delete the Node, which ends its certificate, and its Lease with it; whether it is gone in time."""
    found = await _host(api, name)
    await api.delete(node.Node, name, uid=found.metadata.uid)
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        now = await api.find(node.Node, name)
        if now is None or now.metadata.uid != found.metadata.uid:
            return True
        await asyncio.sleep(_LOOK)
    return False


async def _evict(api: clients.Client, each: draining.Leaving, left: dict[str, str], end: float, say: Say) -> None:
    """Ask until it may go, and wait until it is gone."""
    asked = False
    while time.monotonic() < end:
        pause = _LOOK
        try:
            if not asked:
                await _ask(api, each)
                asked = True
            found = await api.find(pod.Pod, each.name, namespace=each.namespace)
            if found is None or found.metadata.uid != each.uid:
                del left[str(each)]
                say(f"{each} has left")
                return
        except errors.NotFound:
            continue
        except errors.Unavailable as error:
            # Also what a budget holds back (429).
            if left[str(each)] != error.message:
                say(f"{each} waits: {error.message}")
            left[str(each)] = error.message
            pause = _RETRY
        await asyncio.sleep(pause)


async def _ask(api: clients.Client, each: draining.Leaving) -> None:
    try:
        await api.evict(namespace=each.namespace, pod=each.name, uid=each.uid)
    except (errors.NotFound, errors.Conflict):
        # It is gone, or another one has its name: the look that follows shows it.
        return
