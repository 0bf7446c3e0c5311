"""What this machine lacks, and the command that mends it.

Every check is a function of a `Machine`, which tests replace. Checks change nothing: kernel features are tried in a
network namespace that vanishes with the try.
"""

import dataclasses
import enum
import ipaddress
import os
import pathlib
import platform
import re
import shutil
import socket
import subprocess
from collections.abc import Callable

from boxfleet.app import fixed, locks, paths, settings, wishes

# Overlay on overlay, nftables' NAT for every family and pressure information are all there by then.
OLDEST_KERNEL = (5, 4)
# Room for the images of the examples, and some to work in.
DISK_BYTES = 3 * 2**30
# Below it nothing works: containerd keeps 16 MiB free, and the store, its log and the first image come on top. Where
# there was a start, they are there.
FIRST_START_BYTES = 64 * 2**20
START_BYTES = 20 * 2**20
MEMORY_BYTES = 700 * 2**20
# Programs and files that Boxfleet drives, with Debian's package.
PROGRAMS = {
    "containerd": "containerd",
    "runc": "runc",
    "dnsmasq": "dnsmasq-base",
    "mmdebstrap": "mmdebstrap",
    "zstd": "zstd",
    "s6-svscan": "s6",
    "catatonit": "catatonit",
    "nft": "nftables",
    "iptables": "iptables",
    "ip": "iproute2",
}
# Debian's place, upstream's, Fedora's.
CNI_PLACES = ("/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni")
CNI_PLUGINS = ("bridge", "loopback", "portmap")
CONTROLLERS = ("cpu", "memory", "pids")
# Capabilities by their bit (linux/capability.h), and what does not work without.
CAPABILITIES = {12: "CAP_NET_ADMIN", 16: "CAP_SYS_MODULE", 21: "CAP_SYS_ADMIN", 24: "CAP_SYS_RESOURCE"}

# Settings that are flags of `up`, of those that are looked at here.
_FLAGS = ("node", "domain", "cidr", "bridge", "names")
# Addresses that stand for all of the machine's.
_EVERYWHERE = {"0.0.0.0", "::"}  # noqa: S104


class Grade(enum.StrEnum):
    """How bad it is: `POOR` costs something, `BAD` keeps Boxfleet from running."""

    GOOD = "good"
    POOR = "poor"
    BAD = "bad"


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check, and what to do about it."""

    name: str
    grade: Grade
    detail: str
    remedy: str = ""


class Machine:
    """What checks ask of the machine."""

    def __init__(self, known: settings.All) -> None:
        self.known = known

    def user(self) -> int:
        """The effective user id."""
        return os.geteuid()

    def kernel(self) -> str:
        """The kernel's release."""
        return platform.release()

    def read(self, path: str) -> str:
        """A file of the kernel's; empty when it is not there."""
        try:
            return pathlib.Path(path).read_text()
        except OSError:
            return ""

    def exists(self, path: str) -> bool:
        """Whether the path is there."""
        return pathlib.Path(path).exists()

    def find(self, program: str) -> str:
        """Where a program is; empty when it is nowhere."""
        return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/bin") or ""

    def tries(self, command: str) -> str:
        """Run a shell command in a network namespace of its own; empty when it works, else what it said."""
        answer = subprocess.run(
            ["unshare", "--net", "sh", "-c", command], capture_output=True, text=True, check=False, timeout=20
        )
        return "" if answer.returncode == 0 else (answer.stderr.strip() or f"exit code {answer.returncode}")

    def free_bytes(self, path: str) -> int:
        """Room on the file system that holds the path, or will."""
        folder = pathlib.Path(path)
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free

    def is_file(self, path: str) -> bool:
        """Whether the path, or the start of it, is there and no folder."""
        place = pathlib.Path(path)
        return any(each.exists() and not each.is_dir() for each in (place, *place.parents))

    def can_listen(self, address: str, port: int) -> str:
        """Empty when the port is free, else why not. Port 0 asks for the address alone."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                return error.strerror or str(error)
            except (ValueError, TypeError):
                # No text for a name at all.
                return "this is no address"
        return ""

    def serves(self) -> bool:
        """Whether our own server runs and has the API's port, on an address that is the wished one or part of it."""
        before = fixed.saved(self.known)
        return (
            before is not None
            and before.port == self.known.port
            and (before.listen == self.known.listen or bool({before.listen, self.known.listen} & _EVERYWHERE))
            and locks.holder(paths.of(self.known).server_lock) != 0
        )

    def is_new(self) -> bool:
        """Whether there was no start yet."""
        return fixed.saved(self.known) is None

    def interface(self, name: str) -> str:
        """What a network interface is: "bridge", "other", or empty when there is none."""
        place = pathlib.Path("/sys/class/net", name)
        if not place.exists():
            return ""
        return "bridge" if (place / "bridge").is_dir() else "other"

    def routes(self) -> list[tuple[str, str]]:
        """Networks this machine reaches, each with its interface; the default route left out."""
        answer = subprocess.run(["ip", "-4", "route", "show"], capture_output=True, text=True, check=False).stdout
        found = re.findall(r"^(\d[\d./]*)(?: via \S+)? dev (\S+)", answer, re.MULTILINE)
        return [(network, device) for network, device in found]


Check = Callable[[Machine], list[Finding]]


def examine(machine: Machine) -> list[Finding]:
    """Run every check, those first that make others senseless."""
    findings = check_root(machine)
    if findings[0].grade is Grade.BAD:
        return [*findings, *check_kernel(machine), *check_cgroups(machine), *check_programs(machine)]
    for check in CHECKS:
        findings += check(machine)
    return findings


def check_root(machine: Machine) -> list[Finding]:
    """Containers, bridges and mounts need root."""
    if machine.user() != 0:
        return [Finding("root", Grade.BAD, f"this is user {machine.user()}", "run it again with sudo")]
    return [Finding("root", Grade.GOOD, "yes")]


def check_capabilities(machine: Machine) -> list[Finding]:
    """Root in a container or a sandbox may lack parts of root's power."""
    match = re.search(r"^CapEff:\s*([0-9a-f]+)", machine.read("/proc/self/status"), re.MULTILINE)
    held = int(match[1], 16) if match else 0
    lost = {bit: name for bit, name in CAPABILITIES.items() if not held >> bit & 1}
    findings = []
    for bit in (12, 21):
        if bit in lost:
            words = f"root lacks {lost[bit]}: this is a container without the rights to make containers"
            findings.append(
                Finding("capabilities", Grade.BAD, words, "start it privileged, or use a machine of its own")
            )
    if 24 in lost:
        words = "CAP_SYS_RESOURCE is missing: processes cannot be protected from the kernel's memory killer"
        findings.append(Finding("capabilities", Grade.POOR, words, "nothing to do: Boxfleet works around it"))
    return findings or [Finding("capabilities", Grade.GOOD, "complete")]


def check_kernel(machine: Machine) -> list[Finding]:
    """The kernel's version."""
    release = machine.kernel()
    numbers = tuple(int(part) for part in re.findall(r"\d+", release)[:2])
    if numbers < OLDEST_KERNEL:
        wanted = ".".join(map(str, OLDEST_KERNEL))
        return [Finding("kernel", Grade.BAD, f"{release} is older than {wanted}", "upgrade to Debian 12 or later")]
    return [Finding("kernel", Grade.GOOD, release)]


def check_cgroups(machine: Machine) -> list[Finding]:
    """Limits need control groups, in either version."""
    mounts = [line.split() for line in machine.read("/proc/self/mounts").splitlines()]
    unified = {fields[1] for fields in mounts if fields[2] == "cgroup2"}
    offered: set[str] = set()
    for place in unified:
        offered |= set(machine.read(f"{place}/cgroup.controllers").split())
    classic = {word for fields in mounts if fields[2] == "cgroup" for word in fields[3].split(",")}
    if set(CONTROLLERS) <= offered:
        return [Finding("cgroups", Grade.GOOD, "version 2")]
    if set(CONTROLLERS) <= classic:
        return [Finding("cgroups", Grade.GOOD, "version 1")]
    lost = ", ".join(name for name in CONTROLLERS if name not in offered | classic)
    remedy = "mount them: mount -t cgroup2 none /sys/fs/cgroup"
    if unified or classic:
        remedy = "boot with cgroup_enable=memory, or give this container its control groups"
    return [Finding("cgroups", Grade.BAD, f"no control of {lost}", remedy)]


def check_features(machine: Machine) -> list[Finding]:
    """What the kernel must be able to do; tried, since modules load on demand."""
    findings = []
    if "\toverlay\n" not in machine.read("/proc/filesystems") and machine.tries("modprobe overlay"):
        findings.append(Finding("overlay", Grade.BAD, "the kernel has no overlay file system", "modprobe overlay"))
    else:
        findings.append(Finding("overlay", Grade.GOOD, "yes"))
    features = {
        "bridge": "ip link add bfprobe type bridge",
        "veth": "ip link add bfprobe type veth peer name bfprobe2",
        "nftables": "nft list tables",
        "nat": "iptables -t nat -A POSTROUTING -j MASQUERADE && iptables -t nat -m comment --comment x -A POSTROUTING",
    }
    remedies = {
        "bridge": "modprobe bridge",
        "veth": "modprobe veth",
        "nftables": "modprobe nf_tables",
        "nat": "modprobe nft_chain_nat nft_compat xt_MASQUERADE xt_comment",
    }
    for name, command in features.items():
        said = machine.tries(command)
        if said:
            findings.append(Finding(name, Grade.BAD, said.splitlines()[-1], remedies[name]))
        else:
            findings.append(Finding(name, Grade.GOOD, "yes"))
    return findings


def check_programs(machine: Machine) -> list[Finding]:
    """The programs that Boxfleet drives."""
    missing = {program: package for program, package in PROGRAMS.items() if not machine.find(program)}
    for plugin in CNI_PLUGINS:
        if not any(machine.exists(f"{place}/{plugin}") for place in CNI_PLACES):
            missing[f"{CNI_PLACES[0]}/{plugin}"] = "containernetworking-plugins"
    if not missing:
        return [Finding("programs", Grade.GOOD, f"all {len(PROGRAMS) + 1} are there")]
    packages = " ".join(sorted(set(missing.values())))
    words = "missing: " + ", ".join(missing)
    return [Finding("programs", Grade.BAD, words, f"apt-get install --no-install-recommends {packages}")]


def check_kubectl(machine: Machine) -> list[Finding]:
    """Boxfleet does not need kubectl; people do."""
    where = machine.find("kubectl")
    if where:
        return [Finding("kubectl", Grade.GOOD, where)]
    return [Finding("kubectl", Grade.POOR, "not there", "apt-get install kubernetes-client")]


def check_settings(machine: Machine) -> list[Finding]:
    """What is set must have a meaning: it is saved, and some of it is fixed by the first start."""
    findings = [
        Finding(name, Grade.BAD, why, f"give another: {_where_said(name)}")
        for name, why in wishes.faults(machine.known)
    ]
    return findings or [Finding("settings", Grade.GOOD, "complete")]


def _where_said(name: str) -> str:
    if name not in _FLAGS:
        return f"the setting {name}, see docs/settings.md"
    return f"boxfleet up --{name.replace('_', '-')} {name.upper()}"


def check_ports(machine: Machine) -> list[Finding]:
    """The API's address must be this machine's, and its port free or ours."""
    known = machine.known
    # The empty word is every address to the kernel, which is to be said, not to be left out.
    said = machine.can_listen(known.listen, 0) if known.listen else "there is no address"
    if said:
        remedy = (
            "give an address of this machine (ip -brief address), 127.0.0.1, or 0.0.0.0 for all of them: "
            "boxfleet up --listen ADDRESS"
        )
        return [Finding("listen", Grade.BAD, f"{known.listen!r}: {said}", remedy)]
    said = machine.can_listen(known.listen, known.port)
    if said and not machine.serves():
        remedy = f"see who has it: ss -ltnp 'sport = :{known.port}'; or choose another: boxfleet up --port N"
        return [Finding("port", Grade.BAD, f"{known.listen}:{known.port}: {said}", remedy)]
    return [Finding("port", Grade.GOOD, f"{known.listen}:{known.port}")]


def check_network(machine: Machine) -> list[Finding]:
    """Instances' addresses must not be somebody else's."""
    known = machine.known
    try:
        pool = ipaddress.ip_network(known.cidr)
    except ValueError:
        # It is among the settings that have no use.
        return []
    if machine.interface(known.bridge) == "other":
        words = f"{known.bridge} is there, and is no bridge"
        return [Finding("network", Grade.BAD, words, "choose another name: boxfleet up --bridge boxfleet0")]
    for network, device in machine.routes():
        other = ipaddress.ip_network(network, strict=False)
        # Later on it has what the AddressPools say.
        if device == known.bridge and other != pool and machine.is_new():
            words = f"the bridge {device} has addresses of {network}, so it is somebody else's"
            return [Finding("network", Grade.BAD, words, "choose another name: boxfleet up --bridge boxfleet0")]
        if device != known.bridge and pool.version == other.version and pool.overlaps(other):
            words = f"{known.cidr} overlaps {network} on {device}"
            return [Finding("network", Grade.BAD, words, "choose another: boxfleet up --cidr 10.123.0.0/16")]
    return [Finding("network", Grade.GOOD, known.cidr)]


def check_disk(machine: Machine) -> list[Finding]:
    """Room for what is kept, and a folder to keep it in."""
    state = machine.known.state
    if machine.is_file(state):
        return [Finding("disk", Grade.BAD, f"{state} is no folder", "name another: boxfleet up --state DIR")]
    free = machine.free_bytes(state)
    needed = FIRST_START_BYTES if machine.is_new() else START_BYTES
    remedy = "free some, or put the state elsewhere: --state DIR"
    if free < needed:
        words = f"{free / 2**20:.0f} MiB free for {state}, and a start needs {needed >> 20} MiB"
        return [Finding("disk", Grade.BAD, f"{words} (with images, {DISK_BYTES >> 30} GiB)", remedy)]
    words = f"{free / 2**30:.1f} GiB free for {state}"
    return [
        Finding("disk", Grade.POOR if free < DISK_BYTES else Grade.GOOD, words, remedy if free < DISK_BYTES else "")
    ]


def check_memory(machine: Machine) -> list[Finding]:
    """Memory for some instances."""
    match = re.search(r"^MemAvailable:\s+(\d+) kB", machine.read("/proc/meminfo"), re.MULTILINE)
    memory = int(match[1]) * 1024 if match else 0
    words = f"{memory / 2**20:.0f} MiB available"
    grade = Grade.POOR if memory < MEMORY_BYTES else Grade.GOOD
    return [Finding("memory", grade, words, "use a bigger machine" if grade is Grade.POOR else "")]


CHECKS: tuple[Check, ...] = (
    check_capabilities,
    check_kernel,
    check_cgroups,
    check_programs,
    check_features,
    check_kubectl,
    check_settings,
    check_ports,
    check_network,
    check_disk,
    check_memory,
)
