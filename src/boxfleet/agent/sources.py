"""The ConfigMaps, Secrets and ServiceAccounts of the namespaces that have Pods here."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from boxfleet.api import config, meta, service_account
from boxfleet.client import cache, client, errors
from boxfleet.kit import clock as clocks
from boxfleet.kit import supervise

# Told that an object of that namespace changed.
Changed = Callable[[str], None]


class Sources:
    """A watch per namespace and kind, as long as a Pod of it is here."""

    def __init__(self, api: client.Client, *, clock: clocks.Clock) -> None:
        self._api = api
        self._clock = clock
        self._group: asyncio.TaskGroup | None = None
        self._caches: dict[tuple[type[meta.Object], str], cache.Cache[Any]] = {}
        self._tasks: dict[str, list[asyncio.Task[None]]] = {}
        self._asked: dict[tuple[type[meta.Object], str, str], asyncio.Future[Any]] = {}
        self._changed: Changed = lambda _namespace: None

    def listen(self, changed: Changed) -> None:
        """Hear of namespaces in which something changed."""
        self._changed = changed

    async def run(self) -> None:
        """Be able to watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            await asyncio.Event().wait()

    def keep(self, namespaces: set[str]) -> None:
        """Watch exactly these namespaces."""
        for gone in [one for one in self._tasks if one not in namespaces]:
            for task in self._tasks.pop(gone):
                task.cancel()
            for key in [key for key in self._caches if key[1] == gone]:
                del self._caches[key]
        for namespace in namespaces:
            if namespace not in self._tasks and self._group is not None:
                self._tasks[namespace] = [
                    self._begin(config.ConfigMap, namespace, self._group),
                    self._begin(config.Secret, namespace, self._group),
                    self._begin(service_account.ServiceAccount, namespace, self._group),
                ]

    async def find(self, kind: type[meta.T], namespace: str, name: str) -> meta.T | None:
        """The object, None when it is not there; raises ApiError while that cannot be known."""
        known = self._caches.get((kind, namespace))
        if known is not None and known.synced.is_set():
            found: meta.T | None = known.find(name, namespace=namespace)
            if found is not None:
                return found
        # A watch may lag behind the Pod's own: ask before saying that it is missing.
        return await self._ask(kind, namespace, name)

    async def _ask(self, kind: type[meta.T], namespace: str, name: str) -> meta.T | None:
        """Ask the server; those who ask while somebody does already, as Pods of one Unit do, share the answer.

        What is made between the two is told by the watch.
        """
        key = (kind, namespace, name)
        asked = self._asked.get(key)
        if asked is not None:
            await asyncio.wait([asked])
            if not asked.cancelled():
                shared: meta.T | None = asked.result()
                return shared
            return await self._api.find(kind, name, namespace=namespace)
        asked = self._asked[key] = asyncio.get_running_loop().create_future()
        try:
            found = await self._api.find(kind, name, namespace=namespace)
            asked.set_result(found)
        finally:
            del self._asked[key]
            # Without an answer everybody asks for himself.
            asked.cancel()
        return found

    def _begin(self, kind: type[meta.Object], namespace: str, group: asyncio.TaskGroup) -> asyncio.Task[None]:
        fresh: cache.Cache[Any] = cache.Cache(self._api, kind, namespace=namespace)
        fresh.listen(lambda _old, _new: self._changed(namespace))
        self._caches[kind, namespace] = fresh
        name = f"cache of {kind.KIND.plural} in {namespace}"
        return group.create_task(supervise.keep_running(name, fresh.run, clock=self._clock))


async def refresh(
    found: dict[str, meta.T], names: frozenset[str], sources: Sources, kind: type[meta.T], namespace: str
) -> dict[str, meta.T]:
    """The named objects as they are now; what cannot be asked for stays as it was known."""
    result = {}
    for name in names:
        item = found.get(name)
        with contextlib.suppress(errors.ApiError):
            item = await sources.find(kind, namespace, name)
        if item is not None:
            result[name] = item
    return result
