"""A whole host for tests: containerd, CNI and dnsmasq in a network namespace of their own, beside a world outside.

The daemons are detached, so that a host can be started once for many tests: each test makes its own drivers
(`Host.drivers`), which adopt what runs. `Host.purge` takes everything away, `Host.leftovers` names what stayed.
"""

import asyncio
import contextlib
import dataclasses
import pathlib
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator

from boxfleet.drivers.cni import network as cni
from boxfleet.drivers.containerd import config as containerd_config
from boxfleet.drivers.containerd import daemon as containerd
from boxfleet.drivers.dnsmasq import server as dnsmasq
from boxfleet.kit import daemon
from boxfleet.ports import network
from boxfleet.testing import tools

DOMAIN = "fleet.test"
# Of the ranges for documentation and benchmarks: nobody's network has them.
POOL = network.PoolNetwork(name="default", cidr="198.18.0.0/24", gateway="198.18.0.1", bridge="bfdrv0")
HOST_ADDRESS = "192.0.2.1"
OUTSIDE_ADDRESS = "192.0.2.2"


@dataclasses.dataclass(slots=True, kw_only=True)
class Drivers:
    """The drivers of a host, on the event loop that they were made on. `told` is what they had to say."""

    containerd: containerd.Daemon
    network: cni.Network
    names: dnsmasq.Server
    told: list[str]


class Host:
    """One host. Nothing exists before `start`."""

    def __init__(self) -> None:
        self.name = f"bf-drv-{secrets.token_hex(3)}"
        self.folder = pathlib.Path(tempfile.gettempdir(), self.name)
        self.space = pathlib.Path("/run/netns", self.name)
        self.outside = f"{self.name}-out"
        self.cgroup = f"/{self.name}"
        self.logs = self.folder / "pods"
        state, run = self.folder / "s", self.folder / "r"
        self.cni_settings = cni.Settings(folder=state / "network", space=self.space)
        self.containerd_settings = containerd_config.Settings.below(
            state=state,
            run=run,
            cni_bin=self.cni_settings.bin,
            cni_conf=self.cni_settings.conf,
            cgroup_parent=self.cgroup,
            network=self.space,
        )
        self.dnsmasq_settings = dnsmasq.Settings(
            folder=state / "dns",
            pid_file=run / "dnsmasq.pid",
            log_file=state / "logs" / "dnsmasq.log",
            space=self.space,
        )

    @contextlib.asynccontextmanager
    async def drivers(self) -> AsyncIterator[Drivers]:
        """Drivers for the running event loop; the daemons stay when they close."""
        told: list[str] = []
        drivers = Drivers(
            containerd=containerd.Daemon(self.containerd_settings, told=told.append),
            network=cni.Network(self.cni_settings),
            names=dnsmasq.Server(self.dnsmasq_settings, told=told.append),
            told=told,
        )
        try:
            yield drivers
        finally:
            await drivers.names.close()
            await drivers.containerd.close()

    async def start(self) -> None:
        """Make the namespaces, start the daemons and load the image of `tools`."""
        self.folder.mkdir()
        # The name server reads its records as another user.
        self.folder.chmod(0o755)
        self.connect()
        async with self.drivers() as drivers:
            await drivers.network.prepare([POOL])
            await drivers.containerd.start()
            archive = self.folder / "tools.tar"
            archive.write_bytes(tools.archive())
            await drivers.containerd.images.load(str(archive))

    async def purge(self) -> None:
        """Take everything away that the drivers made; the namespaces stay, to be looked at, until `destroy`."""
        async with self.drivers() as drivers:
            await drivers.containerd.purge()
            await drivers.names.stop()
            await drivers.network.remove()

    def destroy(self) -> None:
        """Delete namespaces and folder."""
        for space in (self.name, self.outside):
            if pathlib.Path("/run/netns", space).exists():
                _command("ip", "netns", "delete", space)
        shutil.rmtree(self.folder, ignore_errors=True)

    def leftovers(self) -> list[str]:
        """What `purge` should have taken away, in words; call it before `destroy`."""
        found = [f"mount: {line}" for line in _lines("/proc/self/mountinfo") if str(self.folder) in line]
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                words = process.joinpath("cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if str(self.folder) in words:
                found.append(f"process: {words}")
        found += [f"cgroup: {one}" for one in pathlib.Path("/sys/fs/cgroup").glob(f"*/{self.name}")]
        found += [f"cgroup: {one}" for one in pathlib.Path("/sys/fs/cgroup").glob(self.name)]
        for result in pathlib.Path("/var/lib/cni/results").glob("*"):
            # Another host's may vanish in between.
            with contextlib.suppress(FileNotFoundError):
                if str(self.folder) in result.read_text():
                    found.append(f"file: {result}")
        if self.space.exists():
            found += [
                f"link: {line}" for line in self.inside("ip", "-brief", "link").splitlines() if self._is_new(line)
            ]
            found += [f"rule: {line}" for line in self.inside("nft", "list", "ruleset").splitlines()]
            if self.inside("cat", "/proc/sys/net/ipv4/ip_forward").strip() != "0":
                found.append("sysctl: ip_forward is on")
        for part in ("s/containerd", "s/network", "r"):
            found += [f"file: {one}" for one in self.folder.joinpath(part).rglob("*")]
        return found

    def inside(self, *words: str) -> str:
        """The output of a command in the host's network; raises CalledProcessError when it fails."""
        return _command(*daemon.inside(self.space), *words)

    async def outside_server(self, *words: str) -> asyncio.subprocess.Process:
        """A process in the world outside; the caller ends it."""
        return await asyncio.create_subprocess_exec(*daemon.inside(pathlib.Path("/run/netns", self.outside)), *words)

    def connect(self) -> None:
        """Make only the namespaces: the host with a line to the world outside."""
        for space in (self.name, self.outside):
            _command("ip", "netns", "add", space)
            _command("ip", "-n", space, "link", "set", "lo", "up")
        # A new namespace inherits the machine's.
        _command(*daemon.inside(self.space), "sysctl", "-qw", "net.ipv4.ip_forward=0")
        _command("ip", "-n", self.name, "link", "add", "up0", "type", "veth", "peer", "down0", "netns", self.outside)
        for space, link, address in (
            (self.name, "up0", HOST_ADDRESS),
            (self.outside, "down0", OUTSIDE_ADDRESS),
        ):
            _command("ip", "-n", space, "address", "add", f"{address}/24", "dev", link)
            _command("ip", "-n", space, "link", "set", link, "up")

    def _is_new(self, line: str) -> bool:
        # Some kernels put tunnel devices that are down into each namespace.
        return line.split()[0].partition("@")[0] not in ("lo", "up0", "ifb0", "ifb1") and "DOWN" not in line.split()[1]


def _command(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def _lines(path: str) -> list[str]:
    return pathlib.Path(path).read_text().splitlines()
