"""Files that are whole or not there, whatever dies when."""

import os
import pathlib
import secrets


def write(path: pathlib.Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace a file in one step; after a power cut it has either content. The folder must be there."""
    # Hidden, so that a reader of the folder (dnsmasq, CNI) does not take it for one of its files.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: pathlib.Path) -> None:
    """Make what was added to and removed from a folder last through a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
