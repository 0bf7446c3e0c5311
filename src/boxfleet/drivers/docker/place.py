"""What an engine is: asked once for each connection, and its network made where it is ours to make."""

import contextlib
import ipaddress
import socket
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from boxfleet.api import labels
from boxfleet.drivers.docker import connection, faults, given, marks
from boxfleet.ports import cluster

NETWORK: Final = "boxfleet"


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What the driver was told of the engine."""

    fleet: str
    domain: str
    # Somebody else's network for instances; empty: one of our own.
    network: str


async def look(link: connection.Connection, wish: Wish, *, overlay: bool = False) -> given.Engine:
    """The engine and its network, which is made if it is ours: for all hosts with `overlay`. Raises ClusterFaults."""
    info = await link.call("GET", "/info")
    network = await _network(link, wish, driver="overlay" if overlay else "bridge")
    configs = (network.get("IPAM") or {}).get("Config") or []
    chosen = (network.get("Labels") or {}).get(marks.FLEET) is None
    gateway = next((one["Gateway"] for one in configs if one.get("Gateway")), "")
    return given.Engine(
        fleet=wish.fleet,
        domain=wish.domain,
        network=network["Name"],
        # In a network whose addresses the engine chose it lets nobody else choose any.
        subnets=tuple(one["Subnet"] for one in configs if chosen and ":" not in one.get("Subnet", ":")),
        gateway=gateway,
        reachable=network.get("Driver") == "bridge" and _is_ours(gateway),
        local=link.where.is_local,
        architecture=info.get("Architecture", ""),
        swap_limit=bool(info.get("SwapLimit")),
        cpu=int(info.get("NCPU") or 0) * 1000,
        memory=int(info.get("MemTotal") or 0),
    )


async def remove_network(link: connection.Connection) -> None:
    """Take our own network away if nobody uses it. Raises Unreachable."""
    try:
        await link.call("DELETE", f"/networks/{NETWORK}")
    except cluster.Unreachable:
        raise
    except cluster.ClusterFault:
        # Somebody uses it, or it is gone.
        return


def node(info: Mapping[str, Any]) -> cluster.Node:
    """The engine as a host."""
    name = str(info.get("Name") or "docker")
    own = dict(word.partition("=")[::2] for word in info.get("Labels") or ())
    architecture = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}.get(
        info.get("Architecture", ""), info.get("Architecture", "")
    )
    resources = {"cpu": str(info.get("NCPU") or 0), "memory": str(info.get("MemTotal") or 0), "pods": "1000"}
    return cluster.Node(
        name=name,
        labels={
            **own,
            labels.HOSTNAME: name,
            labels.ARCH: architecture,
            labels.OS: str(info.get("OSType") or "linux"),
        },
        capacity=resources,
        allocatable=resources,
        info={
            "architecture": architecture,
            "bootID": "",
            "containerRuntimeVersion": f"docker://{info.get('ServerVersion', '')}",
            "kernelVersion": info.get("KernelVersion", ""),
            "kubeProxyVersion": "",
            "kubeletVersion": "",
            "machineID": info.get("ID", ""),
            "operatingSystem": str(info.get("OSType") or "linux"),
            "osImage": info.get("OperatingSystem", ""),
            "systemUUID": "",
        },
        addresses=[{"type": "Hostname", "address": name}],
    )


async def _network(link: connection.Connection, wish: Wish, *, driver: str) -> dict[str, Any]:
    name = wish.network or NETWORK
    try:
        found: dict[str, Any] = await link.call("GET", f"/networks/{name}")
    except faults.NotFound:
        if wish.network:
            raise cluster.ClusterFault(
                f"the Docker engine at {link.where} has no network {name}: make it (docker network create), or correct "
                "spec.docker.network"
            ) from None
        body: dict[str, Any] = {
            "Name": name,
            "CheckDuplicate": True,
            "Driver": driver,
            "Attachable": driver == "overlay",
            "Labels": {marks.FLEET: wish.fleet},
        }
        # Somebody may have made it just now.
        with contextlib.suppress(faults.Conflict):
            await link.call("POST", "/networks/create", body=body)
        found = await _only(link, name, fleet=wish.fleet)
    if not wish.network and (found.get("Labels") or {}).get(marks.FLEET) != wish.fleet:
        raise cluster.Taken(
            f"the network {name} of the Docker engine at {link.where} belongs to somebody else: name another one in "
            "spec.docker.network, or remove it"
        )
    return found


async def _only(link: connection.Connection, name: str, *, fleet: str) -> dict[str, Any]:
    """The network of that name; of several, which an engine makes when it is asked twice at once, the first.

    Whoever asks sees the same one as first, and others of ours are taken away before anything uses them.
    """
    params = {"filters": msgspec.json.encode({"name": [name]}).decode()}
    listed = await link.call("GET", "/networks", params=params)
    mine = sorted((each for each in listed if each["Name"] == name), key=lambda each: (each["Created"], each["Id"]))
    for extra in [each for each in mine[1:] if (each.get("Labels") or {}).get(marks.FLEET) == fleet]:
        with contextlib.suppress(faults.NotFound, faults.Conflict):
            await link.call("DELETE", f"/networks/{extra['Id']}")
    found: dict[str, Any] = await link.call("GET", f"/networks/{mine[0]['Id'] if mine else name}")
    return found


def _is_ours(address: str) -> bool:
    """Whether an address is one of this machine's own: then its network is, too."""
    if not address:
        return False
    family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as tried:
        try:
            tried.bind((address, 0))
        except OSError:
            return False
    return True
