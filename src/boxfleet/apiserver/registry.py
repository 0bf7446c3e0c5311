"""The objects of all kinds in the store: where they are, and how they are read and written."""

from collections.abc import Sequence
from typing import Any

import msgspec

from boxfleet.api import kind as kinds
from boxfleet.api import meta
from boxfleet.apiserver import faults, schema, versions
from boxfleet.kit import clock as clocks
from boxfleet.store import backend, errors, rows, store

JsonObject = dict[str, Any]


class _Listed:
    """A watch among those of its kind. Not a generator, which thousands would pay for."""

    __slots__ = ("_all", "_one")

    def __init__(self, every: set[rows.Subscription], one: rows.Subscription) -> None:
        self._all = every
        self._one = one

    def __enter__(self) -> None:
        self._all.add(self._one)

    def __exit__(self, *error: object) -> None:
        self._all.discard(self._one)
        self._one.close()


class Registry:
    """What all verbs share."""

    def __init__(
        self,
        objects: store.Store,
        *,
        types: Sequence[type[meta.Object]],
        clock: clocks.Clock,
        older: Sequence[kinds.Older] = (),
    ) -> None:
        """`older` are further versions of the types' kinds."""
        self.store = objects
        self.clock = clock
        # All that is served, each version a kind of its own; the preferred version of a group comes first.
        self.kinds = [type_.KIND for type_ in types]
        self.schemas = schema.Schemas(types)
        # Counts changes of the kinds, for those who keep something made from them.
        self.changes = 0
        self._by_name = {(kind.group, kind.plural): kind for kind in self.kinds}
        self._versions: dict[kinds.Kind, versions.Version] = {}
        self._watches: dict[kinds.Kind, set[rows.Subscription]] = {}
        for each in older:
            self.schemas.add_older(each)
            self.add(each.served, version=versions.Pure(up=each.up, down=each.down))

    def kind(self, plural: str, *, group: str = "") -> kinds.Kind | None:
        """A served kind, in its preferred version."""
        return self._by_name.get((group, plural))

    def add(
        self, kind: kinds.Kind, *, version: versions.Version | None = None, custom: schema.Custom | None = None
    ) -> None:
        """Serve a further kind, or a further version of one; `version` says how it differs from what is stored."""
        self.kinds.append(kind)
        self._by_name.setdefault((kind.group, kind.plural), kind)
        if version is not None:
            self._versions[kind] = version
        if custom is not None:
            self.schemas.add(kind, custom)
        self.changes += 1

    def remove(self, kind: kinds.Kind) -> None:
        """Serve a kind no longer; its watches end."""
        self.kinds.remove(kind)
        self._versions.pop(kind, None)
        self.schemas.remove(kind)
        name = (kind.group, kind.plural)
        if self._by_name.get(name) is kind:
            left = next((other for other in self.kinds if (other.group, other.plural) == name), None)
            if left is not None:
                self._by_name[name] = left
            else:
                del self._by_name[name]
        for subscription in list(self._watches.pop(kind, ())):
            subscription.close()
        self.changes += 1

    def watching(self, kind: kinds.Kind, subscription: rows.Subscription) -> "_Listed":
        """A context manager: the subscription ends with its kind, and with the block."""
        return _Listed(self._watches.setdefault(kind, set()), subscription)

    def presented(self, kind: kinds.Kind, found: Sequence[rows.Row]) -> Sequence[rows.Row]:
        """Stored rows in the version of a kind; raises `versions.Unconverted` when that takes a question to others."""
        version = self._versions.get(kind)
        return found if version is None else version.present(found)

    async def convert(self, kind: kinds.Kind, *, namespace: str, name: str) -> None:
        """Have one object, or all of a namespace or of the kind, converted by whom it takes; raises Fault 500."""
        if name:
            row = self.store.get(key(kind, namespace=namespace, name=name))
            await self.convert_rows(kind, [row] if row is not None else [])
        else:
            await self.convert_rows(kind, self.store.range(prefix(kind, namespace=namespace)))

    async def convert_rows(self, kind: kinds.Kind, found: Sequence[rows.Row]) -> None:
        """Have rows converted, so that `presented` can answer; raises Fault 500."""
        await self._versions[kind].prepare(found)

    async def presented_changes(self, kind: kinds.Kind, changes: list[rows.Change]) -> list[rows.Change]:
        """What a watch tells, in the version of a kind."""
        version = self._versions.get(kind)
        return changes if version is None else [await version.present_change(change) for change in changes]

    def served_as_stored(self, kind: kinds.Kind) -> bool:
        """Whether what is stored needs no conversion to be this kind."""
        return kind not in self._versions

    def stored_form(self, kind: kinds.Kind, obj: JsonObject) -> JsonObject:
        """An object of an own kind in the version of its type, which is what is stored; of a custom kind as it is."""
        version = self._versions.get(kind)
        return obj if version is None else version.stored_now(obj)

    def served_form(self, kind: kinds.Kind, obj: JsonObject) -> JsonObject:
        """The way back from `stored_form`."""
        version = self._versions.get(kind)
        return obj if version is None else version.served_now(obj)

    def read(self, kind: kinds.Kind, *, namespace: str, name: str) -> rows.Row:
        """One object's row; raises Fault 404."""
        row = self.store.get(key(kind, namespace=namespace, name=name))
        if row is None:
            raise faults.not_found(kind, name)
        return row if kind not in self._versions else self.presented(kind, [row])[0]

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
        version = self._versions.get(kind)
        stored = obj if version is None else await version.stored(obj)

        def encode(revision: int) -> bytes:
            stored["metadata"]["resourceVersion"] = str(revision)
            return msgspec.json.encode(stored)

        where = key(kind, namespace=metadata.get("namespace", ""), name=metadata["name"])
        write = self.store.delete if deleted else self.store.write
        with_store = write(where, encode, expected=expected, along=along)
        try:
            row = await with_store
        except errors.Conflict:
            raise
        except errors.StoreError as error:
            raise faults.unavailable(str(error)) from error
        if stored is obj:
            return row.value
        metadata["resourceVersion"] = str(row.revision)
        return msgspec.json.encode(obj)


def prefix(kind: kinds.Kind, *, namespace: str = "") -> str:
    """What the keys of a kind begin with, in one namespace or in all."""
    return f"/{kind.group}/{kind.plural}/{namespace}/" if namespace else f"/{kind.group}/{kind.plural}/"


def key(kind: kinds.Kind, *, namespace: str, name: str) -> str:
    """Where an object is in the store."""
    return f"/{kind.group}/{kind.plural}/{namespace}/{name}"


def encode(obj: JsonObject) -> bytes:
    """An object as it is stored."""
    return msgspec.json.encode(obj)


def decode(value: bytes) -> JsonObject:
    """A stored object."""
    obj: JsonObject = msgspec.json.decode(value)
    return obj
