"""The processors: model, number, chosen abilities, NUMA nodes."""

import pathlib

from boxfleet.agent.node.found import files

_VENDORS = {"GenuineIntel": "intel", "AuthenticAMD": "amd", "HygonGenuine": "hygon"}
# What programs are built for or refuse to start without, by the kernel's names on x86 and arm64.
_FLAGS = frozenset(
    {
        *("aes", "avx", "avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "bmi2", "fma", "sha_ni", "sse4_2"),
        *("vmx", "svm", "asimd", "atomics", "sha2", "sve", "sve2", "bf16", "i8mm"),
    }
)


def labels(root: pathlib.Path) -> dict[str, str]:
    """By proc/cpuinfo and the folders of NUMA nodes."""
    blocks = [one for one in files.fields(root / "proc/cpuinfo") if "processor" in one]
    found = {}
    if blocks:
        first = blocks[0]
        found["cpu.threads"] = str(len(blocks))
        found["cpu.vendor"] = _VENDORS.get(first.get("vendor_id", ""), first.get("vendor_id", ""))
        found["cpu.model"] = first.get("model name", "")
        if "core id" in first:
            found["cpu.cores"] = str(len({(one.get("physical id"), one.get("core id")) for one in blocks}))
            found["cpu.sockets"] = str(len({one.get("physical id") for one in blocks}))
        able = (first.get("flags") or first.get("Features") or "").split()
        found |= {f"cpu.{flag}": "true" for flag in able if flag in _FLAGS}
    nodes = [one for one in files.entries(root / "sys/devices/system/node") if one.name[4:].isdecimal()]
    if nodes:
        found["numa.nodes"] = str(len(nodes))
    return found


def is_virtual(root: pathlib.Path) -> bool:
    """Whether an x86 processor says that it is a virtual one."""
    blocks = files.fields(root / "proc/cpuinfo")
    return bool(blocks) and "hypervisor" in blocks[0].get("flags", "").split()


def is_x86(root: pathlib.Path) -> bool:
    """Whether it would say so."""
    blocks = files.fields(root / "proc/cpuinfo")
    return bool(blocks) and "flags" in blocks[0]
