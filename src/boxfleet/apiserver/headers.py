"""The headers of a request, and what is read out of them: once, however often a connection sends the same."""

from collections.abc import Sequence
from typing import Final

import msgspec

from boxfleet.apiserver import authn

# Where a request's scope has them, when somebody has read them already.
KEY: Final = "boxfleet.headers"
_IMPERSONATE: Final = "impersonate-"

Raw = Sequence[tuple[bytes, bytes]]


class Headers(msgspec.Struct, frozen=True, eq=False):
    """`by_name` is in lower case; of several headers with one name it has the last. Nobody changes it."""

    by_name: dict[str, str]
    # Of the header Authorization: its scheme in lower case, and what stands behind; what a bearer token is known by.
    scheme: str
    credentials: str
    digest: bytes
    # Some header asks to act as somebody else.
    impersonates: bool


def read(raw: Raw) -> Headers:
    """Headers as they came."""
    by_name = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw}
    scheme, _, rest = by_name.get("authorization", "").partition(" ")
    scheme, rest = scheme.lower(), rest.strip()
    digest = authn.digest(rest) if scheme == "bearer" and rest else b""
    return Headers(by_name, scheme, rest, digest, any(name.startswith(_IMPERSONATE) for name in by_name))


class Memory:
    """The headers that a connection sent last, which are mostly those that it sends next."""

    __slots__ = ("_raw", "_read")

    def __init__(self) -> None:
        self._raw: Raw | None = None
        self._read: Headers | None = None

    def read(self, raw: Raw) -> Headers:
        """Headers as they came."""
        if self._read is None or raw != self._raw:
            self._raw, self._read = raw, read(raw)
        return self._read

    def clear(self) -> None:
        """Let go of them."""
        self._raw = self._read = None


class Several:
    """The headers that the parts of this process send, each always the same few."""

    __slots__ = ("_known",)

    _LIMIT: Final = 256

    def __init__(self) -> None:
        self._known: dict[Raw, Headers] = {}

    def read(self, raw: Raw) -> Headers:
        """Headers as they came."""
        key = tuple(raw)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= self._LIMIT:
                self._known.clear()
            known = self._known[key] = read(raw)
        return known
