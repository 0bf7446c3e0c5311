"""The machine as it was found: noted before the first change, brought back by ``down --purge``."""

import contextlib
import json
import pathlib
import shutil
import subprocess

import msgspec
import yaml

from boxfleet.app import durable, paths

# The CNI bridge plug-in switches forwarding on; nothing else of ours writes sysctls of the whole machine.
SYSCTLS = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding")
# Folders that the driven programs make in places which are not ours, innermost first.
FOREIGN_FOLDERS = (
    "/run/containerd/s",
    "/run/containerd/io.containerd.runtime.v2.task",
    "/run/containerd",
    "/var/lib/cni/networks",
    "/var/lib/cni/results",
    "/var/lib/cni",
    "/run/runc",
    "/run/netns",
    "/run/xtables.lock",
)
_SYSCTL_ROOT = pathlib.Path("/proc/sys")


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What was there: sysctls by path, foreign folders, and nftables tables as "family name"."""

    sysctls: dict[str, str]
    folders: list[str]
    tables: list[str]
    link: str = ""


def note(where: paths.Paths, *, link: pathlib.Path) -> None:
    """Write down the machine's state, once: a second start finds our own traces."""
    if where.found.exists():
        return
    seen = Found(
        sysctls={name: text for name in SYSCTLS if (text := _read(_SYSCTL_ROOT / name))},
        folders=[name for name in FOREIGN_FOLDERS if pathlib.Path(name).exists()],
        tables=[f"{family} {name}" for family, name in _tables()],
        link=str(link.readlink()) if link.is_symlink() else "",
    )
    durable.write(where.found, yaml.safe_dump(msgspec.to_builtins(seen)).encode())


def load(where: paths.Paths) -> Found | None:
    """What `note` wrote; none when there was no start."""
    try:
        return msgspec.convert(yaml.safe_load(where.found.read_text()), Found)
    except FileNotFoundError:
        return None


def bring_back(seen: Found) -> None:
    """Put sysctls, folders and packet filter tables back; harmless when repeated.

    Folders and tables that are in use by somebody else are not empty, and stay.
    """
    for name, value in seen.sysctls.items():
        path = _SYSCTL_ROOT / name
        if _read(path) not in ("", value):
            path.write_text(value)
    for name in FOREIGN_FOLDERS:
        if name not in seen.folders:
            _remove_if_empty(pathlib.Path(name))
    for family, table in _tables():
        if f"{family} {table}" not in seen.tables and _is_bare(family, table):
            _nft("delete", "table", family, table)


def _remove_if_empty(path: pathlib.Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir():
            path.rmdir()
        elif path.stat().st_size == 0:
            path.unlink()


def _is_bare(family: str, table: str) -> bool:
    """Whether a table of iptables holds no rule of anybody but CNI's empty chains and the jumps into them."""
    if (family, table) not in {(f, t) for f in ("ip", "ip6") for t in ("nat", "filter", "mangle", "raw")}:
        return False
    listing = _nft("-j", "list", "table", family, table)
    try:
        entries = json.loads(listing)["nftables"]
    except (ValueError, KeyError):
        return False
    for entry in entries:
        rule = entry.get("rule")
        if rule is not None and not rule["chain"].startswith("CNI-") and "CNI-" not in json.dumps(rule["expr"]):
            return False
    return True


def _tables() -> list[tuple[str, str]]:
    try:
        entries = json.loads(_nft("-j", "list", "tables"))["nftables"]
    except (ValueError, KeyError):
        return []
    return [(entry["table"]["family"], entry["table"]["name"]) for entry in entries if "table" in entry]


def _nft(*words: str) -> str:
    if shutil.which("nft") is None:
        return ""
    return subprocess.run(["nft", *words], capture_output=True, text=True, check=False).stdout


def _read(path: pathlib.Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
