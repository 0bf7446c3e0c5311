"""The machine as it was found: noted before the first change, brought back by ``down --purge``.

What a driver changes (the network's sysctl and packet filter, containerd's mounts and cgroups) it notes and undoes
itself; here is what is left: folders that driven programs make in places which are not ours, and the command's link.
"""

import contextlib
import pathlib

import msgspec
import yaml

from boxfleet.app import paths
from boxfleet.kit import durable

# Innermost first.
FOREIGN = (
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


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Which foreign places were there, and where the command's link led."""

    places: list[str]
    link: str = ""


def note(where: paths.Paths, *, link: pathlib.Path) -> None:
    """Write down the machine's state, once: a second start finds our own traces."""
    if where.found.exists():
        return
    seen = Found(
        places=[name for name in FOREIGN if pathlib.Path(name).exists()],
        link=str(link.readlink()) if link.is_symlink() else "",
    )
    durable.write(where.found, yaml.safe_dump(msgspec.to_builtins(seen)).encode())


def load(where: paths.Paths) -> Found | None:
    """What `note` wrote; none when there was no start, or somebody broke it."""
    try:
        return msgspec.convert(yaml.safe_load(where.found.read_text()), Found)
    except (FileNotFoundError, UnicodeDecodeError, yaml.YAMLError, msgspec.ValidationError):
        return None


def unknown() -> Found:
    """For a machine that nobody looked at, or whose note is lost: every foreign place may have been there."""
    return Found(places=list(FOREIGN))


def bring_back(seen: Found, *, link: pathlib.Path, ours: pathlib.Path) -> None:
    """Take away what is empty now and was not there before, and our link; harmless when repeated.

    Places that somebody else uses are not empty, and stay. `ours` is where a link of our own leads.
    """
    for name in FOREIGN:
        if name not in seen.places:
            _remove_if_empty(pathlib.Path(name))
    if link.is_symlink() and link.readlink() == ours and seen.link != str(ours):
        link.unlink()
        if seen.link:
            link.symlink_to(seen.link)


def _remove_if_empty(path: pathlib.Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir():
            path.rmdir()
        elif path.stat().st_size == 0:
            path.unlink()
