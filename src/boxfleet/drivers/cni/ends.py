"""The host's ends of instances' interfaces: found again, and put back on a bridge that was made anew.

A bridge that somebody deletes lets go of its ports; they stay, and with them everything inside of the instances. What
the bridge plug-in made is known from libcni's notes (`cniCacheV1`), so that nobody else's interface is taken.
"""

import dataclasses
import ipaddress
import pathlib
from collections.abc import Iterable
from typing import Any

import msgspec

from boxfleet.ports import network

# libcni's own, and containerd has no setting for it.
CACHE = pathlib.Path("/var/lib/cni/results")


class _Interface(msgspec.Struct):
    name: str
    # Empty on the host's side.
    sandbox: str = ""


class _Result(msgspec.Struct):
    interfaces: list[_Interface] | None = None


class _Capabilities(msgspec.Struct):
    portMappings: list[dict[str, Any]] | None = None


class _Note(msgspec.Struct):
    """What libcni wrote down of one sandbox."""

    result: _Result = msgspec.field(default_factory=_Result)
    capabilityArgs: _Capabilities | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Noted:
    """What the plug-ins made for the sandboxes of a network."""

    # The names of the host's ends.
    ends: frozenset[str]
    # Whether ports of the host lead to any of them.
    has_ports: bool


def noted(cni_network: str, *, bridge: str) -> Noted:
    """Read the notes about all sandboxes of a network, also of some that may be gone."""
    ends: set[str] = set()
    has_ports = False
    for file in CACHE.glob(f"{cni_network}-*"):
        try:
            note = msgspec.json.decode(file.read_bytes(), type=_Note)
        except (OSError, msgspec.MsgspecError):
            # Gone meanwhile, or written just now: a sandbox that is being made is attached by the plug-in.
            continue
        ends |= {each.name for each in note.result.interfaces or () if not each.sandbox}
        has_ports = has_ports or bool(note.capabilityArgs and note.capabilityArgs.portMappings)
    return Noted(frozenset(ends - {bridge}), has_ports)


def is_loose(link: dict[str, Any]) -> bool:
    """Whether an interface, as `ip -json -details` shows it, could be an end that lost its bridge."""
    return link.get("linkinfo", {}).get("info_kind") == "veth" and not link.get("master")


def loose(links: Iterable[dict[str, Any]], known: Noted) -> list[str]:
    """The names of the ends that are attached to nothing."""
    return sorted(link["ifname"] for link in links if is_loose(link) and link["ifname"] in known.ends)


def lacks(pool: network.PoolNetwork, links: Iterable[dict[str, Any]]) -> str:
    """What a bridge lacks to serve its pool, in words; empty when it is as it was made."""
    bridge = next((link for link in links if link["ifname"] == pool.bridge), None)
    if bridge is None:
        return f"there is no bridge {pool.bridge}"
    if bridge.get("linkinfo", {}).get("info_kind") != "bridge":
        return f"{pool.bridge} is no bridge"
    if "UP" not in bridge.get("flags", []):
        return f"bridge {pool.bridge} is down"
    gateway = ipaddress.ip_address(pool.gateway)
    if not any(ipaddress.ip_address(each["local"]) == gateway for each in bridge.get("addr_info", [])):
        return f"bridge {pool.bridge} has not the address {pool.gateway}"
    return ""
