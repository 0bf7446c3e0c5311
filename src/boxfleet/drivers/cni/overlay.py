"""The bridges of several hosts as one network: a VXLAN among them, whose packets go to each other host by its address.

Every host has an address of its own on the network, so nothing is kept off the wire. Frames for all go to every peer;
where an address is, the kernel learns, and an instance that comes says so (the bridge plug-in announces it).
"""

import ipaddress
import json
import re
import shlex
import zlib
from typing import Any

from boxfleet.drivers.cni import commands
from boxfleet.ports import network

# Of no other VXLAN, so that the rules about it concern nobody else's.
PORT = 7446
_ALL = "00:00:00:00:00:00"


def number(pool: network.PoolNetwork) -> int:
    """The network's number among VXLANs: the same on every host, and seldom another Boxfleet's."""
    return zlib.crc32(f"{pool.bridge} {pool.cidr}".encode()) % (2**24 - 1) + 1


def device(pool: network.PoolNetwork) -> str:
    """The interface's name."""
    return f"bfx{number(pool):06x}"


async def follow(run: commands.Commands, pool: network.PoolNetwork) -> None:
    """Have the bridge connected with exactly these peers."""
    name = device(pool)
    there = await _link(run, name)
    wanted = bool(pool.peers and pool.underlay)
    if there and not (wanted and _fits(there, pool)):
        await run.run("ip", "link", "delete", "dev", name)
        there = {}
    await _admit(run, pool, set(pool.peers) if wanted else set())
    if not wanted:
        return
    mtu = str((await _link(run, pool.bridge))["mtu"])
    if not there:
        kind = ["type", "vxlan", "id", str(number(pool)), "local", pool.underlay, "dstport", str(PORT)]
        # As large as the instances' packets: what does not fit among hosts is sent in parts.
        await run.run("ip", "link", "add", "name", name, "mtu", mtu, *kind)
    await run.run("ip", "link", "set", "dev", name, "mtu", mtu, "master", pool.bridge, "up")
    listed = json.loads(await run.run("bridge", "-json", "fdb", "show", "dev", name) or "[]")
    known = {each["dst"] for each in listed if each.get("mac") == _ALL and "dst" in each}
    for peer in sorted(known - set(pool.peers)):
        await run.run("bridge", "fdb", "del", _ALL, "dev", name, "dst", peer)
    for peer in sorted(set(pool.peers) - known):
        await run.run("bridge", "fdb", "append", _ALL, "dev", name, "dst", peer)


async def remove(run: commands.Commands, bridge: str) -> None:
    """Take away what connects a bridge with others; its rules bear the bridge's name and go with those."""
    for each in json.loads(await run.run("ip", "-json", "link", "show", "master", bridge, "type", "vxlan") or "[]"):
        if each.get("ifname", "").startswith("bfx"):
            await run.run("ip", "link", "delete", "dev", each["ifname"])


def lacks(pool: network.PoolNetwork, links: list[dict[str, Any]]) -> str:
    """What is missing of it, in words."""
    if not (pool.peers and pool.underlay):
        return ""
    found = next((link for link in links if link["ifname"] == device(pool)), None)
    if found is None or found.get("master") != pool.bridge or "UP" not in found.get("flags", []):
        return f"bridge {pool.bridge} is not connected with those of other hosts ({device(pool)})"
    return ""


async def _link(run: commands.Commands, name: str) -> dict[str, Any]:
    if not await run.succeeds("ip", "link", "show", "dev", name):
        return {}
    found: dict[str, Any] = json.loads(await run.run("ip", "-json", "-details", "link", "show", "dev", name))[0]
    return found


def _fits(there: dict[str, Any], pool: network.PoolNetwork) -> bool:
    data = there.get("linkinfo", {}).get("info_data", {})
    local = data.get("local") or data.get("local6") or "0.0.0.0"  # noqa: S104
    same = ipaddress.ip_address(local) == ipaddress.ip_address(pool.underlay)
    return same and data.get("id") == number(pool) and data.get("port") == PORT


async def _admit(run: commands.Commands, pool: network.PoolNetwork, peers: set[str]) -> None:
    """Let the peers' packets in, whatever others forbid, and nobody else's."""
    note = f"boxfleet {pool.bridge}"
    match = ["-p", "udp", "-m", "udp", "--dport", str(PORT)]
    saved = await run.run("iptables-save", "-t", "filter")
    rules = [shlex.split(line)[1:] for line in saved.splitlines() if re.match(rf"-A INPUT .*--dport {PORT} ", line)]
    rules = [rule for rule in rules if note in rule]
    admitted = {rule[rule.index("-s") + 1].removesuffix("/32"): rule for rule in rules if "-s" in rule}
    closed = any("-s" not in rule for rule in rules)
    for peer in admitted.keys() - peers:
        await run.run("iptables", "-w", "-D", *admitted[peer])
    if peers and not closed:
        # The others come before it.
        await run.run("iptables", "-w", "-I", "INPUT", *match, "-m", "comment", "--comment", note, "-j", "DROP")
    for peer in sorted(peers - admitted.keys()):
        words = ["-s", f"{peer}/32", *match, "-m", "comment", "--comment", note, "-j", "ACCEPT"]
        await run.run("iptables", "-w", "-I", "INPUT", *words)
    if not peers and closed:
        await run.run("iptables", "-w", "-D", *next(rule for rule in rules if "-s" not in rule))
