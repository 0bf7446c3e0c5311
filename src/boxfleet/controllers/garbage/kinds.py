"""Step 0: custom kinds come and go."""

import asyncio
import functools

import structlog

from boxfleet.api import meta
from boxfleet.client import cache, client, errors, shared
from boxfleet.controllers import custom_kinds
from boxfleet.controllers.garbage import graph
from boxfleet.kit import clock as clocks
from boxfleet.kit import supervise

log = structlog.get_logger()


class CustomKinds:
    """Keeps a cache of metadata for every custom kind that is served, and tells the graph of them.

    A definition that changes without changing where its objects are found keeps its cache and its watch.
    """

    def __init__(self, api: client.Client, caches: shared.Caches, known: graph.Graph, *, clock: clocks.Clock) -> None:
        self._api = api
        self._graph = known
        self._clock = clock
        # By the definition's name.
        self._caches: dict[str, cache.Cache[meta.Object]] = {}
        self._kinds: dict[str, type[meta.Object]] = {}
        self._changed = asyncio.Event()
        caches.of(custom_kinds.Definition).listen(self._hear)

    async def run(self) -> None:
        """Keep the caches true until cancelled."""
        async with asyncio.TaskGroup() as group:
            running: dict[str, tuple[cache.Cache[meta.Object], asyncio.Task[None]]] = {}
            while True:
                self._changed.clear()
                for name, (known, task) in list(running.items()):
                    if self._caches.get(name) is not known:
                        task.cancel()
                        del running[name]
                for name in self._caches.keys() - running.keys():
                    running[name] = (self._caches[name], group.create_task(self._keep(name), name=f"cache of {name}"))
                await self._changed.wait()

    async def _keep(self, name: str) -> None:
        known, index = self._caches[name], graph.index_of(self._kinds[name])
        async with asyncio.TaskGroup() as group:
            kept = group.create_task(supervise.keep_running(f"cache of {name}", known.run, clock=self._clock))
            await known.synced.wait()
            if self._caches.get(name) is known:
                self._graph.listed(index)
            await kept

    def _fail(self, name: str, kind: type[meta.Object], error: errors.ApiError) -> None:
        if self._kinds.get(name) is not kind or self._caches[name].synced.is_set():
            # What was known once stays known.
            return
        if self._graph.cannot_list(graph.index_of(kind), error.message):
            log.warning(
                "cannot list a custom kind: owners that may have dependents of it wait with their deletion",
                definition=name,
                cause=error.message,
                remedy="mend the conversion webhook of that CustomResourceDefinition, or what the cause names",
            )

    def _hear(self, old: custom_kinds.Definition | None, new: custom_kinds.Definition | None) -> None:
        name = (new or old or custom_kinds.Definition()).metadata.name
        before = self._kinds.get(name)
        after = custom_kinds.metadata_of(new) if new is not None else None
        if before is not None and after is not None and _same(before, after):
            return
        if before is not None:
            del self._kinds[name], self._caches[name]
            # A definition goes after its objects; one that serves no version keeps them.
            self._graph.forget(graph.index_of(before), gone=new is None)
        if after is not None:
            self._kinds[name] = after
            self._caches[name] = cache.Cache(self._api, after, failed=functools.partial(self._fail, name, after))
            self._graph.follow(after, self._caches[name])
        self._changed.set()


def _same(some: type[meta.Object], other: type[meta.Object]) -> bool:
    one, two = some.KIND, other.KIND
    return (one.group, one.version, one.kind, one.plural, one.namespaced) == (
        two.group, two.version, two.kind, two.plural, two.namespaced,
    )  # fmt: skip
