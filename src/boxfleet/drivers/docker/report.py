"""A first look at an engine: what it is, and what is missing."""

from collections.abc import Mapping
from typing import Any

from boxfleet.drivers.docker import connection, faults, pause, place
from boxfleet.kit import clock as clocks
from boxfleet.ports import cluster


async def look(link: connection.Connection, wish: place.Wish, *, clock: clocks.Clock) -> cluster.Report:
    """Changes nothing. Raises ClusterFaults."""
    about = await link.about()
    version = f"Docker {about.get('Version', '')} (API {about.get('ApiVersion', '')})"
    oldest = f"{connection.OLDEST[0]}.{connection.OLDEST[1]}"
    try:
        await link.version()
    except cluster.Unsupported as error:
        lack = cluster.Lack(what=str(error), remedy=f"install Docker 20.10 (API {oldest}) or later there")
        return cluster.Report(version=version, latency=0.0, lacks=[lack])
    began = clock.monotonic()
    async with link.open("GET", "/_ping") as answer:
        await answer.read()
    latency = clock.monotonic() - began
    info = await link.call("GET", "/info")
    lacks = lacking(info)
    if wish.network:
        try:
            await link.call("GET", f"/networks/{wish.network}")
        except faults.NotFound:
            lacks.append(
                cluster.Lack(
                    what=f"the engine has no network {wish.network}",
                    remedy="make it (docker network create), or correct spec.docker.network",
                )
            )
    return cluster.Report(version=version, latency=latency, nodes=[place.node(info)], lacks=lacks)


def lacking(info: Mapping[str, Any]) -> list[cluster.Lack]:
    """What an engine's own words say is missing."""
    found = []
    if info.get("OSType", "linux") != "linux":
        what = f"the engine runs containers of {info.get('OSType')}"
        found.append(cluster.Lack(what=what, remedy="switch it to Linux containers"))
    for name, what in (("MemoryLimit", "memory"), ("CpuCfsQuota", "CPU"), ("PidsLimit", "processes")):
        if not info.get(name, True):
            found.append(
                cluster.Lack(
                    what=f"the engine cannot limit {what}, so limits of instances are not held",
                    remedy="give it the cgroup controllers (rootless: delegate them with systemd)",
                    fatal=False,
                )
            )
    options = " ".join(info.get("SecurityOptions") or ())
    if "name=rootless" in options:
        found.append(
            cluster.Lack(
                what="the engine is rootless: its containers' addresses cannot be reached, nor ports below 1024 taken",
                remedy="use exec probes and hostPort, or an engine that root runs",
                fatal=False,
            )
        )
    if "name=userns" in options:
        found.append(
            cluster.Lack(
                what="the engine maps users (userns-remap): it refuses hostNetwork, hostPID and privileged containers",
                remedy="leave those out for this Cluster",
                fatal=False,
            )
        )
    if not pause.knows(str(info.get("Architecture") or "")):
        found.append(
            cluster.Lack(
                what=f"instances of several containers cannot be run on {info.get('Architecture')}",
                remedy="use instances of one container there",
                fatal=False,
            )
        )
    return found
