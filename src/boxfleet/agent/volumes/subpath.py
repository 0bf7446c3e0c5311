"""subPath: one file or folder of a volume, never anything outside of it, whatever links lie there.

The kernel resolves the path below the volume (openat2(2), RESOLVE_BENEATH), and what it found is bound by its
descriptor, so that nothing can be exchanged between look and use.
"""

import ctypes
import errno
import os
import pathlib
import stat

from boxfleet.agent.volumes import mounting
from boxfleet.planning import pod_volumes

# The same number on every architecture (it is younger than their unification).
_OPENAT2 = 437
_RESOLVE_BENEATH, _RESOLVE_NO_MAGICLINKS = 0x08, 0x02


class _How(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


def bind(volume: pathlib.Path, subpath: str, target: pathlib.Path) -> None:
    """Bind a path of a volume to a place of our own; folders that are missing are made."""
    mounting.unmount(str(target))
    handle = _open(volume, subpath)
    try:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            if target.is_file():
                target.unlink()
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_dir():
                target.rmdir()
            target.touch()
        mounting.bind(f"/proc/self/fd/{handle}", str(target))
    finally:
        os.close(handle)


def _open(volume: pathlib.Path, subpath: str) -> int:
    parts = [part for part in subpath.split("/") if part not in ("", ".")]
    if subpath.startswith("/") or ".." in parts:
        raise pod_volumes.Missing(f"subPath {subpath!r} must be relative and without '..'")
    root = os.open(volume, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            return _beneath(root, "/".join(parts) or ".", subpath)
        except FileNotFoundError:
            _make(root, parts, subpath)
            return _beneath(root, "/".join(parts), subpath)
    finally:
        os.close(root)


def _make(root: int, parts: list[str], subpath: str) -> None:
    """Make the missing folders one by one, each below a descriptor that was resolved safely."""
    for depth, part in enumerate(parts):
        parent = _beneath(root, "/".join(parts[:depth]) or ".", subpath)
        try:
            os.mkdir(part, mode=0o755, dir_fd=parent)
            owner = os.fstat(parent)
            os.chown(part, owner.st_uid, owner.st_gid, dir_fd=parent, follow_symlinks=False)
        except FileExistsError:
            pass
        finally:
            os.close(parent)


def _beneath(root: int, path: str, subpath: str) -> int:
    how = _How(os.O_PATH | os.O_CLOEXEC, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
    library = ctypes.CDLL(None, use_errno=True)
    handle = library.syscall(_OPENAT2, root, path.encode(), ctypes.byref(how), ctypes.sizeof(how))
    if handle >= 0:
        return int(handle)
    code = ctypes.get_errno()
    if code == errno.EXDEV:
        raise pod_volumes.Missing(f"subPath {subpath!r} leads out of its volume: a symbolic link there points outside")
    raise OSError(code, os.strerror(code), path)
