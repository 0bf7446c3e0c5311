"""fsGroup: the group that may use a volume.

An instance may write there meanwhile. So nothing is reached by its path, of which any part could be exchanged for a
link that leads out: folders are entered by descriptors, and a file is changed by the descriptor that it was looked
at with.
"""

import os
import pathlib
import stat


def give(folder: pathlib.Path, group: int) -> None:
    """Give a folder with all in it to a group: readable and writable by it, new files inherit it."""
    for _, folders, names, within in os.fwalk(folder, follow_symlinks=False):
        for name in [*folders, *names]:
            _give(name, group, within=within)
    # Last: who sees the group on the folder may count on all below.
    _give(str(folder), group, within=None)


def _give(name: str, group: int, *, within: int | None) -> None:
    try:
        handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=within)
    except FileNotFoundError:
        # Removed meanwhile.
        return
    try:
        status = os.fstat(handle)
        if stat.S_ISLNK(status.st_mode):
            return
        # A descriptor of this sort takes no fchown: /proc leads to the very file that it holds.
        held = f"/proc/self/fd/{handle}"
        os.chown(held, -1, group)
        mode = stat.S_IMODE(status.st_mode) | 0o060
        if stat.S_ISDIR(status.st_mode):
            mode |= 0o2010
        if mode != stat.S_IMODE(os.fstat(handle).st_mode):
            pathlib.Path(held).chmod(mode)
    finally:
        os.close(handle)
