"""The garbage collector's loop."""

import asyncio

from boxfleet.client import client, loop, shared
from boxfleet.controllers.garbage import collect, finish, graph, kinds
from boxfleet.kit import clock as clocks


class GarbageController:
    """Deletes what nobody owns any more."""

    def __init__(self, api: client.Client, caches: shared.Caches, *, clock: clocks.Clock) -> None:
        self._api = api
        self._loop: loop.Loop[graph.Item] = loop.Loop("garbage", self.reconcile, workers=8)
        self._graph = graph.Graph(caches, changed=self._loop.add)
        self._kinds = kinds.CustomKinds(api, caches, self._graph, clock=clock)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._kinds.run(), name="custom kinds")
            group.create_task(self._loop.run(), name="garbage")

    async def reconcile(self, item: graph.Item) -> None:
        """Look at one object."""
        subject = self._graph.find(item)
        if subject is None:
            return
        await collect.collect(self._api, self._graph, subject)
        if subject.metadata.deletionTimestamp and subject.metadata.finalizers:
            await finish.finish(self._api, self._graph, item, subject)
