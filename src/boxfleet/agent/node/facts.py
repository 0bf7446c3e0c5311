"""What the machine is and has, read once."""

import os
import pathlib
import platform
import socket

import msgspec

from boxfleet.agent import settings
from boxfleet.api import node
from boxfleet.kit import quantity
from boxfleet.planning import pod_resources, pod_runtime

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "ppc64le": "ppc64le", "s390x": "s390x"}
_CAP_SYS_RESOURCE = 24


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of this machine."""

    address: str
    hostname: str
    cores: int
    memory: int
    disk: int
    reserve: pod_resources.Reserve
    # The lowest oom_score_adj that may be set here.
    oom_floor: int
    info: node.NodeSystemInfo
    max_pods: int

    @property
    def capacity(self) -> dict[str, str]:
        """All there is."""
        return {
            "cpu": str(self.cores),
            "memory": f"{self.memory // 1024}Ki",
            "ephemeral-storage": f"{self.disk // 1024}Ki",
            "pods": str(self.max_pods),
        }

    @property
    def allocatable(self) -> dict[str, str]:
        """What instances may ask for."""
        return {
            "cpu": quantity.from_milli(self.cpu_for_pods),
            "memory": f"{self.memory_for_pods // 1024}Ki",
            "ephemeral-storage": f"{self.disk * 9 // 10 // 1024}Ki",
            "pods": str(self.max_pods),
        }

    @property
    def cpu_for_pods(self) -> int:
        """Thousandths of a core."""
        return self.cores * 1000 - self.reserve.cpu

    @property
    def memory_for_pods(self) -> int:
        """Bytes."""
        return self.memory - self.reserve.memory


def detect(wish: settings.Settings, *, runtime_version: str = "", version: str = "") -> Machine:
    """Look at the machine."""
    cores = len(os.sched_getaffinity(0))
    memory = _meminfo("MemTotal")
    disk = os.statvfs(_existing(pathlib.Path(wish.state)))
    return Machine(
        address=wish.address or own_address(),
        hostname=socket.gethostname(),
        cores=cores,
        memory=memory,
        disk=disk.f_blocks * disk.f_frsize,
        reserve=pod_resources.reserve(
            cores=cores, memory=memory, cpu=wish.reserved_cpu, memory_kept=wish.reserved_memory
        ),
        oom_floor=oom_floor(),
        info=node.NodeSystemInfo(
            machineID=_line("/etc/machine-id"),
            systemUUID=_line("/sys/class/dmi/id/product_uuid"),
            bootID=_line("/proc/sys/kernel/random/boot_id"),
            kernelVersion=platform.release(),
            osImage=_os_name(),
            containerRuntimeVersion=runtime_version,
            kubeletVersion=version,
            operatingSystem="linux",
            architecture=_ARCHITECTURES.get(platform.machine(), platform.machine()),
        ),
        max_pods=wish.max_pods,
    )


def own_address() -> str:
    """The address of the default route, without sending anything; loopback when there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # A documentation address (RFC 5737): connecting a datagram socket only looks up the route.
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def oom_floor() -> int:
    """-1000, or our own score where the host does not let us go below it."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:") and int(line.split()[1], 16) >> _CAP_SYS_RESOURCE & 1:
            return -1000
    return int(_line("/proc/self/oom_score_adj") or 0)


def host_resolver(path: pathlib.Path = pathlib.Path("/etc/resolv.conf")) -> pod_runtime.Resolver:
    """The host's own way to look up names."""
    servers, searches, options = [], [], []
    try:
        lines = path.read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            servers.append(words[1])
        elif len(words) >= 2 and words[0] == "search":
            searches = words[1:]
        elif len(words) >= 2 and words[0] == "options":
            options += words[1:]
    return pod_runtime.Resolver(servers=servers, searches=searches, options=options)


def _meminfo(name: str) -> int:
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def available_memory() -> int:
    """Bytes that new work could use now."""
    return _meminfo("MemAvailable")


def _line(path: str) -> str:
    try:
        return pathlib.Path(path).read_text().strip()
    except OSError:
        return ""


def _os_name() -> str:
    for line in _line("/etc/os-release").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return "Linux"


def _existing(path: pathlib.Path) -> pathlib.Path:
    while not path.exists():
        path = path.parent
    return path
