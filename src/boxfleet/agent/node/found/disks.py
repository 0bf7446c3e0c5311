"""Disks: kinds and numbers, and the one below a folder."""

import collections
import os
import pathlib

from boxfleet.agent.node.found import files

# Block devices that are no disks, or made of others.
_NO_DISKS = ("loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd", "drbd")
# What a hypervisor says of rotation is its default, and no fact.
_VIRTUAL = ("vd", "xvd")


def labels(root: pathlib.Path, *, device: str = "") -> dict[str, str]:
    """How many there are of each kind; `device` (MAJOR:MINOR) is the one that Boxfleet's data is on."""
    counts = collections.Counter(
        kind(one) for one in files.entries(root / "sys/block") if not one.name.startswith(_NO_DISKS)
    )
    found = {f"disk.{name}": str(count) for name, count in counts.items()}
    own = {kind(one) for one in below(root, device)} if device else set()
    if len(own) == 1:
        found["disk.kind"] = own.pop()
    return found


def kind(disk: pathlib.Path) -> str:
    """nvme, ssd, hdd or virtual, for a folder of sys/block."""
    if disk.name.startswith("nvme"):
        return "nvme"
    if disk.name.startswith(_VIRTUAL):
        return "virtual"
    return "hdd" if files.number(disk / "queue/rotational") else "ssd"


def below(root: pathlib.Path, device: str) -> list[pathlib.Path]:
    """The disks that a block device is on, through partitions, encryption and arrays."""
    place = (root / "sys/dev/block" / device).resolve()
    if not place.is_dir():
        # A file system of no one device: btrfs, overlay, a network's.
        return []
    if (place / "partition").exists():
        place = place.parent
    slaves = [one.resolve() for one in files.entries(place / "slaves")]
    if not slaves:
        return [place]
    numbers = [files.text(slave / "dev") for slave in slaves]
    return [disk for number in numbers if number and number != device for disk in below(root, number)]


def device_of(folder: pathlib.Path) -> str:
    """The device that a folder of this machine is on, as MAJOR:MINOR."""
    found = folder.stat().st_dev
    return f"{os.major(found)}:{os.minor(found)}"
