"""``boxfleet node list|cordon|uncordon|drain|remove``: hosts, and taking them out of work."""

import asyncio
import datetime
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec

from boxfleet.api import cells, node, pod
from boxfleet.app import access, draining, settings
from boxfleet.cli import faults, options, output
from boxfleet.kit import clock
from boxfleet.planning import draining as planning
from boxfleet.planning import node_health

# Seconds until a deleted Node is gone.
_GONE = 30.0


def show_all(known: settings.All, form: options.Format, *, kubeconfig: str | None) -> int:
    """Print every node."""

    async def work() -> tuple[list[node.Node], list[pod.Pod]]:
        async with access.way(known, kubeconfig) as api:
            return (await api.list(node.Node)).items, (await api.list(pod.Pod)).items

    nodes, pods = asyncio.run(work())
    now = datetime.datetime.now(datetime.UTC)
    found = [_line(each, pods, now) for each in sorted(nodes, key=lambda one: one.metadata.name)]
    if form is not options.Format.TEXT:
        output.data(found, form)
        return 0
    rows = [
        (each.name, each.status, each.address, str(each.instances), cells.duration(each.age), each.version)
        for each in found
    ]
    for line in output.columns([("NAME", "STATUS", "ADDRESS", "INSTANCES", "AGE", "VERSION"), *rows]):
        output.say(line)
    return 0


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    status: str
    address: str
    instances: int
    # In seconds.
    age: int
    version: str


def _line(subject: node.Node, pods: Sequence[pod.Pod], now: datetime.datetime) -> _Line:
    name = subject.metadata.name
    return _Line(
        name=name,
        status=_status(subject),
        address=next((one.address for one in subject.status.addresses if one.type == "InternalIP"), ""),
        instances=sum(1 for one in pods if one.spec.nodeName == name and not one.status.has_ended),
        age=int((now - clock.parse(subject.metadata.creationTimestamp)).total_seconds()),
        version=subject.status.nodeInfo.kubeletVersion,
    )


def mark(
    known: settings.All, names: Sequence[str], *, unschedulable: bool, form: options.Format, kubeconfig: str | None
) -> int:
    """Keep new instances off nodes, or let them come again."""

    async def work() -> dict[str, bool]:
        async with access.way(known, kubeconfig) as api:
            return {name: await draining.mark(api, name, unschedulable=unschedulable) for name in names}

    try:
        changed = asyncio.run(work())
    except draining.Refused as refused:
        raise faults.CommandFailed(str(refused)) from None
    if form is not options.Format.TEXT:
        output.data([{"name": name, "changed": each} for name, each in changed.items()], form)
        return 0
    words = "takes no new instances" if unschedulable else "takes instances"
    for name, each in changed.items():
        output.say(f"node {name} {words}" + ("" if each else " already"))
    return 0


def drain(
    known: settings.All,
    name: str,
    *,
    force: bool,
    dry_run: bool,
    timeout: int,
    form: options.Format,
    kubeconfig: str | None,
) -> int:
    """Make everything leave a node; 1 when something is left."""
    say = output.say if form is options.Format.TEXT else _quiet

    async def work() -> int:
        async with access.way(known, kubeconfig) as api:
            if dry_run:
                return _foretell(name, await draining.plan(api, name), form)
            gone, left = await draining.drain(api, name, force=force, timeout=timeout, say=say)
            return _report(name, gone, left, form, timeout)

    return _run(work)


def remove(
    known: settings.All,
    name: str,
    *,
    force: bool,
    dry_run: bool,
    timeout: int,
    form: options.Format,
    kubeconfig: str | None,
) -> int:
    """Drain a node, unless forced, and take it from the fleet."""
    say = output.say if form is options.Format.TEXT else _quiet
    if kubeconfig is None and known.serves and name == known.node:
        raise faults.CommandFailed(f"{name} is the server's own host: boxfleet down --purge takes both away")

    async def work() -> int:
        async with access.way(known, kubeconfig) as api:
            if dry_run:
                return _foretell(name, await draining.plan(api, name), form)
            if not force:
                gone, left = await draining.drain(api, name, force=False, timeout=timeout, say=say)
                if left:
                    say("if the host is gone for good, or its instances may be stopped: boxfleet node remove --force")
                    return _report(name, gone, left, form, timeout)
            if not await draining.remove(api, name, timeout=_GONE):
                raise faults.CommandFailed(f"node {name} is still there: see kubectl get node {name} -o yaml")
            say(
                f"node {name} is removed: its certificate opens nothing any more, and it comes back only by a new token"
            )
            say("to clear the machine, there: boxfleet down --purge")
            if form is not options.Format.TEXT:
                output.data({"node": name, "removed": True}, form)
            return 0

    return _run(work)


def _run(work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    try:
        return asyncio.run(work())
    except draining.Refused as error:
        raise faults.CommandFailed(str(error)) from None


def _foretell(name: str, wanted: list[planning.Leaving], form: options.Format) -> int:
    if form is not options.Format.TEXT:
        output.data({"node": name, "leaving": wanted}, form)
        return 0
    for each in wanted:
        words = each.refused or each.note
        output.say(f"{each} would leave" + (f": {words}" if words else ""))
    if not wanted:
        output.say(f"nothing is on {name}")
    return 0


def _report(name: str, gone: list[planning.Leaving], left: dict[str, str], form: options.Format, timeout: int) -> int:
    if form is not options.Format.TEXT:
        output.data({"node": name, "drained": not left, "left": [str(each) for each in gone], "stayed": left}, form)
    elif left:
        for each, why in sorted(left.items()):
            output.say(f"{each} is still there after {timeout} s: {why}")
    else:
        output.say(f"node {name} is empty, and takes nothing until: boxfleet node uncordon {name}")
    return 1 if left else 0


def _status(subject: node.Node) -> str:
    words = {"True": "Ready", "False": "NotReady"}.get(node_health.ready_status(subject), "Lost")
    return f"{words}, cordoned" if subject.spec.unschedulable else words


def _quiet(_: str) -> None:
    """Say nothing: only the result is wanted."""
