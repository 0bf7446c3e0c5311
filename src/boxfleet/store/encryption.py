"""Encryption at rest: what is confidential lies in the database, its WAL and its backups under AES-256-GCM.

A stored value is a mark, the key's id, a nonce of 96 random bits (NIST SP 800-38D, 8.2.2) and the ciphertext with its
tag. The row's key is bound in as associated data, so that a value cannot be moved to another row. Values that lie
there plain, from before, are read as they are.
"""

import hashlib
import os
from collections.abc import Sequence

from cryptography import exceptions
from cryptography.hazmat.primitives.ciphers import aead

from boxfleet.store import errors

KEY_BYTES = 32
# No JSON begins so.
_MARK = b"\x00bf1"
_ID_BYTES = 4
_NONCE_BYTES = 12
_HEAD = len(_MARK) + _ID_BYTES + _NONCE_BYTES


class Encryption:
    """A `codec.Codec` for the rows below some prefixes. Of the keys the newest comes first: it is written with.

    `source` says where keys come from, for messages. `stale` are the rows that were read plain or under an older key
    and not written since.
    """

    def __init__(self, keys: Sequence[bytes], *, prefixes: Sequence[str], source: str) -> None:
        self._by_id = {_id_of(key): aead.AESGCM(key) for key in keys}
        self._newest = _id_of(keys[0])
        self._prefixes = tuple(prefixes)
        self._source = source
        self.stale: set[str] = set()

    @property
    def key_id(self) -> str:
        """The key that is written with."""
        return self._newest.hex()

    def encode(self, key: str, value: bytes) -> bytes:
        """Encrypted, if it is of a confidential kind."""
        if not key.startswith(self._prefixes):
            return value
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._by_id[self._newest].encrypt(nonce, value, key.encode())
        self.stale.discard(key)
        return b"".join((_MARK, self._newest, nonce, sealed))

    def decode(self, key: str, stored: bytes) -> bytes:
        """Plain again; raises StoreError that names the key which is missing or wrong."""
        if not stored.startswith(_MARK):
            if key.startswith(self._prefixes):
                self.stale.add(key)
            return stored
        used = stored[len(_MARK) : len(_MARK) + _ID_BYTES]
        cipher = self._by_id.get(used)
        if cipher is None:
            raise errors.StoreError(
                f"cannot read {key}: it is encrypted with the key {used.hex()}, which is not in {self._source}; bring "
                f"that file back from a backup, or fetch it from the server that wrote it: boxfleet server token "
                f"there, and here the line that it prints"
            )
        try:
            plain = cipher.decrypt(stored[_HEAD - _NONCE_BYTES : _HEAD], stored[_HEAD:], key.encode())
        except exceptions.InvalidTag:
            raise errors.Corrupt(
                f"cannot read {key}: it does not fit the key {used.hex()} of {self._source}, so it was damaged or "
                f"changed by somebody; restore the database from a backup"
            ) from None
        if used != self._newest:
            self.stale.add(key)
        return plain


def key_id(key: bytes) -> str:
    """What messages and stored values call a key; it tells nothing of the key."""
    return _id_of(key).hex()


def _id_of(key: bytes) -> bytes:
    return hashlib.sha256(b"boxfleet key id" + key).digest()[:_ID_BYTES]
