"""Graphics processors and the like on the PCI bus (class codes and vendors of the PCI ID list)."""

import collections
import pathlib

from boxfleet.agent.node.found import files

# Display controllers, and processing accelerators. A server's console has one of the former, too, of other vendors.
_CLASSES = ("0x03", "0x12")
_VENDORS = {"0x10de": "nvidia", "0x1002": "amd", "0x8086": "intel", "0x1da3": "habana"}
# The driver that makes one of use to instances, and the resource by which its vendor has it asked for.
_RESOURCES = {
    "nvidia": "nvidia.com/gpu",
    "amdgpu": "amd.com/gpu",
    "i915": "gpu.intel.com/i915",
    "xe": "gpu.intel.com/xe",
    "habanalabs": "habana.ai/gaudi",
}
RESOURCES = frozenset(_RESOURCES.values())


def labels(root: pathlib.Path) -> dict[str, str]:
    """How many of each vendor, and their device id when they are all the same."""
    found: dict[str, str] = {}
    by_vendor: dict[str, list[str]] = collections.defaultdict(list)
    for one in _devices(root):
        vendor = _VENDORS[files.text(one / "vendor")]
        by_vendor[vendor].append(files.text(one / "device").removeprefix("0x"))
    for vendor, models in by_vendor.items():
        found[f"gpu.{vendor}"] = str(len(models))
        if len(set(models)) == 1:
            found[f"gpu.{vendor}.device"] = models[0]
    return found


def resources(root: pathlib.Path) -> dict[str, str]:
    """What can be asked for: one that has no driver, or one that hands it to a virtual machine, is of no use here."""
    drivers = collections.Counter(
        _RESOURCES[driver] for one in _devices(root) if (driver := (one / "driver").resolve().name) in _RESOURCES
    )
    return {name: str(count) for name, count in drivers.items()}


def _devices(root: pathlib.Path) -> list[pathlib.Path]:
    return [
        one
        for one in files.entries(root / "sys/bus/pci/devices")
        if files.text(one / "class").startswith(_CLASSES) and files.text(one / "vendor") in _VENDORS
    ]
