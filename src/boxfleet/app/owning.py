"""Whose the two folders are: what `down` may touch in them, and what a purge removes.

A folder that is named wrongly must cost nobody anything. So a purge wants to see a sign of Boxfleet first, and then
takes what Boxfleet makes, by name: files that somebody else put beside it stay.
"""

import contextlib
import pathlib
import re
import shlex
import shutil
import subprocess
from typing import Any

import yaml

from boxfleet.app import paths, settings

# What `up`, the services, their drivers and `./run` make in STATE, and in RUN.
_STATE = frozenset(
    [
        "agent",
        "apt.log",
        "audit",
        "authentication.yaml",
        "containerd",
        "credentials",
        "fixed.yaml",
        "found.yaml",
        "images",
        "imported.json",
        "joined.json",
        "joining.json",
        "logs",
        "names",
        "network",
        "packages",
        "packages.before",
        "packages.new",
        "pki",
        "registries",
        "services",
        "stopped",
        "store",
    ]
) | {settings.FILE}
# Of these, what may be laid there before the first start.
_LAID = frozenset({settings.FILE, "authentication.yaml", "credentials", "pki", "registries"})
_RUN = frozenset(
    [
        "agent.lock",
        "containerd",
        "containerd.noted",
        "containerd.pid",
        "containerd.sock",
        "containerd.sock.ttrpc",
        "containerd.toml",
        "containerd.new",
        "dnsmasq.pid",
        "fence.json",
        "fence.new",
        "fence.pid",
        "server.lock",
        "services",
    ]
)
# By these a state folder is known, so they go last: a purge that was cut off can be done again.
_SIGNS = (
    "pki",
    "store",
    "fixed.yaml",
    "joined.json",
    "joining.json",
    "packages",
    "packages.before",
    "apt.log",
    "found.yaml",
)
# What writes in place of a file leaves when it is killed: kit/durable.py.
_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{8}")


class NotOursError(Exception):
    """A folder is not this Boxfleet's; the text names it and says what to do."""


def is_state(folder: pathlib.Path) -> bool:
    """Whether a Boxfleet keeps its state there, also one whose first start was cut off."""
    if "places" in _mapping(folder / "found.yaml") or {"node", "cidr"} <= _mapping(folder / "fixed.yaml").keys():
        return True
    # `./run` installs packages before anything else; a server that joins, or is to have what was backed up, has keys or
    # objects before its first start.
    installed = (folder / "packages").is_file() or (folder / "packages.before").is_file()
    early = ("joining.json", "joined.json", "store/boxfleet.db", "pki/secrets.keys")
    if (installed and (folder / "apt.log").is_file()) or any((folder / name).is_file() for name in early):
        return True
    # By `boxfleet image build`, which needs no start: archives by the fingerprint of what they were made from.
    if any((folder / "images").glob(f"*-{'[0-9a-f]' * 16}.tar")):
        return True
    # What a purge that was killed in its very last steps leaves.
    return _entries(folder) == ["apt.log"]


def is_lost(where: paths.Paths) -> bool:
    """Whether there is no state: what a Boxfleet changed on the machine is then known by the usual names only."""
    return not _entries(where.state)


def is_default(known: settings.Instance) -> bool:
    """Whether it is the Boxfleet of the usual folder: the one that has the command's link and the usual names."""
    return known.state == settings.Instance().state


def is_named_for(known: settings.All, setting: str) -> bool:
    """Whether what bears a setting's name is this Boxfleet's, and not the usual one's."""
    return is_default(known) or getattr(known, setting) != getattr(settings.All(), setting)


def owner(run: pathlib.Path) -> pathlib.Path | None:
    """The state folder of the Boxfleet that was started in a run folder and has not been stopped; None for none."""
    # Each service there is executed by way of a link to a script in the state folder.
    for link in sorted([*run.glob("services/*/run"), *run.glob("services/*/log/run")]):
        if link.is_symlink() and link.readlink().parent.name == "services":
            return link.readlink().parent.parent
    return None


def check_run(where: paths.Paths) -> None:
    """Raises NotOursError when another Boxfleet was started in the run folder."""
    other = owner(where.run)
    # One that is nowhere any more was moved, most likely to where it is asked for now.
    if other is None or other.resolve() == where.state.resolve() or not is_state(other):
        return
    raise NotOursError(
        f"{where.run} belongs to the Boxfleet whose state is in {other}, not to that of {where.state}; "
        f"nothing was changed\n    -> to mean that one: --state {other}; "
        f"for one of its own in {where.state}, name its own run folder: --run DIR"
    )


def check_new(where: paths.Paths) -> None:
    """Raises NotOursError when a first start would mix its files with those of others, which a purge could not tell."""
    if is_state(where.state):
        return
    taken = [where.state / name for name in sorted(_entries(where.state)) if name in _STATE - _LAID]
    if taken := [path for path in taken if path.is_file() or any(path.iterdir())]:
        raise NotOursError(
            f"{where.state} is no state folder of a Boxfleet, and holds {taken[0]}, where one would keep files of its "
            "own; nothing was changed\n    -> name a folder that is empty, or not there yet: --state DIR"
        )


def check(where: paths.Paths) -> None:
    """Raises NotOursError unless both folders are this Boxfleet's, or empty, or not there."""
    check_run(where)
    if _entries(where.state) and not is_state(where.state):
        raise NotOursError(
            f"{where.state} is no state folder of a Boxfleet (no `boxfleet up` has left its found.yaml there); "
            "nothing was changed\n    -> name the folder that `boxfleet up` was given: --state DIR; "
            "if it is one that is to go all the same, remove it by hand"
        )
    if owner(where.run) is None and foreign(where.run, _RUN):
        names = ", ".join(foreign(where.run, _RUN)[:3])
        raise NotOursError(
            f"{where.run} is no run folder of a Boxfleet: it holds {names}; nothing was changed\n"
            "    -> name the folder that `boxfleet up` was given: --run DIR"
        )


def remove(where: paths.Paths) -> list[pathlib.Path]:
    """Remove both folders, their content unmounted first; the files of others that stay. Raises NotOursError."""
    stays = []
    for folder, names in ((where.run, _RUN), (where.state, _STATE)):
        for name in sorted(_entries(folder), key=_late):
            if _is_named(name, names):
                _remove(folder / name)
        stays += [folder / name for name in sorted(_entries(folder))]
        # Somebody's link, or the place where a disk is mounted, stays as an empty folder.
        if folder.is_dir() and not folder.is_symlink() and not folder.is_mount():
            with contextlib.suppress(OSError):
                folder.rmdir()
    return stays


def unmount_moved(where: paths.Paths) -> list[pathlib.Path]:
    """Unmount instances' volumes in a state folder that was moved away while they ran; where it is now."""
    found: dict[pathlib.Path, list[str]] = {}
    for point in _mount_points():
        state, inside, _ = point.partition("/agent/pods/")
        # Its services' scripts say where it was.
        if inside and f" --state {shlex.quote(str(where.state))} " in _text(pathlib.Path(state) / "services" / "agent"):
            found.setdefault(pathlib.Path(state), []).append(point)
    for points in found.values():
        for point in reversed(points):
            subprocess.run(["umount", "--lazy", point], capture_output=True, check=False)
    return [state for state in found if state != where.state]


def foreign(folder: pathlib.Path, names: frozenset[str]) -> list[str]:
    """What is in the folder and has none of the names."""
    return sorted(name for name in _entries(folder) if not _is_named(name, names))


def _late(name: str) -> int:
    return _SIGNS.index(name) + 1 if name in _SIGNS else 0


def _is_named(name: str, names: frozenset[str]) -> bool:
    temporary = _TEMPORARY.fullmatch(name)
    return name in names or (temporary is not None and temporary[1] in names)


def _entries(folder: pathlib.Path) -> list[str]:
    # What every new file system has at its top is nobody's.
    return [each.name for each in folder.iterdir() if each.name != "lost+found"] if folder.is_dir() else []


def _mapping(path: pathlib.Path) -> dict[str, Any]:
    try:
        loaded = yaml.safe_load(_text(path))
    except yaml.YAMLError:
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _text(path: pathlib.Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def _remove(path: pathlib.Path) -> None:
    for mount in reversed(_mounts(path)):
        subprocess.run(["umount", "--lazy", mount], capture_output=True, check=False)
    if mounts := _mounts(path):
        # What is mounted there is more than we know of: nothing below it is touched.
        raise NotOursError(f"cannot remove {path}: {mounts[-1]} cannot be unmounted; see: fuser -vm {mounts[-1]}")
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    if path.exists():
        raise NotOursError(f"cannot remove {path}: something still uses it; see: fuser -vm {path}")


def _mounts(path: pathlib.Path) -> list[str]:
    """What is mounted at the path or below it, outermost first."""
    real = str(path.parent.resolve() / path.name)
    return [point for point in _mount_points() if point == real or point.startswith(f"{real}/")]


def _mount_points() -> list[str]:
    lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    # Blanks and the like are written in octal (proc(5)).
    return [re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), line.split()[4]) for line in lines]
