"""One cache per kind for everything that runs in a process."""

import asyncio
from typing import Any

from boxfleet.api import meta
from boxfleet.client import cache, client
from boxfleet.kit import clock, supervise


class Caches:
    """Caches by type. Ask for them, add listeners and indexes, then `run`."""

    def __init__(self, api: client.Client, *, clock: clock.Clock) -> None:
        self.api = api
        self._clock = clock
        self._caches: dict[tuple[type[meta.Object], str, str], cache.Cache[Any]] = {}

    def of(self, kind: type[meta.T], *, labels: str = "", fields: str = "") -> cache.Cache[meta.T]:
        """The cache of a kind, or of the objects of it that selectors of labels and fields match."""
        found = self._caches.get((kind, labels, fields))
        if found is None:
            found = self._caches[kind, labels, fields] = cache.Cache(self.api, kind, labels=labels, fields=fields)
        return found

    def speaking(self, api: client.Client) -> "Caches":
        """The same caches for somebody who speaks to the API as another user; so do those first asked for there."""
        view = Caches(api, clock=self._clock)
        view._caches = self._caches
        return view

    async def synced(self) -> None:
        """Wait until every cache holds what was there when it began."""
        for each in list(self._caches.values()):
            await each.synced.wait()

    async def run(self) -> None:
        """Keep all of them true until cancelled."""
        async with asyncio.TaskGroup() as group:
            for (kind, *_), each in list(self._caches.items()):
                group.create_task(supervise.keep_running(f"cache of {kind.KIND.plural}", each.run, clock=self._clock))
