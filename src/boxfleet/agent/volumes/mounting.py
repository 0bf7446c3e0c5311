"""mount(2) and umount2(2), and what is mounted."""

import ctypes
import os
import pathlib
import re

MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND = 2, 4, 32, 4096
MNT_DETACH = 2
_ESCAPE = re.compile(r"\\([0-7]{3})")


def _call() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str, *, flags: int = 0, options: str = "") -> None:
    """Mount something; raises OSError with the path."""
    done = _call().mount(
        source.encode(), target.encode(), kind.encode() or None, ctypes.c_ulong(flags), options.encode() or None
    )
    if done != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"cannot mount {kind or source}: {os.strerror(code)}", target)


def bind(source: str, target: str) -> None:
    """Let a file or folder appear at a second place."""
    mount(source, target, "", flags=MS_BIND)


def memory(target: str, *, size: int | None = None, mode: int = 0o755, source: str = "tmpfs") -> None:
    """Mount a file system that lives in memory; `size` in bytes, `source` is by what it is found again."""
    options = f"mode={mode:o}" + (f",size={size}" if size else "")
    mount(source, target, "tmpfs", flags=MS_NOSUID | MS_NODEV, options=options)


def resize(target: str, *, size: int) -> None:
    """Let a file system in memory hold so many bytes; raises OSError when there is more in it already."""
    there = os.statvfs(target)
    # It counts in whole pages.
    if there.f_blocks != -(-size // there.f_frsize):
        mount("tmpfs", target, "tmpfs", flags=MS_REMOUNT | MS_NOSUID | MS_NODEV, options=f"size={size}")


def unmount(target: str) -> None:
    """Unmount, also while something still uses it; harmless when nothing is mounted there."""
    if _call().umount2(target.encode(), MNT_DETACH) != 0:
        code = ctypes.get_errno()
        # EINVAL: not a mount point. ENOENT: not there at all.
        if code not in (22, 2):
            raise OSError(code, f"cannot unmount: {os.strerror(code)}", target)


def below(folder: pathlib.Path) -> list[str]:
    """Mount points at or below a folder, deepest first."""
    # Later mounts cover earlier ones: take away the last first.
    return [point for point, _ in _mounted(folder)][::-1]


def of_source(source: str, folder: pathlib.Path) -> list[str]:
    """Mount points at or below a folder of whole file systems that were mounted from a source."""
    return [point for point, found in _mounted(folder) if found == source]


def _mounted(folder: pathlib.Path) -> list[tuple[str, str]]:
    """Mount points at or below a folder, with the source of what is there; empty where only a part of it is."""
    prefix = os.path.realpath(folder)
    found = []
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        # proc(5): id, parent, device, root, mount point, options, tags ..., "-", type, source, options.
        parts = line.split(" ")
        point = _plain(parts[4])
        if point == prefix or point.startswith(prefix + "/"):
            source = _plain(parts[parts.index("-", 6) + 2]) if parts[3] == "/" else ""
            found.append((point, source))
    return found


def _plain(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match.group(1), 8)), text)


def clear(folder: pathlib.Path) -> None:
    """Unmount everything at or below a folder."""
    for point in below(folder):
        unmount(point)
