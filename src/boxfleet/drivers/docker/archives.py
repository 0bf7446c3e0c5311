"""Tar archives, in which files go to the engine and come back."""

import io
import stat
import tarfile
from collections.abc import Iterable

from boxfleet.planning import pod_volumes


def pack(files: Iterable[pod_volumes.File], *, group: int = 0) -> bytes:
    """Files with the folders that they need. With a group they are readable by it."""
    target = io.BytesIO()
    folders: set[str] = set()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for file in files:
            parts = file.path.split("/")[:-1]
            for end in range(1, len(parts) + 1):
                path = "/".join(parts[:end])
                if path not in folders:
                    folders.add(path)
                    archive.addfile(_folder(path, mode=0o755, group=group))
            entry = tarfile.TarInfo(file.path)
            entry.size = len(file.content)
            entry.mode = file.mode | (0o440 if group else 0)
            entry.uid, entry.gid = file.owner or 0, group
            archive.addfile(entry, io.BytesIO(file.content))
    return target.getvalue()


def folder(path: str, *, mode: int, group: int) -> bytes:
    """One folder, to give it its mode and group."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        archive.addfile(_folder(path, mode=mode, group=group))
    return target.getvalue()


def unpack(content: bytes) -> dict[str, tuple[bytes, int]]:
    """The regular files below the archive's first folder: content and mode by path."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for entry in archive:
            stream = archive.extractfile(entry) if entry.isreg() else None
            if stream is not None:
                found[entry.name.partition("/")[2]] = (stream.read(), stat.S_IMODE(entry.mode))
    return found


def first(content: bytes) -> tuple[bytes, int] | None:
    """The content and mode of the archive's first entry, if that is a regular file."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        entry = archive.next()
        stream = archive.extractfile(entry) if entry is not None and entry.isreg() else None
        return (stream.read(), stat.S_IMODE(entry.mode)) if stream is not None and entry is not None else None


def _folder(path: str, *, mode: int, group: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode, entry.gid = tarfile.DIRTYPE, mode, group
    return entry
