"""A local copy of one kind, kept true by list and watch."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Generic

import structlog

from boxfleet.api import meta
from boxfleet.client import client as clients
from boxfleet.client import errors
from boxfleet.kit import backoff

log = structlog.get_logger()

# Called with the object before and after; None stands for "not there".
Listener = Callable[[meta.T | None, meta.T | None], None]


class Cache(Generic[meta.T]):
    """All objects of a kind that match, by key. Objects are shared: never change them."""

    def __init__(
        self,
        client: clients.Client,
        kind: type[meta.T],
        *,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        failed: Callable[[errors.ApiError], None] | None = None,
    ) -> None:
        # Hears why a list or a watch failed; it is tried again in any case.
        self._failed = failed
        self._client = client
        self._kind = kind
        self._scope = {"namespace": namespace, "labels": labels, "fields": fields}
        self._objects: dict[meta.Key, meta.T] = {}
        self._listeners: list[Listener[meta.T]] = []
        self._indexes: dict[str, Callable[[meta.T], str]] = {}
        self._indexed: dict[str, dict[str, dict[meta.Key, meta.T]]] = {}
        self._backoff = backoff.Backoff(initial=0.1, limit=5.0)
        self.synced = asyncio.Event()

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[meta.T]:
        return iter(list(self._objects.values()))

    def get(self, key: meta.Key) -> meta.T | None:
        """The object with that key, if it is there."""
        return self._objects.get(key)

    def find(self, name: str, *, namespace: str = "") -> meta.T | None:
        """The object with that name, if it is there."""
        return self._objects.get(meta.Key(namespace, name))

    def add_index(self, name: str, value: Callable[[meta.T], str]) -> None:
        """Keep objects by a computed value; call before `run`. An empty value keeps an object out."""
        self._indexes[name] = value
        self._indexed[name] = {}

    def by_index(self, name: str, value: str) -> list[meta.T]:
        """The objects whose computed value is that one, in order of their keys."""
        found = self._indexed[name].get(value, {})
        return [found[key] for key in sorted(found)]

    def listen(self, listener: Listener[meta.T]) -> None:
        """Hear of every change from now on; the listener must not block or raise."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """Keep the copy true until cancelled; reconnects by itself."""
        failures = 0
        while True:
            try:
                listing = await self._client.list(self._kind, **self._scope)
                self._reset(listing.items)
                self.synced.set()
                failures = 0
                await self._follow(listing.resource_version)
            except errors.ApiError as error:
                failures += 1
                if self._failed is not None:
                    self._failed(error)
                if failures > 1 or not isinstance(error, errors.Expired):
                    log.info("watch interrupted", kind=self._kind.KIND.qualified, cause=error.message)
                await asyncio.sleep(self._backoff.delay(failures=failures))

    async def _follow(self, revision: str) -> None:
        """Apply changes; a watch that ended or broke goes on where it stopped, until it is too old."""
        failures = 0
        while True:
            try:
                async for change in self._client.watch(self._kind, resource_version=revision, **self._scope):
                    failures = 0
                    revision = change.object.metadata.resourceVersion
                    if change.type == "DELETED":
                        self._put(change.object.key, None)
                    elif change.type != "BOOKMARK":
                        self._put(change.object.key, change.object)
            except errors.Unavailable:
                failures += 1
                await asyncio.sleep(self._backoff.delay(failures=failures))

    def _reset(self, items: list[meta.T]) -> None:
        fresh = {item.key: item for item in items}
        for key in [key for key in self._objects if key not in fresh]:
            self._put(key, None)
        for key, item in fresh.items():
            old = self._objects.get(key)
            if old is None or old.metadata.resourceVersion != item.metadata.resourceVersion:
                self._put(key, item)

    def _put(self, key: meta.Key, new: meta.T | None) -> None:
        old = self._objects.pop(key, None)
        for name, value_of in self._indexes.items():
            table = self._indexed[name]
            if old is not None and (bucket := table.get(value_of(old))) is not None:
                bucket.pop(key, None)
                if not bucket:
                    del table[value_of(old)]
            if new is not None and (value := value_of(new)):
                table.setdefault(value, {})[key] = new
        if new is not None:
            self._objects[key] = new
        if old is None and new is None:
            return
        for listener in self._listeners:
            listener(old, new)
