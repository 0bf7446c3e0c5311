"""Identifiers: random where uniqueness counts, hashed where sameness counts."""

import hashlib
import os
import secrets

import msgspec

# Kubernetes leaves out vowels and look-alikes, so that no suffix spells a word.
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


class _Pool:
    """Random digits of the kernel, taken many at a time: a call costs more than an object's whole validation."""

    SIZE = 4096

    def __init__(self) -> None:
        self._digits = ""
        self._at = 0
        # Two processes must never hand out the same bytes.
        os.register_at_fork(after_in_child=self._clear)

    def take(self, size: int) -> str:
        """So many hexadecimal digits."""
        at = self._at
        if at + size > len(self._digits):
            self._digits, at = os.urandom(self.SIZE).hex(), 0
        self._at = at + size
        return self._digits[at : self._at]

    def _clear(self) -> None:
        self._digits = ""
        self._at = 0


_pool = _Pool()
# The digit of a UUID that says of which kind it is has two random bits.
_VARIANTS = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def new_uid() -> str:
    """A fresh UUID (RFC 9562, version 4) for an object's metadata.uid."""
    drawn = _pool.take(32)
    return f"{drawn[:8]}-{drawn[8:12]}-4{drawn[13:16]}-{_VARIANTS[drawn[16]]}{drawn[17:20]}-{drawn[20:]}"


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
