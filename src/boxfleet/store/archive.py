"""A backup's file: a line of JSON that says what it is, pages of rows, and a checksum over all of it.

Page: length (4 bytes, big-endian) and a zlib stream of a MessagePack list of rows. A length of 0 ends them; the
SHA-256 of everything before follows, and nothing else.
"""

import contextlib
import hashlib
import os
import pathlib
import secrets
import zlib
from collections.abc import Sequence
from typing import BinaryIO

import msgspec

from boxfleet.kit import durable
from boxfleet.store import backend, copies, errors

_FORMAT = "boxfleet-backup"
_VERSION = 1
_CHUNK = 2**20
_SUM = hashlib.sha256().digest_size
# No page of ours is larger: a length beyond it is damage.
_PAGE_LIMIT = 2**30


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds: the state at `revision`, and every state back to `compacted`."""

    format: str = _FORMAT
    version: int = _VERSION
    revision: int
    compacted: int
    # When it was made, RFC 3339.
    made: str


class Archive:
    """A backup that was checked. Values in it are as they lay in the database."""

    def __init__(self, path: pathlib.Path, header: Header) -> None:
        self._path = path
        self.header = header

    async def pages(self) -> copies.Pages:
        """All rows, in order of revisions."""
        with self._path.open("rb") as file:
            file.readline()
            while size := int.from_bytes(file.read(4)):
                yield _unpacked(file.read(size))


async def write(path: pathlib.Path, source: copies.Source, *, made: str) -> Header:
    """Write a log to a new file that only its owner reads; it is whole or not there. Raises StoreError."""
    header = Header(revision=source.head, compacted=source.compacted, made=made)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        try:
            temporary.touch(mode=0o600, exist_ok=False)
            with temporary.open("wb") as file:
                await _write(file, source, header)
                file.flush()
                os.fsync(file.fileno())
            # A link does not replace what is there, as a rename would.
            path.hardlink_to(temporary)
        finally:
            temporary.unlink(missing_ok=True)
        durable.sync_folder(path.parent)
    except FileExistsError:
        raise errors.Occupied(f"cannot write {path}: it is there already; take another name") from None
    except OSError as error:
        raise errors.StoreError(f"cannot write {path}: {error.strerror or error}") from error
    return header


def open_checked(path: pathlib.Path) -> Archive:
    """Read a file's header after holding the whole of it against its checksum. Raises StoreError and Corrupt."""
    try:
        with path.open("rb") as file:
            header = _header(file.readline(_CHUNK), path)
            _check(file, path)
    except OSError as error:
        raise errors.StoreError(f"cannot read {path}: {error.strerror or error}") from error
    return Archive(path, header)


async def _write(file: BinaryIO, source: copies.Source, header: Header) -> None:
    total = hashlib.sha256()

    def put(data: bytes) -> None:
        total.update(data)
        file.write(data)

    put(msgspec.json.encode(header) + b"\n")
    async for page in source.pages():
        packed = zlib.compress(msgspec.msgpack.encode(page), level=1)
        put(len(packed).to_bytes(4) + packed)
    put(bytes(4))
    file.write(total.digest())


def _header(line: bytes, path: pathlib.Path) -> Header:
    with contextlib.suppress(msgspec.DecodeError, msgspec.ValidationError):
        header = msgspec.json.decode(line, type=Header)
        if header.format == _FORMAT and header.version <= _VERSION:
            return header
        if header.format == _FORMAT:
            raise errors.StoreError(f"cannot read {path}: it was made by a newer Boxfleet; install that one")
    raise errors.Corrupt(f"cannot read {path}: it is no backup of Boxfleet's store")


def _check(file: BinaryIO, path: pathlib.Path) -> None:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    total, left = hashlib.sha256(), size - _SUM
    while left > 0 and (chunk := file.read(min(left, _CHUNK))):
        total.update(chunk)
        left -= len(chunk)
    if left != 0 or file.read() != total.digest():
        raise errors.Corrupt(f"cannot read {path}: its checksum is wrong, so it is damaged or incomplete; take another")


def _unpacked(packed: bytes) -> Sequence[backend.LogRow]:
    return msgspec.msgpack.decode(zlib.decompress(packed, bufsize=_CHUNK), type=list[backend.LogRow], strict=False)
