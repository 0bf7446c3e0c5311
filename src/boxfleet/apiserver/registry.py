"""The objects of all kinds in the store: where they are, and how they are read and written."""

from collections.abc import Sequence
from typing import Any

import msgspec

from boxfleet.api import kind as kinds
from boxfleet.api import meta
from boxfleet.apiserver import faults, schema
from boxfleet.kit import clock as clocks
from boxfleet.store import backend, errors, rows, store

JsonObject = dict[str, Any]


class Registry:
    """What all verbs share."""

    def __init__(self, objects: store.Store, *, types: Sequence[type[meta.Object]], clock: clocks.Clock) -> None:
        self.store = objects
        self.clock = clock
        self.kinds = [type_.KIND for type_ in types]
        self.schemas = schema.Schemas(types)
        self._by_name = {(kind.group, kind.plural): kind for kind in self.kinds}

    def kind(self, plural: str, *, group: str = "") -> kinds.Kind | None:
        """A served kind."""
        return self._by_name.get((group, plural))

    def read(self, kind: kinds.Kind, *, namespace: str, name: str) -> rows.Row:
        """One object's row; raises Fault 404."""
        row = self.store.get(key(kind, namespace=namespace, name=name))
        if row is None:
            raise faults.not_found(kind, name)
        return row

    async def put(
        self,
        kind: kinds.Kind,
        obj: JsonObject,
        *,
        expected: int,
        deleted: bool = False,
        along: Sequence[backend.Along] = (),
    ) -> bytes:
        """Write an object that is at a revision (0: not there yet), and what changes along; returns its bytes.

        Raises `errors.Conflict` when it is at another one, Fault 503 when the store cannot write, and what a change
        along with it raises.
        """
        metadata = obj["metadata"]

        def encode(revision: int) -> bytes:
            metadata["resourceVersion"] = str(revision)
            return msgspec.json.encode(obj)

        where = key(kind, namespace=metadata.get("namespace", ""), name=metadata["name"])
        write = self.store.delete if deleted else self.store.write
        with_store = write(where, encode, expected=expected, along=along)
        try:
            row = await with_store
        except errors.Conflict:
            raise
        except errors.StoreError as error:
            raise faults.unavailable(str(error)) from error
        return row.value


def prefix(kind: kinds.Kind, *, namespace: str = "") -> str:
    """What the keys of a kind begin with, in one namespace or in all."""
    return f"/{kind.group}/{kind.plural}/{namespace}/" if namespace else f"/{kind.group}/{kind.plural}/"


def key(kind: kinds.Kind, *, namespace: str, name: str) -> str:
    """Where an object is in the store."""
    return f"/{kind.group}/{kind.plural}/{namespace}/{name}"


def decode(value: bytes) -> JsonObject:
    """A stored object."""
    obj: JsonObject = msgspec.json.decode(value)
    return obj
