"""fsGroup: the group that may use a volume."""

import os
import pathlib
import stat


def give(folder: pathlib.Path, group: int) -> None:
    """Give a folder with all in it to a group: readable and writable by it, new files inherit it."""
    _give(folder, group)
    for parent, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            _give(pathlib.Path(parent) / name, group)


def _give(path: pathlib.Path, group: int) -> None:
    status = path.lstat()
    os.chown(path, -1, group, follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        return
    mode = stat.S_IMODE(status.st_mode) | 0o060
    if stat.S_ISDIR(status.st_mode):
        mode |= 0o2010
    if mode != stat.S_IMODE(status.st_mode):
        path.chmod(mode)
