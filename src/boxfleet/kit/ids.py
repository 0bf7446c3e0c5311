"""Identifiers: random where uniqueness counts, hashed where sameness counts."""

import hashlib
import secrets
import uuid

import msgspec

# Kubernetes leaves out vowels and look-alikes, so that no suffix spells a word.
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def new_uid() -> str:
    """A fresh UUID for an object's metadata.uid."""
    return str(uuid.uuid4())


def name_suffix(*, length: int = 5) -> str:
    """Random letters for metadata.generateName."""
    return "".join(secrets.choice(_SUFFIX_LETTERS) for _ in range(length))


def new_token() -> str:
    """A bearer token with 256 bits of entropy."""
    return secrets.token_urlsafe(32)


def fingerprint(value: object, *, length: int = 10) -> str:
    """Hex digits that are the same for equal values, whatever the order of their keys."""
    text = msgspec.json.encode(value, order="deterministic")
    return hashlib.sha256(text).hexdigest()[:length]
