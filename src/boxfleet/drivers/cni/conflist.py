"""What the CNI plug-ins are told, as plain values. The format is the CNI specification 0.4.0."""

import ipaddress
import json
from typing import Any

from boxfleet.ports import network

VERSION = "0.4.0"
IPAM = "boxfleet-ipam"
PLUGINS = ("bridge", "portmap", "loopback")


def conflist(pool: network.PoolNetwork) -> str:
    """The network of a pool: a bridge with the gateway on it, and ports of the host.

    There is no `ipMasq`: the driver has one rule for the whole pool, where the plug-in would make a chain for each
    sandbox, which costs time at each start and leaks with each lost DEL.
    """
    bridge: dict[str, Any] = {
        "type": "bridge",
        "bridge": pool.bridge,
        "isGateway": True,
        # An instance may reach itself through its own hostPort.
        "hairpinMode": True,
        "ipam": {"type": IPAM},
    }
    if pool.mtu:
        bridge["mtu"] = pool.mtu
    plugins = [bridge, {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True}]
    return json.dumps({"cniVersion": VERSION, "name": network_name(pool), "plugins": plugins}, indent=2) + "\n"


def network_name(pool: network.PoolNetwork) -> str:
    """The network's name for CNI; unlike the pool's it is one on this machine, since bridges are."""
    return network_of(pool.bridge)


def network_of(bridge: str) -> str:
    """The name of a bridge's network."""
    return f"boxfleet-{bridge}"


def answer(pool: network.PoolNetwork, *, address: str) -> str:
    """The file of an instance: a line that the IPAM plug-in says, and a line with the interface's hardware address."""
    subnet = ipaddress.ip_network(pool.cidr)
    ip = {
        "version": str(subnet.version),
        "address": f"{address}/{subnet.prefixlen}",
        "gateway": pool.gateway,
    }
    default = "0.0.0.0/0" if subnet.version == 4 else "::/0"
    return (
        json.dumps({"cniVersion": VERSION, "ips": [ip], "routes": [{"dst": default}]})
        + f"\n{hardware_address(address)}\n"
    )


def hardware_address(address: str) -> str:
    """The one hardware address of an IP address: locally administered (the second bit), then its last four bytes."""
    return ":".join(f"{byte:02x}" for byte in b"\x0a\xbf" + ipaddress.ip_address(address).packed[-4:])
