"""What is found of a host, on trees like the kernel's, and on this machine."""

import os
import pathlib

import pytest

from boxfleet.agent.node import stalls
from boxfleet.agent.node.found import disks, gather, links, scripts, speed
from boxfleet.api import names

_SERVER = {
    "proc/cpuinfo": "".join(
        f"processor\t: {number}\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz\n"
        f"physical id\t: {number // 4}\ncore id\t: {number % 4 // 2}\nflags\t: fpu vmx avx2 avx512f aes\n\n"
        for number in range(8)
    ),
    "proc/meminfo": "MemTotal:       65799104 kB\nMemFree:  1 kB\nSwapTotal:       2097148 kB\n",
    "proc/sys/kernel/osrelease": "6.1.0-30-amd64\n",
    "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n',
    "sys/devices/system/node/node0/cpulist": "0-3\n",
    "sys/devices/system/node/node1/cpulist": "4-7\n",
    "sys/devices/system/node/online": "0-1\n",
    "sys/class/dmi/id/sys_vendor": "Dell Inc.\n",
    "sys/class/dmi/id/product_name": "PowerEdge R740\n",
    "sys/devices/a/block/sda/queue/rotational": "1\n",
    "sys/devices/a/block/sda/dev": "8:0\n",
    "sys/devices/a/block/sda/sda1/partition": "1\n",
    "sys/devices/a/block/sda/sda1/dev": "8:1\n",
    "sys/devices/b/block/nvme0n1/queue/rotational": "0\n",
    "sys/devices/b/block/nvme0n1/dev": "259:0\n",
    "sys/devices/virtual/block/dm-0/dev": "254:0\n",
    "sys/devices/virtual/block/loop0/queue/rotational": "1\n",
    "sys/class/net/eno1/device/vendor": "0x8086\n",
    "sys/class/net/eno1/operstate": "up\n",
    "sys/class/net/eno1/speed": "10000\n",
    "sys/class/net/eno2/device/vendor": "0x8086\n",
    "sys/class/net/eno2/operstate": "down\n",
    "sys/class/net/eno2/speed": "40000\n",
    "sys/class/net/boxfleet0/speed": "100000\n",
}


def plant(root: pathlib.Path, files: dict[str, str], *, to: dict[str, str] | None = None) -> pathlib.Path:
    """Make files and symbolic links below a root."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name, target in (to or {}).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(root / target)
    return root


def card(number: int, *, vendor: str, device: str, kind: str = "0x030200") -> dict[str, str]:
    folder = f"sys/bus/pci/devices/0000:0{number}:00.0"
    return {f"{folder}/class": f"{kind}\n", f"{folder}/vendor": f"{vendor}\n", f"{folder}/device": f"{device}\n"}


@pytest.fixture
def server(tmp_path: pathlib.Path) -> pathlib.Path:
    return plant(
        tmp_path / "root",
        _SERVER,
        to={
            "sys/block/sda": "sys/devices/a/block/sda",
            "sys/block/nvme0n1": "sys/devices/b/block/nvme0n1",
            "sys/block/dm-0": "sys/devices/virtual/block/dm-0",
            "sys/block/loop0": "sys/devices/virtual/block/loop0",
            "sys/dev/block/8:1": "sys/devices/a/block/sda/sda1",
            "sys/dev/block/8:0": "sys/devices/a/block/sda",
            "sys/dev/block/259:0": "sys/devices/b/block/nvme0n1",
            "sys/dev/block/254:0": "sys/devices/virtual/block/dm-0",
            "sys/devices/virtual/block/dm-0/slaves/nvme0n1": "sys/devices/b/block/nvme0n1",
        },
    )


def found(root: pathlib.Path, *, device: str = "") -> dict[str, str]:
    return {name.removeprefix("host.boxfleet.dev/"): text for name, text in gather.labels(root, device=device).items()}


def test_a_server_of_bare_metal(server: pathlib.Path) -> None:
    assert found(server, device="8:1") == {
        "cpu.threads": "8", "cpu.cores": "4", "cpu.sockets": "2", "cpu.vendor": "intel",
        "cpu.model": "Intel-R-Xeon-R-Gold-6130-CPU-2.10GHz",
        "cpu.vmx": "true", "cpu.avx2": "true", "cpu.avx512f": "true", "cpu.aes": "true", "numa.nodes": "2",
        "memory.gib": "63", "memory.swap": "true", "disk.hdd": "1", "disk.nvme": "1", "disk.kind": "hdd",
        "network.mbit": "10000", "kernel.version": "6.1.0-30-amd64", "kernel.major": "6", "kernel.minor": "1",
        "os.id": "debian", "os.version": "12", "virtualization": "none",
        "vendor": "Dell-Inc", "product": "PowerEdge-R740",
    }  # fmt: skip
    assert gather.resources(server) == {"boxfleet.dev/bandwidth": "10000"}


def test_the_disk_below_encryption_is_found(server: pathlib.Path) -> None:
    assert [one.name for one in disks.below(server, "254:0")] == ["nvme0n1"]
    assert disks.below(server, "0:40") == []


def test_a_bond_is_as_fast_as_all_its_links(server: pathlib.Path) -> None:
    plant(server, {"sys/class/net/bond0/bonding/mode": "802.3ad 4\n", "sys/class/net/bond0/speed": "20000\n"})
    assert links.mbit(server) == 20000


def test_accelerators_are_labels_and_those_with_a_driver_resources(server: pathlib.Path) -> None:
    cards = [card(number, vendor="0x10de", device="0x2684") for number in (1, 2, 3)]
    console = card(4, vendor="0x1a03", device="0x2000", kind="0x030000")
    sound = card(5, vendor="0x10de", device="0x22ba", kind="0x040300")
    drivers = {"0000:01:00.0": "nvidia", "0000:02:00.0": "nvidia", "0000:03:00.0": "vfio-pci"}
    plant(
        server,
        {name: text for one in (*cards, console, sound) for name, text in one.items()}
        | {f"sys/bus/pci/drivers/{name}/module": "" for name in set(drivers.values())},
        to={f"sys/bus/pci/devices/{place}/driver": f"sys/bus/pci/drivers/{name}" for place, name in drivers.items()},
    )
    said = found(server)
    assert (said["gpu.nvidia"], said["gpu.nvidia.device"]) == ("3", "2684")
    assert gather.resources(server)["nvidia.com/gpu"] == "2"


def test_a_machine_of_a_cloud(tmp_path: pathlib.Path) -> None:
    root = plant(
        tmp_path,
        {
            "proc/cpuinfo": "processor\t: 0\nflags\t: fpu hypervisor\n",
            "sys/class/dmi/id/sys_vendor": "Amazon EC2\n",
            "sys/class/dmi/id/product_name": "m5.large\n",
            "run/cloud-init/instance-data.json": '{"v1": {"cloud_name": "aws", "region": "eu-central-1", '
            '"availability_zone": "eu-central-1b"}, "ds": {"meta_data": {"instance-id": "i-1"}}}',
        },
    )
    said = found(root)
    assert {name: said[name] for name in ("cloud.provider", "virtualization")} == {
        "cloud.provider": "aws", "virtualization": "amazon",
    }  # fmt: skip
    assert said["node.kubernetes.io/instance-type"] == "m5.large"
    assert said["topology.kubernetes.io/zone"] == "eu-central-1b"
    assert said["topology.kubernetes.io/region"] == "eu-central-1"


@pytest.mark.parametrize(
    ("vendor", "product", "hypervisor"),
    [
        ("QEMU", "Standard PC (Q35 + ICH9, 2009)", "kvm"),
        ("VMware, Inc.", "VMware7,1", "vmware"),
        ("Microsoft Corporation", "Virtual Machine", "microsoft"),
        ("Nobody", "knows", "unknown"),
    ],
)
def test_the_hypervisor_is_known_by_its_firmware(
    tmp_path: pathlib.Path, vendor: str, product: str, hypervisor: str
) -> None:
    folder = "sys/class/dmi/id"
    plant(
        tmp_path,
        {
            "proc/cpuinfo": "processor : 0\nflags : hypervisor\n",
            f"{folder}/sys_vendor": vendor,
            f"{folder}/product_name": product,
        },
    )
    assert found(tmp_path)["virtualization"] == hypervisor


@pytest.mark.parametrize("text", ["", "{", "[]", '{"v1": null, "ds": []}', '{"v1": {"region": "unknown", "x": 1}}'])
def test_what_cannot_be_read_is_not_known(tmp_path: pathlib.Path, text: str) -> None:
    plant(tmp_path, {"run/cloud-init/instance-data.json": text, "proc/cpuinfo": "nonsense", "proc/meminfo": "a: b"})
    assert found(tmp_path) == {}
    assert gather.resources(tmp_path) == {}


def test_this_machine_says_what_labels_may_be(tmp_path: pathlib.Path) -> None:
    measured = speed.measure(tmp_path, now="2026-01-01T00:00:00Z")
    said = gather.labels(pathlib.Path("/"), device=disks.device_of(tmp_path), measured=measured)
    assert {"cpu.threads", "memory.gib", "kernel.version", "os.id", "disk.sync-iops"} <= {
        name.rpartition("/")[2] for name in said
    }
    for name, text in said.items():
        assert names.label_key(name) is None and names.label_value(text) is None, (name, text)
    assert gather.resources(pathlib.Path("/"), measured=measured)["boxfleet.dev/iops"] == str(measured.sync_iops)
    assert list(tmp_path.iterdir()) == []


def test_a_measurement_is_remembered_for_its_device(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "speed.json"
    assert speed.remembered(file, device="8:1") is None
    kept = speed.Speed(write_mib=310, sync_iops=950, device="8:1", measured="2026-01-01T00:00:00Z")
    speed.remember(file, kept)
    assert speed.remembered(file, device="8:1") == kept
    assert speed.remembered(file, device="8:2") is None
    file.write_text("{")
    assert speed.remembered(file, device="8:1") is None


@pytest.mark.parametrize(("amount", "whole"), [(0.2, 1), (7.6, 8), (99.4, 99), (1234.0, 1200), (98765.0, 99000)])
def test_measurements_have_two_digits(amount: float, whole: int) -> None:
    assert speed.rounded(amount) == whole


def test_stalls_are_read_where_the_kernel_has_them(tmp_path: pathlib.Path) -> None:
    text = "some avg10=1.50 avg60=2.50 avg300=0.00 total=1\nfull avg10=0.25 avg60=0.75 avg300=0.00 total=1\n"
    plant(tmp_path, {"proc/pressure/io": text})
    assert stalls.read(tmp_path, "io") == stalls.Stall(some10=1.5, some60=2.5, full10=0.25, full60=0.75)
    assert stalls.read(tmp_path, "cpu") == stalls.Stall()


def script(folder: pathlib.Path, name: str, text: str, *, mode: int = 0o755) -> pathlib.Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(mode)
    return path


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    made = tmp_path / "facts.d"
    made.mkdir(mode=0o755)
    return made


@pytest.mark.anyio
async def test_scripts_say_labels_with_a_clean_environment(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "x")
    script(folder, "10-rack", "echo rack=12; echo row=a; echo noise >&2")
    script(folder, "20-row", 'echo "{\\"row\\": \\"b\\"}"')
    script(folder, "30-env", 'echo "secret=${SECRET:-none}"; echo "at=$(pwd | tr / r)"')
    script(folder, ".hidden", "echo hidden=yes")
    said = await scripts.run(folder, owner=os.getuid())
    assert said.faults == []
    assert {name.rpartition("/")[2]: text for name, text in said.labels.items()} == {
        "rack": "12", "row": "b", "secret": "none", "at": "r",
    }  # fmt: skip


@pytest.mark.anyio
async def test_a_script_at_fault_is_named_and_the_others_count(folder: pathlib.Path) -> None:
    script(folder, "10-fails", "echo a=1; exit 3")
    script(folder, "20-slow", "echo b=1; sleep 100 & wait")
    script(folder, "30-flood", "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxx; done")
    script(folder, "40-wrong", "echo good=1; echo bad")
    script(folder, "50-others", "echo c=1", mode=0o757)
    script(folder, "60-plain", "echo d=1", mode=0o644)
    (folder / "70-link").symlink_to(folder / "40-wrong")
    (folder / "80-nothing").write_text("")
    (folder / "80-nothing").chmod(0o755)
    said = await scripts.run(folder, owner=os.getuid(), patience=1.0)
    assert said.labels == {"local.host.boxfleet.dev/good": "1"}
    assert said.faults == [
        "10-fails: ends with 3",
        "20-slow: takes more than 1 s",
        "30-flood: says more than 16 KiB",
        "40-wrong: line 2: not name=value: 'bad'",
        "50-others: can be written by others, so it is not run",
        "60-plain: is not executable",
        "70-link: is no plain file",
        "80-nothing: cannot be started: Exec format error",
    ]


@pytest.mark.anyio
async def test_scripts_of_anybody_else_are_not_run(folder: pathlib.Path) -> None:
    script(folder, "10-rack", "echo rack=12")
    said = await scripts.run(folder, owner=os.getuid() + 1)
    assert said.labels == {}
    assert len(said.faults) == 1
    folder.chmod(0o777)
    said = await scripts.run(folder, owner=os.getuid())
    assert (said.labels, said.faults) == ({}, [f"{folder}: can be written by others; none of it is run"])
    assert await scripts.run(folder / "none") == scripts.Said()


def test_a_folder_of_scripts_shows_when_one_changes(folder: pathlib.Path) -> None:
    before = scripts.fingerprint(folder)
    path = script(folder, "10-rack", "echo rack=12")
    after = scripts.fingerprint(folder)
    assert before != after
    os.utime(path, ns=(1, 1))
    assert scripts.fingerprint(folder) != after
    assert scripts.fingerprint(folder / "none") == ()
