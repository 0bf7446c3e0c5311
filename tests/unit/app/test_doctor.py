"""The doctor's checks on machines that are given."""

from typing import Any

import pytest

from boxfleet.app import doctor, settings

V2 = "none /sys/fs/cgroup cgroup2 rw 0 0\n"
V1 = (
    "c /sys/fs/cgroup/cpu cgroup rw,cpu,cpuacct 0 0\nc /sys/fs/cgroup/memory cgroup rw,memory 0 0\n"
    "c /sys/fs/cgroup/pids cgroup rw,pids 0 0\n"
)


class Given(doctor.Machine):
    """A machine as a test says it is; a good one by default."""

    def __init__(self, **said: Any) -> None:
        super().__init__(settings.All(node="one"))
        self.said = said
        self.files = {
            "/proc/self/mounts": V2,
            "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids\n",
            "/proc/self/status": "CapEff:\t000001ffffffffff\n",
            "/proc/filesystems": "nodev\toverlay\n",
            "/proc/meminfo": "MemAvailable:    4000000 kB\n",
        } | said.get("files", {})

    def user(self) -> int:
        return int(self.said.get("user", 0))

    def kernel(self) -> str:
        return str(self.said.get("kernel", "6.1.0-25-amd64"))

    def read(self, path: str) -> str:
        return self.files.get(path, "")

    def exists(self, path: str) -> bool:
        return path.startswith("/usr/lib/cni/") and path not in self.said.get("lacks", ())

    def find(self, program: str) -> str:
        return "" if program in self.said.get("lacks", ()) else f"/usr/bin/{program}"

    def tries(self, command: str) -> str:
        return "Operation not supported" if self.said.get("fails", "\0") in command else ""

    def free_bytes(self, path: str) -> int:
        return int(self.said.get("free", 50 * 2**30))

    def can_listen(self, address: str, port: int) -> str:
        return str(self.said.get("port", ""))

    def serves(self) -> bool:
        return bool(self.said.get("serves", False))

    def routes(self) -> list[tuple[str, str]]:
        return list(self.said.get("routes", [("192.0.2.0/24", "eth0")]))


def bad(machine: doctor.Machine) -> dict[str, doctor.Finding]:
    """What is not good by name; of several, the worst."""
    found = sorted(doctor.examine(machine), key=lambda finding: finding.grade is doctor.Grade.BAD)
    return {f.name: f for f in found if f.grade is not doctor.Grade.GOOD}


def test_a_good_machine_has_nothing_to_mend() -> None:
    assert bad(Given()) == {}


@pytest.mark.parametrize(
    ("said", "name", "remedy"),
    [
        ({"user": 1000}, "root", "sudo"),
        ({"kernel": "4.19.0-27"}, "kernel", "Debian 12"),
        ({"files": {"/proc/self/mounts": ""}}, "cgroups", "mount"),
        ({"files": {"/sys/fs/cgroup/cgroup.controllers": "cpu pids\n"}}, "cgroups", "cgroup_enable=memory"),
        ({"files": {"/proc/self/status": "CapEff:\t00000000a80425fb\n"}}, "capabilities", "privileged"),
        ({"files": {"/proc/filesystems": ""}, "fails": "modprobe"}, "overlay", "modprobe overlay"),
        ({"fails": "bridge"}, "bridge", "modprobe bridge"),
        ({"fails": "nft list"}, "nftables", "modprobe nf_tables"),
        ({"lacks": ("containerd", "/usr/lib/cni/bridge")}, "programs", "containerd containernetworking-plugins"),
        ({"port": "Address already in use"}, "port", "--port"),
        ({"routes": [("10.88.4.0/24", "wg0")]}, "network", "--cidr"),
    ],
)
def test_what_keeps_it_from_running_is_bad_and_has_a_remedy(said: dict[str, Any], name: str, remedy: str) -> None:
    finding = bad(Given(**said))[name]
    assert finding.grade is doctor.Grade.BAD
    assert remedy in finding.remedy


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ({"lacks": ("kubectl",)}, "kubectl"),
        ({"free": 2**30}, "disk"),
        ({"files": {"/proc/meminfo": "MemAvailable: 1000 kB\n"}}, "memory"),
        ({"files": {"/proc/self/status": "CapEff:\t000001fffeffffff\n"}}, "capabilities"),
    ],
)
def test_what_only_costs_something_is_poor(said: dict[str, Any], name: str) -> None:
    assert bad(Given(**said))[name].grade is doctor.Grade.POOR


def test_the_first_cgroup_version_will_do() -> None:
    assert bad(Given(files={"/proc/self/mounts": V1})) == {}


def test_our_own_server_and_bridge_are_not_in_the_way() -> None:
    assert bad(Given(port="Address already in use", serves=True, routes=[("10.88.0.0/16", "boxfleet0")])) == {}


def test_without_root_only_what_root_is_not_needed_for_is_tried() -> None:
    names = {finding.name for finding in doctor.examine(Given(user=1000, fails="ip link"))}
    assert "bridge" not in names and "programs" in names
