"""The audit log's files: their names, how they are turned over, and which are too old to keep.

``SERVER.jsonl`` is written to; ``SERVER-20300101T120000.000000Z.jsonl`` was, until that moment.
"""

import contextlib
import dataclasses
import datetime
import os
import pathlib
import re

from boxfleet.kit import durable

_CLOSED = re.compile(r"-(\d{8}T\d{6}\.\d{6}Z)\.jsonl$")
_STAMP = "%Y%m%dT%H%M%S.%fZ"
SUFFIX = ".jsonl"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """How long files grow and stay."""

    # A file ends at this size in bytes, or this age in seconds.
    file_bytes: int = 100 * 2**20
    file_seconds: float = 86400.0
    # Closed files go when they are older, in seconds, or when all together are larger, in bytes.
    seconds: float = 90 * 86400.0
    total_bytes: int = 10 * 2**30


def make_folder(folder: pathlib.Path) -> None:
    """A folder for root alone."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)


def open_file(folder: pathlib.Path, server: str) -> int:
    """A descriptor that appends whole lines to a server's file."""
    path = folder / f"{server}{SUFFIX}"
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(handle).st_size
        # What was torn by a power cut is ended, so that the next line is whole.
        if size and os.pread(handle, 1, size - 1) != b"\n":
            os.write(handle, b"\n")
        durable.sync_folder(folder)
    except BaseException:
        os.close(handle)
        raise
    return handle


def set_aside(folder: pathlib.Path, server: str, *, now: datetime.datetime) -> None:
    """Give the file that was written to its closed name."""
    path = folder / f"{server}{SUFFIX}"
    closed = folder / f"{server}-{now.strftime(_STAMP)}{SUFFIX}"
    with contextlib.suppress(FileNotFoundError):
        path.rename(closed)


def clear(folder: pathlib.Path, server: str, keeping: Keeping, *, now: datetime.datetime) -> list[pathlib.Path]:
    """Remove a server's closed files that need not be kept, oldest first; returns them."""
    closed = sorted((path for path in folder.glob(f"{server}-*{SUFFIX}") if _server(path) == server), reverse=True)
    removed, total = [], 0
    for path in closed:
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
            age = (now - closed_at(path)).total_seconds()
            if age > keeping.seconds or total > keeping.total_bytes:
                path.unlink()
                removed.append(path)
    return removed[::-1]


def listed(folder: pathlib.Path) -> dict[str, list[pathlib.Path]]:
    """Every server's files, oldest first."""
    found: dict[str, list[pathlib.Path]] = {}
    for path in folder.glob(f"*{SUFFIX}"):
        found.setdefault(_server(path), []).append(path)
    for paths in found.values():
        paths.sort(key=closed_at)
    return found


def closed_at(path: pathlib.Path) -> datetime.datetime:
    """When a file was set aside; the end of time for one that is written to."""
    match = _CLOSED.search(path.name)
    if match is None:
        return datetime.datetime.max.replace(tzinfo=datetime.UTC)
    return datetime.datetime.strptime(match[1], _STAMP).replace(tzinfo=datetime.UTC)


def _server(path: pathlib.Path) -> str:
    return _CLOSED.sub("", path.name) if _CLOSED.search(path.name) else path.name.removesuffix(SUFFIX)
