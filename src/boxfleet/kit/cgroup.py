"""The cgroup of a path, as the kernel has it and as systemd names it.

Where systemd is init and cgroups are of version 2, systemd is the only one that may make groups at the top
(https://systemd.io/CGROUP_DELEGATION): there a parent of containers is a slice, whose name tells its place.
"""

import os
import pathlib

ROOT = pathlib.Path("/sys/fs/cgroup")
BOOTED = pathlib.Path("/run/systemd/system")
_SUFFIX = ".slice"


def is_unified(root: pathlib.Path = ROOT) -> bool:
    """Whether cgroups are of version 2 only."""
    return (root / "cgroup.controllers").exists()


def is_systemds(root: pathlib.Path = ROOT, *, booted: pathlib.Path = BOOTED) -> bool:
    """Whether systemd has to be asked for cgroups; `booted` is there when it is init (sd_booted(3))."""
    return booted.is_dir() and is_unified(root)


def slice_name(path: str) -> str:
    """The slice for a path: /a/b-c is a-b\\x2dc.slice, since a dash in a slice's name goes one level down."""
    if path.endswith(_SUFFIX):
        return path.rpartition("/")[2]
    return "-".join(part.replace("-", r"\x2d") for part in path.split("/") if part) + _SUFFIX


def slice_folder(name: str) -> str:
    """Where a slice lies below the root: a-b.slice is a.slice/a-b.slice (systemd.slice(5))."""
    parts = name.removesuffix(_SUFFIX).split("-")
    return "/".join("-".join(parts[: count + 1]) + _SUFFIX for count in range(len(parts)))


def places(path: str) -> list[str]:
    """The folders below a hierarchy's root that a path may mean: made by us, or by systemd."""
    return [path.strip("/"), slice_folder(slice_name(path))] if path.strip("/") else []


def below(folder: pathlib.Path) -> list[pathlib.Path]:
    """All folders below one, parents first; groups come and go, so what vanishes meanwhile is left out."""
    # os.walk passes over what it cannot read any more, which pathlib's globs do not.
    return [pathlib.Path(at, name) for at, names, _ in os.walk(folder) for name in names]
