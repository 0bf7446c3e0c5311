"""The keys that tokens of ServiceAccounts are signed with: a file beside the other keys, and moving to a new one.

A key that was replaced goes on being known until the last token that it may have signed has ended.
"""

import datetime
import itertools
import pathlib

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from boxfleet.apiserver.identity import signing, token_requests
from boxfleet.app import secret_keys
from boxfleet.kit import clock, durable

# How long a replaced key is of use.
_OVERLAP = datetime.timedelta(seconds=token_requests.LONGEST_SECONDS, days=1)


class _Key(msgspec.Struct, kw_only=True):
    created: str
    pem: str


def ensure(path: pathlib.Path, *, now: datetime.datetime) -> None:
    """Make the first key if there is none."""
    if not path.exists():
        _save(path, [_new(now)])


def rotate(path: pathlib.Path, *, now: datetime.datetime, revoke: bool) -> None:
    """Put a new key first, from the next start. `revoke` drops all others, which ends every token at once."""
    known = [_new(now), *([] if revoke else _read(path))]
    # A key was replaced when the one before it in the file was made.
    lasting = [key for newer, key in itertools.pairwise(known) if now - clock.parse(newer.created) < _OVERLAP]
    _save(path, [known[0], *lasting])


def newest(content: bytes) -> datetime.datetime:
    """When the key was made that a file of this content signs with; raises ValueError when it holds none."""
    known = msgspec.json.decode(content, type=list[_Key])
    if not known:
        raise ValueError("no key")
    return clock.parse(known[0].created)


def load(path: pathlib.Path) -> signing.Keys:
    """The keys; raises `secret_keys.KeyFileError`."""
    try:
        known = _read(path)
        return signing.Keys([key.pem.encode() for key in known])
    except (FileNotFoundError, ValueError, IndexError):
        raise secret_keys.KeyFileError(
            f"{path} holds no key for tokens; bring it back from a backup, or move it away for a new one, upon which "
            "instances get new tokens"
        ) from None


def _new(now: datetime.datetime) -> _Key:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return _Key(created=clock.stamp(now), pem=pem.decode())


def _read(path: pathlib.Path) -> list[_Key]:
    return msgspec.json.decode(path.read_bytes(), type=list[_Key])


def _save(path: pathlib.Path, keys: list[_Key]) -> None:
    durable.write(path, msgspec.json.format(msgspec.json.encode(keys)), mode=0o600)
