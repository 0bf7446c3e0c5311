"""The view of an engine: all containers of the fleet, kept up to date by its events.

The engine's stream of events is opened before the list is read, so nothing happens unseen between the two. An event
says which container to look at, never what became of it. The whole list is read anew from time to time: the engine
drops events for who is slow, and a dead line to it shows in no other way.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Final

import aiohttp
import msgspec

from boxfleet.drivers.docker import connection, faults, marks, model
from boxfleet.kit import tasks
from boxfleet.ports import cluster

RELIST_SECONDS: Final = 30.0
# Inspections at once.
_AT_ONCE: Final = 8
# Of what containers go through; commands in them have events of their own, which are many.
_EVENTS: Final = ("create", "start", "die", "destroy", "pause", "unpause", "oom", "rename")


class View:
    """Containers by id. `changed` hears of a container before and after, either of which may be None."""

    def __init__(
        self,
        link: connection.Connection,
        fleet: str,
        *,
        changed: Callable[[model.Container | None, model.Container | None], None],
    ) -> None:
        self._link = link
        self._fleet = fleet
        self._changed = changed
        self._containers: dict[str, model.Container] = {}
        self.synced = False

    def of(self, instance: marks.Instance) -> list[model.Container]:
        """The containers of one instance."""
        return [one for one in self._containers.values() if one.mark.instance == instance]

    def all(self) -> Iterable[model.Container]:
        """All containers."""
        return self._containers.values()

    async def run(self, *, listed: Callable[[], None]) -> None:
        """Keep up to date until cancelled; `listed` is called after each whole list. Raises ClusterFaults."""
        params = {"filters": {"type": ["container"], "event": list(_EVENTS), **marks.filters(self._fleet)}}
        try:
            opened = self._link.open("GET", "/events", params=params, seconds=None)
            async with opened as answer, asyncio.TaskGroup() as group:
                await self._list()
                listed()
                relisting = group.create_task(self._relist(listed))
                async for line in answer.content:
                    await self.look(msgspec.json.decode(line, type=_Event).actor.id)
                relisting.cancel()
            raise cluster.Unreachable(f"the Docker engine at {self._link.where} ended its stream of events")
        except BaseExceptionGroup as several:
            raise self._fault(several) from None
        finally:
            self.synced = False

    async def look(self, container_id: str) -> None:
        """Take in one container as it is now. Raises ClusterFaults."""
        try:
            found = model.read(await self._link.call("GET", f"/containers/{container_id}/json"))
        except faults.NotFound:
            self._take(container_id, None)
        else:
            self._take(container_id, found)

    async def _relist(self, listed: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(RELIST_SECONDS)
            await self._list()
            listed()

    async def _list(self) -> None:
        params = {"all": True, "filters": marks.filters(self._fleet)}
        found = {one["Id"] for one in await self._link.call("GET", "/containers/json", params=params)}
        for gone in [one for one in self._containers if one not in found]:
            self._take(gone, None)
        await tasks.gather((self.look(one) for one in found), limit=_AT_ONCE)
        self.synced = True

    def _fault(self, several: BaseExceptionGroup[BaseException]) -> BaseException:
        """What a lost view is told as; what is no loss stays as it is."""
        causes = [one for one in several.exceptions if not isinstance(one, asyncio.CancelledError)]
        first = causes[0] if causes else several
        if isinstance(first, OSError | aiohttp.ClientError | ValueError | msgspec.DecodeError):
            return cluster.Unreachable(f"the Docker engine at {self._link.where} broke its stream of events: {first}")
        return first

    def _take(self, container_id: str, now: model.Container | None) -> None:
        before = self._containers.get(container_id)
        if now is None:
            self._containers.pop(container_id, None)
        else:
            self._containers[container_id] = now
        if before != now:
            self._changed(before, now)


class _Actor(msgspec.Struct):
    id: str = msgspec.field(name="ID")


class _Event(msgspec.Struct):
    actor: _Actor = msgspec.field(name="Actor")


async def made_for(link: connection.Connection, fleet: str, instance: marks.Instance) -> list[model.Container]:
    """All containers of one instance as they are now. Raises ClusterFaults."""
    params = {"all": True, "filters": marks.filters(fleet, namespace=instance.namespace, pod=instance.name)}
    found = []
    for one in await link.call("GET", "/containers/json", params=params):
        with contextlib.suppress(faults.NotFound):
            found.append(model.read(await link.call("GET", f"/containers/{one['Id']}/json")))
    return found
