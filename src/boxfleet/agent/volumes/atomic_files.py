"""A folder of files that changes in one step, as a kubelet's configMap and secret volumes do.

``..data`` is a link to the folder of the current generation, and every file is a link through it: switching that one
link switches all files at once.
"""

import os
import pathlib
import secrets
import shutil
import stat
from collections.abc import Sequence

from boxfleet.planning import pod_volumes

DATA = "..data"


def write(folder: pathlib.Path, files: Sequence[pod_volumes.File], *, group: int | None = None) -> bool:
    """Make the folder hold exactly these files; whether anything changed."""
    folder.mkdir(parents=True, exist_ok=True)
    current = folder / DATA
    modes = {file.path: file.mode if group is None else file.mode | 0o040 for file in files}
    if current.is_symlink() and _read(current.resolve()) == {
        file.path: (file.content, modes[file.path]) for file in files
    }:
        return False
    fresh = folder / f"..{secrets.token_hex(8)}"
    fresh.mkdir(mode=0o755)
    for file in files:
        path = fresh / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not even for a moment readable by more than shall be.
        path.touch(mode=0o600)
        path.write_bytes(file.content)
        if group is not None or file.owner is not None:
            os.chown(path, -1 if file.owner is None else file.owner, -1 if group is None else group)
        path.chmod(modes[file.path])
    link = folder / "..data_tmp"
    link.unlink(missing_ok=True)
    link.symlink_to(fresh.name)
    link.replace(current)
    tops = {file.path.split("/")[0] for file in files}
    for top in tops:
        if not (folder / top).is_symlink():
            (folder / top).symlink_to(f"{DATA}/{top}")
    for path in folder.iterdir():
        if path.is_symlink() and path.name != DATA and path.name not in tops:
            path.unlink()
        elif path.name.startswith("..") and not path.is_symlink() and path.name != fresh.name:
            shutil.rmtree(path)
    return True


def _read(generation: pathlib.Path) -> dict[str, tuple[bytes, int]]:
    found = {}
    for path in generation.rglob("*"):
        if path.is_file():
            found[str(path.relative_to(generation))] = (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
    return found
