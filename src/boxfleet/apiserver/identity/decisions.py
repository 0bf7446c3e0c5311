"""What was decided about tokens, so that the next request with the same token costs microseconds.

A decision is found by the token's hash and holds while the objects that it rests on are there. They are looked at on
each use: their revision tells that nothing changed.
"""

import dataclasses

import msgspec

from boxfleet.apiserver import authn
from boxfleet.kit import clock as clocks
from boxfleet.store import store as stores

# Tokens that are in use at once, at about a kilobyte each.
_LIMIT = 4096


@dataclasses.dataclass(slots=True, kw_only=True)
class Bond:
    """An object that a token dies with. `whole`: also with any change of it, such as of a Secret's content."""

    key: str
    uid: str
    # At which it was looked at last.
    revision: int = 0
    whole: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whose token it is, for which audiences, until when (seconds since 1970), and what it rests on."""

    user: authn.User
    audiences: frozenset[str]
    expires: int | None
    bonds: list[Bond]


class _Meta(msgspec.Struct):
    uid: str
    deletionTimestamp: str = ""


class _Object(msgspec.Struct):
    kind: str
    metadata: _Meta


_objects = msgspec.json.Decoder(_Object)


class Decisions:
    """The decisions about the tokens that were used lately."""

    def __init__(self, store: stores.Store, *, clock: clocks.Clock, limit: int = _LIMIT) -> None:
        self._store = store
        self._clock = clock
        self._limit = limit
        self._known: dict[bytes, Decision] = {}

    def __len__(self) -> int:
        return len(self._known)

    def find(self, digest: bytes) -> Decision | None:
        """What was decided, if it still holds."""
        decision = self._known.get(digest)
        if decision is None:
            return None
        if not self._holds(decision):
            del self._known[digest]
            return None
        return decision

    def keep(self, digest: bytes, decision: Decision) -> bool:
        """Remember a decision, if it holds; the oldest makes room."""
        if not self._holds(decision):
            return False
        if len(self._known) >= self._limit:
            del self._known[next(iter(self._known))]
        self._known[digest] = decision
        return True

    def _holds(self, decision: Decision) -> bool:
        if decision.expires is not None and decision.expires <= self._clock.now().timestamp():
            return False
        return all(self._is_there(bond) for bond in decision.bonds)

    def _is_there(self, bond: Bond) -> bool:
        row = self._store.get(bond.key)
        if row is None:
            return False
        if row.revision == bond.revision:
            return True
        if bond.whole and bond.revision:
            return False
        found = _objects.decode(row.value)
        # A Pod that is being deleted may still need its token to end well.
        if found.metadata.uid != bond.uid or (found.metadata.deletionTimestamp and found.kind != "Pod"):
            return False
        bond.revision = row.revision
        return True
