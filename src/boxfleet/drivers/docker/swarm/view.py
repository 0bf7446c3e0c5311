"""The view of a Swarm: its services, tasks and nodes, looked at again and again, for it tells of no task by itself."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from boxfleet.api import labels
from boxfleet.drivers.docker import connection, marks
from boxfleet.drivers.docker.swarm import model
from boxfleet.ports import cluster

# Seconds between two looks.
PERIOD: Final = 1.0


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A service of ours. `version` must be named with each change."""

    id: str
    name: str
    version: int
    labels: dict[str, str]
    spec: dict[str, Any]

    @property
    def mark(self) -> marks.Mark:
        """What its labels say."""
        return marks.read(self.labels)

    @property
    def forced(self) -> int:
        """How often it was made anew by hand."""
        return int((self.spec.get("TaskTemplate") or {}).get("ForceUpdate") or 0)


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """All that was seen at once; tasks oldest first."""

    services: Sequence[Service] = ()
    tasks: Sequence[model.Task] = ()
    nodes: Sequence[cluster.Node] = ()
    # Names of nodes by their ids.
    hosts: Mapping[str, str] = {}


async def look(link: connection.Connection, fleet: str) -> Look:
    """The Swarm as it is now. Raises ClusterFaults."""
    services = [service(one) for one in await link.call("GET", "/services", params={"filters": marks.filters(fleet)})]
    tasks = [model.task(one) for one in await link.call("GET", "/tasks")]
    found = await link.call("GET", "/nodes")
    names = hosts(found)
    return Look(
        services=sorted(services, key=lambda one: one.name),
        tasks=sorted((one for one in tasks if one.labels.get(marks.FLEET) == fleet), key=lambda one: one.created),
        nodes=[node(one, names[one["ID"]]) for one in sorted(found, key=lambda one: str(one["ID"]))],
        hosts=names,
    )


def service(found: Mapping[str, Any]) -> Service:
    """From the engine's JSON."""
    spec = found["Spec"]
    return Service(
        id=found["ID"],
        name=spec["Name"],
        version=found["Version"]["Index"],
        labels=spec.get("Labels") or {},
        spec=spec,
    )


def hosts(found: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Names of nodes by id: their hosts' own, and the id where two hosts have one name."""
    names = [(one["ID"], (one.get("Description") or {}).get("Hostname") or one["ID"]) for one in found]
    known = [name for _, name in names]
    return {key: name if known.count(name) == 1 else f"{name}-{key[:8]}" for key, name in names}


def node(found: Mapping[str, Any], name: str) -> cluster.Node:
    """A node as a host."""
    about, spec, state = found.get("Description") or {}, found.get("Spec") or {}, found.get("Status") or {}
    platform, engine, amounts = about.get("Platform") or {}, about.get("Engine") or {}, about.get("Resources") or {}
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(
        platform.get("Architecture", ""), platform.get("Architecture", "")
    )
    resources = {
        "cpu": f"{int(amounts.get('NanoCPUs') or 0) // 1_000_000}m",
        "memory": str(amounts.get("MemoryBytes") or 0),
        "pods": "1000",
    }
    return cluster.Node(
        name=name,
        labels={
            **(engine.get("Labels") or {}),
            **(spec.get("Labels") or {}),
            labels.HOSTNAME: about.get("Hostname") or name,
            labels.ARCH: architecture,
            labels.OS: platform.get("OS") or "linux",
        },
        capacity=resources,
        allocatable=resources,
        ready=state.get("State") == "ready",
        unschedulable=spec.get("Availability", "active") != "active",
        info={
            "architecture": architecture,
            "bootID": "",
            "containerRuntimeVersion": f"docker://{engine.get('EngineVersion', '')}",
            "kernelVersion": "",
            "kubeProxyVersion": "",
            "kubeletVersion": "",
            "machineID": found["ID"],
            "operatingSystem": platform.get("OS") or "linux",
            "osImage": "",
            "systemUUID": "",
        },
        addresses=[
            {"type": "Hostname", "address": name},
            *([{"type": "InternalIP", "address": state["Addr"]}] if state.get("Addr") else []),
        ],
    )


async def follow(link: connection.Connection, fleet: str, seen: Callable[[Look], None]) -> None:
    """Look again and again until cancelled. Raises ClusterFaults."""
    while True:
        seen(await look(link, fleet))
        await asyncio.sleep(PERIOD)
