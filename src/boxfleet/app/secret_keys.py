"""The keys that Secrets lie under in the database: a file beside the other keys, and moving to a new one.

Older keys stay in the file: history and backups lie under them.
"""

import base64
import binascii
import datetime
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import msgspec

from boxfleet.api import config
from boxfleet.kit import clock, durable, tasks
from boxfleet.store import encryption, errors
from boxfleet.store import store as stores

# Rows whose content is confidential.
PREFIXES = (f"/{config.Secret.KIND.group}/{config.Secret.KIND.plural}/",)
# Rows that are written anew at once: enough for a group commit.
_CONCURRENCY = 64


class KeyFileError(Exception):
    """The file of keys cannot be used; the text says what to do."""


class _Key(msgspec.Struct, kw_only=True):
    id: str
    created: str
    key: str


def ensure(path: pathlib.Path, *, now: datetime.datetime) -> None:
    """Make the first key if there is none."""
    if not path.exists():
        _save(path, [_new(now)])


def add(path: pathlib.Path, *, now: datetime.datetime) -> str:
    """Put a new key first; its id. Takes effect at the server's next start."""
    known = _read(path) if path.exists() else []
    fresh = _new(now)
    _save(path, [fresh, *known])
    return fresh.id


def load(path: pathlib.Path) -> encryption.Encryption:
    """The border of the store; raises KeyFileError."""
    try:
        return of(path.read_bytes(), source=str(path))
    except FileNotFoundError:
        raise KeyFileError(f"cannot open the store: there is no {path}; bring it back from a backup") from None


def ids(content: bytes, *, source: str) -> set[str]:
    """What the keys in a file's content are called; raises KeyFileError."""
    return {each.id for each in _decoded(content, source)}


def of(content: bytes, *, source: str) -> encryption.Encryption:
    """The same as `load`, for what such a file holds; `source` names it in messages."""
    keys = []
    for each in _decoded(content, source):
        try:
            key = base64.b64decode(each.key, validate=True)
        except binascii.Error:
            key = b""
        if len(key) != encryption.KEY_BYTES or encryption.key_id(key) != each.id:
            raise KeyFileError(f"{source}: the key {each.id} is damaged; bring the file back from a backup")
        keys.append(key)
    if not keys:
        raise KeyFileError(f"{source} has no key; bring it back from a backup")
    return encryption.Encryption(keys, prefixes=PREFIXES, source=source)


async def rewrite(store: stores.Store, codec: encryption.Encryption) -> int:
    """Write anew what does not lie under the newest key; how many rows. Their content stays as it is."""
    wanted = [row for key in sorted(codec.stale) if (row := store.get(key)) is not None]
    await tasks.gather((_again(store, row.key, row.revision) for row in wanted), limit=_CONCURRENCY)
    codec.stale.clear()
    return len(wanted)


async def _again(store: stores.Store, key: str, revision: int) -> None:
    row = store.get(key)
    if row is None or row.revision != revision:
        return
    obj: Mapping[str, Any] = msgspec.json.decode(row.value)

    def value(fresh: int) -> bytes:
        metadata = {**obj["metadata"], "resourceVersion": str(fresh)}
        return msgspec.json.encode({**obj, "metadata": metadata})

    try:
        await store.write(key, value, expected=revision)
    except errors.Conflict:
        # Another server was quicker, and wrote it with its newest key.
        return


def _new(now: datetime.datetime) -> _Key:
    key = os.urandom(encryption.KEY_BYTES)
    return _Key(id=encryption.key_id(key), created=clock.stamp(now), key=base64.b64encode(key).decode())


def _read(path: pathlib.Path) -> list[_Key]:
    return _decoded(path.read_bytes(), str(path))


def _decoded(content: bytes, source: str) -> list[_Key]:
    try:
        return msgspec.json.decode(content, type=list[_Key])
    except msgspec.DecodeError as error:
        raise KeyFileError(f"{source} is no file of keys ({error}); bring it back from a backup") from None


def _save(path: pathlib.Path, keys: list[_Key]) -> None:
    durable.write(path, msgspec.json.format(msgspec.json.encode(keys)), mode=0o600)
