"""The host's network: a bridge, the configuration of the CNI plug-ins, and addresses by file."""

import asyncio
import dataclasses
import importlib.resources
import ipaddress
import json
import pathlib
import re
import shutil
from typing import Any

from boxfleet.drivers.cni import commands, conflist, ends, firewall, overlay, shared
from boxfleet.kit import durable
from boxfleet.ports import network

_PLUGIN_PLACES = (pathlib.Path("/usr/lib/cni"), pathlib.Path("/opt/cni/bin"), pathlib.Path("/usr/libexec/cni"))
# Interface names have 15 characters at most.
_BRIDGE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,14}")
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,252}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the network keeps its files.

    `folder` must survive a restart of the machine: it holds the assignments.
    `space` is a network namespace's path when this "host" is not the whole machine.
    """

    folder: pathlib.Path
    space: pathlib.Path | None = None
    plugin_places: tuple[pathlib.Path, ...] = _PLUGIN_PLACES

    @property
    def bin(self) -> pathlib.Path:
        """The plug-ins, for containerd's `bin_dir`, which can be one folder only."""
        return self.folder / "bin"

    @property
    def conf(self) -> pathlib.Path:
        """The network's configuration, for containerd's `conf_dir`."""
        return self.folder / "conf"

    @property
    def addresses(self) -> pathlib.Path:
        """One file for each assignment; the IPAM plug-in finds it as a neighbour of `bin`."""
        return self.folder / "addresses"


class Network:
    """Implements `ports.network.HostNetwork` with the stock plug-ins bridge and portmap.

    There is one pool on a host for now: containerd gives every sandbox its one default network, so a second
    pool's addresses could not be given. `prepare` refuses several with NetworkFault, and changes nothing then.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._run = commands.Commands(settings.space)
        self._shared = shared.SharedHost(self._run, space=settings.space)
        self._pools: dict[str, network.PoolNetwork] = {}
        # One change at a time: rules are looked for before they are made.
        self._changing = asyncio.Lock()

    async def prepare(self, pools: list[network.PoolNetwork]) -> None:
        """Write the configuration, make the bridge with the gateway's address, forward and masquerade.

        Instances whose interfaces have lost the bridge are put back on it.
        """
        if len(pools) > 1:
            names = ", ".join(sorted(pool.name for pool in pools))
            raise network.NetworkFault(
                f"cannot prepare pools {names}: a host serves one pool; leave one for the hosts of this cluster"
            )
        async with self._changing:
            for pool in pools:
                self._check(pool)
                self._install()
                await self._refuse_overlap(pool)
                # First, since `remove` finds by it what there is to undo.
                _replace(self.settings.conf / "10-boxfleet.conflist", conflist.conflist(pool))
                async with self._shared.changing() as record:
                    await self._shared.join(record, bridge=pool.bridge)
                    await self._make_bridge(pool)
                    await firewall.open_for(self._run, pool)
                    await overlay.follow(self._run, pool)
                await self._attach(pool)
            self._pools = {pool.name: pool for pool in pools}

    async def missing(self) -> str:
        """One look at the kernel's interfaces: the bridge, its address, and what hangs on it."""
        if not self._pools or self._changing.locked():
            return ""
        links = await self._links()
        for pool in self._pools.values():
            if text := ends.lacks(pool, links) or overlay.lacks(pool, links):
                return text
            if names := self._loose(pool, links):
                return f"{len(names)} instance(s) are not attached to bridge {pool.bridge}: {', '.join(names[:3])}"
        return ""

    async def assign(self, *, namespace: str, name: str, address: str, pool: str) -> None:
        """Write the address where the IPAM plug-in finds it; on disk when this returns."""
        known = self._pools.get(pool)
        if known is None:
            raise network.NetworkFault(f"cannot assign {address}: pool {pool!r} is not prepared on this host")
        if not known.may_give(address):
            raise network.NetworkFault(f"cannot assign {address!r}: it is no address for an instance in {known.cidr}")
        file = self._file(namespace, name)
        answer = conflist.answer(known, address=address)
        if not file.exists() or file.read_text() != answer:
            try:
                await asyncio.to_thread(durable.write, file, answer.encode())
            except OSError as error:
                raise network.NetworkFault(f"cannot assign {address}: {error}") from None

    async def unassign(self, *, namespace: str, name: str) -> None:
        """Remove the file; harmless when it is gone."""
        file = self._file(namespace, name)
        if file.exists():
            file.unlink(missing_ok=True)
            await asyncio.to_thread(durable.sync_folder, file.parent)

    async def remove(self) -> None:
        """Take away bridge, rules and files, and put settings back; also after a crash, from what is on disk."""
        async with self._changing:
            for file in sorted(self.settings.conf.glob("*.conflist")):
                configuration = json.loads(file.read_text())
                await self._remove_bridge(configuration["plugins"][0]["bridge"], cni_network=configuration["name"])
            shutil.rmtree(self.settings.folder, ignore_errors=True)
            for folder in (ends.CACHE, ends.CACHE.parent):
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()
            self._pools = {}

    async def remove_lost(self, bridge: str) -> str:
        """Take away a bridge and its rules whose files here are lost; words for what stays, since it may be others'.

        Raises NetworkFault when that fails. Harmless when there is none.
        """
        async with self._changing:
            there = await self._run.succeeds("ip", "link", "show", "dev", bridge)
            noted = bridge in self._shared.bridges()
            if there and not noted:
                return f"the interface {bridge}, which no Boxfleet has noted as its own: ip link delete dev {bridge}"
            if there and noted:
                await overlay.remove(self._run, bridge)
            if there and json.loads(await self._run.run("ip", "-json", "link", "show", "master", bridge)):
                return f"the bridge {bridge} and its rules: something uses it, see: ip link show master {bridge}"
            if noted:
                await self._remove_bridge(bridge, cni_network=conflist.network_of(bridge))
            return ""

    def _check(self, pool: network.PoolNetwork) -> None:
        if not _BRIDGE.fullmatch(pool.bridge):
            raise network.NetworkFault(f"cannot prepare pool {pool.name}: {pool.bridge!r} is no name for a bridge")
        try:
            inside = ipaddress.ip_address(pool.gateway) in ipaddress.ip_network(pool.cidr)
        except ValueError as error:
            raise network.NetworkFault(f"cannot prepare pool {pool.name}: {error}") from None
        if not inside:
            raise network.NetworkFault(
                f"cannot prepare pool {pool.name}: its gateway {pool.gateway} is not in {pool.cidr}"
            )

    def _install(self) -> None:
        for folder in (self.settings.bin, self.settings.conf, self.settings.addresses):
            folder.mkdir(parents=True, exist_ok=True)
        for name in conflist.PLUGINS:
            places = [place / name for place in self.settings.plugin_places if (place / name).exists()]
            if not places:
                raise network.NetworkFault(
                    f"cannot prepare the network: CNI plug-in {name} is not installed; "
                    "install it with `apt-get install containernetworking-plugins`"
                )
            link = self.settings.bin / name
            if not link.is_symlink() or link.readlink() != places[0]:
                link.unlink(missing_ok=True)
                link.symlink_to(places[0])
        script = importlib.resources.files("boxfleet.drivers.cni").joinpath(f"{conflist.IPAM}.sh").read_text()
        _replace(self.settings.bin / conflist.IPAM, script, mode=0o755)

    async def _refuse_overlap(self, pool: network.PoolNetwork) -> None:
        subnet = ipaddress.ip_network(pool.cidr)
        for link in json.loads(await self._run.run("ip", "-json", "address", "show")):
            for one in link.get("addr_info", []):
                there = ipaddress.ip_interface(f"{one['local']}/{one['prefixlen']}")
                if link["ifname"] == pool.bridge or there.version != subnet.version:
                    continue
                # A pool inside of a larger network is the owner's choice: its route is the more exact one.
                if there.ip in subnet or there.network.subnet_of(subnet):  # type: ignore[arg-type]
                    raise network.NetworkFault(
                        f"cannot prepare pool {pool.name}: {pool.cidr} overlaps with {there.network} on "
                        f"{link['ifname']}; choose another range for the pool"
                    )

    async def _make_bridge(self, pool: network.PoolNetwork) -> None:
        if not await self._run.succeeds("ip", "link", "show", "dev", pool.bridge):
            await self._run.run("ip", "link", "add", "name", pool.bridge, "type", "bridge")
        elif not await self._run.run("ip", "link", "show", "dev", pool.bridge, "type", "bridge"):
            raise network.NetworkFault(
                f"cannot prepare pool {pool.name}: {pool.bridge} is there and is no bridge; remove it with "
                f"`ip link delete {pool.bridge}`"
            )
        # Given, a bridge keeps it; else it takes the lowest of its ports', and changes as they come and go.
        hardware = conflist.hardware_address(pool.gateway)
        await self._run.run("ip", "link", "set", "dev", pool.bridge, "address", hardware)
        prefix = ipaddress.ip_network(pool.cidr).prefixlen
        await self._run.run("ip", "address", "replace", f"{pool.gateway}/{prefix}", "dev", pool.bridge)
        size = ["mtu", str(pool.mtu)] if pool.mtu else []
        await self._run.run("ip", "link", "set", "dev", pool.bridge, *size, "up")

    async def _attach(self, pool: network.PoolNetwork) -> None:
        """Make loose ends ports of the bridge again, with the settings that the plug-ins gave them and it."""
        links = await self._links()
        if not (names := self._loose(pool, links)):
            return
        # As the bridge plug-in (the host takes no routes from instances), and portmap with its first port.
        settings = [(f"net/ipv6/conf/{pool.bridge}/accept_ra", "0")]
        if ends.noted(conflist.network_name(pool), bridge=pool.bridge).has_ports:
            settings.append((f"net/ipv4/conf/{pool.bridge}/route_localnet", "1"))
        for name, value in settings:
            # A kernel without IPv6 has no such setting.
            if await self._run.succeeds("test", "-e", f"/proc/sys/{name}"):
                await self._run.sysctl(name, value)
        # As `hairpinMode` in the configuration of the bridge plug-in.
        lines = [
            f"link set dev {name} {what}\n"
            for name in names
            for what in (f"master {pool.bridge}", "type bridge_slave hairpin on", "up")
        ]
        # Some may go meanwhile, with their instances: what counts is whether any is left.
        fault = ""
        try:
            await self._run.run("ip", "-force", "-batch", "-", stdin="".join(lines))
        except network.NetworkFault as error:
            fault = str(error)
        if fault and self._loose(pool, await self._links()):
            raise network.NetworkFault(fault)

    async def _links(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(await self._run.run("ip", "-json", "-details", "address", "show"))
        return found

    def _loose(self, pool: network.PoolNetwork, links: list[dict[str, Any]]) -> list[str]:
        # Almost never is there any, and then nothing is read.
        if not any(ends.is_loose(link) for link in links):
            return []
        return ends.loose(links, ends.noted(conflist.network_name(pool), bridge=pool.bridge))

    async def _remove_bridge(self, bridge: str, *, cni_network: str) -> None:
        async with self._shared.changing() as record:
            await firewall.close_for(self._run, bridge=bridge, cni_network=cni_network)
            if await self._run.succeeds("ip", "link", "show", "dev", bridge):
                await overlay.remove(self._run, bridge)
                await self._run.run("ip", "link", "delete", "dev", bridge)
            await self._shared.leave(record, bridge=bridge)
        _forget_results(cni_network)

    def _file(self, namespace: str, name: str) -> pathlib.Path:
        for word in (namespace, name):
            if not _NAME.fullmatch(word):
                raise network.NetworkFault(f"cannot assign an address to {namespace}/{name}: {word!r} is no name")
        # Kubernetes' names hold no underscore, so the two cannot be taken for another pair.
        return self.settings.addresses / f"{namespace}_{name}"


def _replace(file: pathlib.Path, text: str, *, mode: int = 0o644) -> None:
    """Write when it differs: containerd reloads at every write."""
    if not file.exists() or file.read_text() != text or file.stat().st_mode & 0o777 != mode:
        durable.write(file, text.encode(), mode=mode)


def _forget_results(cni_network: str) -> None:
    """Remove what libcni noted for sandboxes that ended without a DEL, here and for their loopback."""
    for cached in ends.CACHE.glob(f"{cni_network}-*"):
        container = cached.name.removeprefix(f"{cni_network}-").rpartition("-")[0]
        for file in (cached, ends.CACHE / f"cni-loopback-{container}-lo"):
            file.unlink(missing_ok=True)
