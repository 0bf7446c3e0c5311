"""The doctor's checks on machines that are given."""

import pathlib
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
        super().__init__(settings.All(**{"node": "one"} | said.get("settings", {})))
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

    def is_file(self, path: str) -> bool:
        return bool(self.said.get("file", False))

    def can_listen(self, address: str, port: int) -> str:
        return str(self.said.get("port" if port else "address", ""))

    def interface(self, name: str) -> str:
        return str(self.said.get("interfaces", {}).get(name, ""))

    def is_new(self) -> bool:
        return bool(self.said.get("new", True))

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
        ({"address": "Name or service not known"}, "listen", "--listen ADDRESS"),
        ({"address": "Cannot assign requested address", "serves": True}, "listen", "--listen ADDRESS"),
        ({"settings": {"listen": ""}}, "listen", "--listen ADDRESS"),
        ({"settings": {"domain": "my fleet"}}, "domain", "--domain"),
        ({"settings": {"node": "a..b"}}, "node", "--node"),
        ({"settings": {"cidr": "10.88.0.0/31"}}, "cidr", "--cidr"),
        ({"settings": {"cidr": "fd00::/64"}}, "cidr", "--cidr"),
        ({"settings": {"cidr": "10.88.0.1/16"}}, "cidr", "--cidr"),
        ({"settings": {"names": ("one.example", "two example")}}, "names", "--names"),
        ({"settings": {"advertise": "https://one"}}, "advertise", "docs/settings.md"),
        ({"settings": {"resources": ("cpu=1",)}}, "resources", "docs/settings.md"),
        ({"settings": {"resources": ("example.com/a=1", "example.com/b=1.5")}}, "resources", "docs/settings.md"),
        ({"interfaces": {"boxfleet0": "other"}}, "network", "--bridge"),
        ({"routes": [("172.17.0.0/16", "boxfleet0")]}, "network", "--bridge"),
        ({"routes": [("10.88.4.0/24", "wg0")]}, "network", "--cidr"),
        ({"free": 60 * 2**20}, "disk", "--state DIR"),
        ({"free": 19 * 2**20, "new": False}, "disk", "--state DIR"),
        ({"file": True}, "disk", "--state DIR"),
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
        ({"free": 60 * 2**20, "new": False}, "disk"),
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


def test_a_bridge_of_ours_may_have_the_network_of_another_pool() -> None:
    assert bad(Given(interfaces={"boxfleet0": "bridge"}, routes=[("10.99.0.0/16", "boxfleet0")], new=False)) == {}


def test_names_and_addresses_that_can_be_in_a_certificate_are_taken() -> None:
    good = ("one.example", "*.example", "10.0.0.1", "fd00::1", "my_host")
    assert bad(Given(settings={"names": good, "advertise": "Fleet.example", "domain": "Fleet.internal"})) == {}


@pytest.mark.parametrize("address", ["203.0.113.77", "1.2.3", "2001:db8::77", "a" * 70 + ".example", "a\0b"])
def test_an_address_that_is_not_this_machines_is_told_by_a_real_try(address: str) -> None:
    assert doctor.Machine(settings.All(listen=address)).can_listen(address, 0)


def test_too_little_room_is_told_with_what_is_needed() -> None:
    assert "3 MiB free for /var/lib/boxfleet, and a start needs 64 MiB" in bad(Given(free=3 * 2**20))["disk"].detail


def test_a_file_in_the_way_of_the_state_folder_is_seen(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").touch()
    machine = doctor.Machine(settings.All(state=str(tmp_path / "file" / "state")))
    assert machine.is_file(str(tmp_path / "file")) and machine.is_file(str(tmp_path / "file" / "state"))
    assert not machine.is_file(str(tmp_path)) and not machine.is_file(str(tmp_path / "none" / "state"))


def test_without_root_only_what_root_is_not_needed_for_is_tried() -> None:
    names = {finding.name for finding in doctor.examine(Given(user=1000, fails="ip link"))}
    assert "bridge" not in names and "programs" in names
