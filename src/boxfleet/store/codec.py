"""The database's border: what lies in it may differ from what memory holds (encryption at rest)."""

from typing import Protocol


class Codec(Protocol):
    """How values lie in the database. Memory, watches and clients see them plain; backups hold them as they lie."""

    def encode(self, key: str, value: bytes) -> bytes:
        """What is stored for a value; raises `errors.StoreError` when that cannot be."""

    def decode(self, key: str, stored: bytes) -> bytes:
        """The value again; raises `errors.StoreError` when it cannot be read."""


class Identity:
    """Values lie in the database as they are."""

    def encode(self, key: str, value: bytes) -> bytes:
        """The value itself."""
        return value

    def decode(self, key: str, stored: bytes) -> bytes:
        """The value itself."""
        return stored
