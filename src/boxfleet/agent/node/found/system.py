"""The kernel, the distribution, and the hypervisor below."""

import pathlib
import re

from boxfleet.agent.node.found import files, processor

_NUMBERS = re.compile(r"(\d+)\.(\d+)")
# By what the firmware says of vendor and product (systemd-detect-virt(1) names them likewise).
_HYPERVISORS = (
    ("vmware", "vmware"),
    ("innotek", "oracle"),
    ("virtualbox", "oracle"),
    ("microsoft corporation virtual machine", "microsoft"),
    ("parallels", "parallels"),
    ("xen", "xen"),
    ("hvm domu", "xen"),
    ("amazon ec2", "amazon"),
    ("bhyve", "bhyve"),
    ("google", "google"),
    ("qemu", "kvm"),
    ("kvm", "kvm"),
    ("openstack", "kvm"),
)


def labels(root: pathlib.Path) -> dict[str, str]:
    """By files of the kernel and os-release(5). Major and minor stand alone, so that Gt and Lt can compare them."""
    release = files.text(root / "proc/sys/kernel/osrelease")
    found = {"kernel.version": release, "virtualization": _hypervisor(root)}
    numbers = _NUMBERS.match(release)
    if numbers:
        found |= {"kernel.major": numbers[1], "kernel.minor": numbers[2]}
    names = (files.fields(root / "etc/os-release", separator="=") or [{}])[0]
    found |= {"os.id": names.get("ID", "").strip('"'), "os.version": names.get("VERSION_ID", "").strip('"')}
    return found


def _hypervisor(root: pathlib.Path) -> str:
    """none on bare metal; empty when that cannot be known."""
    kind = files.text(root / "sys/hypervisor/type")
    if kind:
        return kind
    if processor.is_x86(root) and not processor.is_virtual(root):
        return "none"
    folder = root / "sys/class/dmi/id"
    said = f"{files.text(folder / 'sys_vendor')} {files.text(folder / 'product_name')}".lower()
    known = next((name for words, name in _HYPERVISORS if words in said), "")
    return known or ("unknown" if processor.is_virtual(root) else "")
