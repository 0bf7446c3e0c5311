"""Files that are whole or not there, whatever dies when."""

import os
import pathlib
import secrets


def write(path: pathlib.Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace a file in one step; after a power cut it has either content. The folder must be there."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def make_private(path: pathlib.Path) -> None:
    """Make a folder that only its owner enters; harmless when it is there."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
