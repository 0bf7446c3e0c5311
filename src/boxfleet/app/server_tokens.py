"""Tokens by which a further server joins: good for some minutes and for one machine, kept hashed in the store.

They look like ``server-ID.SECRET``. What stands before the point is no secret: it shows the authority's certificate, by
whose hash a machine tells whether it speaks with the right server before it shows the rest. The rows lie outside every
kind, so that nobody reads, makes or changes one through the API of objects.
"""

import datetime
import hashlib
import hmac
import os
import re
from collections.abc import Callable

import msgspec

from boxfleet.api import roles
from boxfleet.apiserver import authn
from boxfleet.kit import clock as clocks
from boxfleet.kit import ids
from boxfleet.store import errors
from boxfleet.store import store as stores

# No group of kinds has this name.
_PREFIX = "/-/server-tokens/"
_TOKEN = re.compile(r"server-([a-z0-9]{8})(?:\.([0-9a-f]{64}))?")


class Refused(Exception):
    """The token gives nothing; the text says why and what to do."""


class _Row(msgspec.Struct, kw_only=True):
    sha256: str
    expires: str
    # The hash of what the one machine shows that it is good for; empty until then.
    claim: str = ""


def public_part(token: str) -> str:
    """What may be shown to whoever answers; empty when it is no token of this kind."""
    match = _TOKEN.fullmatch(token)
    return f"server-{match[1]}" if match is not None and match[2] else ""


class ServerTokens:
    """Implements authn.Authenticator for machines that join as servers."""

    def __init__(self, store: stores.Store, *, clock: clocks.Clock) -> None:
        self._store = store
        self._clock = clock

    async def authenticate(self, shown: authn.Shown) -> authn.User | None:
        """Who holds a token that has not ended, or its public part."""
        match = _TOKEN.fullmatch(shown.token)
        if match is None or shown.audiences or (found := self._find(match[1])) is None:
            return None
        if match[2] and not _fits(found[1], match[2]):
            return None
        return authn.User(name=f"{roles.JOINING_SERVERS}:{match[1]}", groups=(roles.JOINING_SERVERS,))

    async def make(self, *, life: datetime.timedelta) -> str:
        """A new token; those that have ended are dropped. Raises the store's StoreError."""
        for row in self._store.range(_PREFIX):
            if not self._lasts(msgspec.json.decode(row.value, type=_Row)):
                try:
                    await self._store.delete(row.key, _as_it_is(row.value), expected=row.revision)
                except errors.Conflict:
                    # Another server was quicker.
                    continue
        identifier, secret = ids.name_suffix(length=8), os.urandom(32).hex()
        made = _Row(sha256=_digest(secret), expires=clocks.stamp(self._clock.now() + life))
        await self._store.write(_PREFIX + identifier, _as_it_is(msgspec.json.encode(made)), expected=0)
        return f"server-{identifier}.{secret}"

    async def claim(self, token: str, *, claim: str) -> None:
        """Give a token to the machine that shows this claim, for good; raises Refused and the store's StoreError.

        The same machine may ask again while the token lasts: an answer can be lost on its way.
        """
        match = _TOKEN.fullmatch(token)
        digest = _digest(claim)
        while match is not None and match[2] and (found := self._find(match[1])) is not None:
            revision, row = found
            if not _fits(row, match[2]):
                break
            if row.claim:
                if hmac.compare_digest(row.claim, digest):
                    return
                raise Refused("this token was used already: boxfleet server token makes another one")
            claimed = msgspec.json.encode(msgspec.structs.replace(row, claim=digest))
            try:
                await self._store.write(_PREFIX + match[1], _as_it_is(claimed), expected=revision)
            except errors.Conflict:
                continue
            return
        raise Refused("only a token that was made for it and has not ended opens this: boxfleet server token makes one")

    def _find(self, identifier: str) -> tuple[int, _Row] | None:
        """A token that has not ended, and its row's revision."""
        found = self._store.get(_PREFIX + identifier)
        if found is None:
            return None
        row = msgspec.json.decode(found.value, type=_Row)
        return (found.revision, row) if self._lasts(row) else None

    def _lasts(self, row: _Row) -> bool:
        return clocks.parse(row.expires) > self._clock.now()


def _as_it_is(value: bytes) -> Callable[[int], bytes]:
    """What is written does not hold its revision."""
    return lambda _: value


def _fits(row: _Row, secret: str) -> bool:
    return hmac.compare_digest(row.sha256, _digest(secret))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
