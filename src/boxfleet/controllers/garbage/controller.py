"""The garbage collector's loop."""

import asyncio

from boxfleet.client import client, loop, shared
from boxfleet.client import events as recorders
from boxfleet.controllers.garbage import collect, finish, graph, kinds, unlisted
from boxfleet.kit import clock as clocks
from boxfleet.planning import garbage


class GarbageController:
    """Deletes what nobody owns any more."""

    def __init__(
        self,
        api: client.Client,
        caches: shared.Caches,
        *,
        clock: clocks.Clock,
        events: recorders.Recorder | None = None,
    ) -> None:
        self._api = api
        self._loop: loop.Loop[graph.Item] = loop.Loop("garbage", self.reconcile, workers=8)
        self._graph = graph.Graph(caches, changed=self._loop.add)
        self._kinds = kinds.CustomKinds(api, caches, self._graph, clock=clock)
        self._unlisted = unlisted.Unlisted(api, self._graph, events=events)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._kinds.run(), name="custom kinds")
            group.create_task(self._loop.run(), name="garbage")
            group.create_task(self._unlisted.run(), name="garbage of unlisted kinds")

    async def reconcile(self, item: graph.Item) -> None:
        """Look at one object."""
        subject = self._graph.find(item)
        if subject is None:
            return
        await collect.collect(self._api, self._graph, subject)
        if not garbage.waits(subject.metadata) or self._graph.awaits(item):
            return
        if self._graph.unlistable(item):
            self._unlisted.add(item)
        else:
            await finish.finish(self._api, self._graph, subject)
