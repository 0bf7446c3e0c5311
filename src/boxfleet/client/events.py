"""Events about objects, written in the background so that nobody waits for them."""

import asyncio
import collections
from collections.abc import Callable

import structlog

from boxfleet.api import event, meta
from boxfleet.client import client, errors
from boxfleet.kit import clock, ids

log = structlog.get_logger()

# Events that wait to be written; more are dropped, oldest first: they inform, nothing depends on them.
_WAITING_LIMIT = 20_000
# Events that are written at once, when nothing else is to be done: enough to share the cost of a commit.
_AT_ONCE = 16
# Events whose count is remembered; others are read before they are counted on.
_REMEMBERED = 2000


class Recorder:
    """Says things about objects. The same thing said again is counted, not repeated."""

    def __init__(
        self,
        api: client.Client,
        *,
        component: str,
        clock: clock.Clock,
        host: str = "",
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        """While its owner is `busy` what it says is written one at a time, so that his work does not wait for it."""
        self._api = api
        self._component = component
        self._source = event.EventSource(component=component, host=host)
        self._busy = busy
        self._clock = clock
        self._waiting: collections.OrderedDict[meta.Key, tuple[event.Event, int]] = collections.OrderedDict()
        self._counts: collections.OrderedDict[meta.Key, int] = collections.OrderedDict()
        self._wake = asyncio.Event()

    def normal(self, about: meta.Object, reason: str, message: str) -> None:
        """Something went as it should."""
        self._put(about, "Normal", reason, message)

    def warning(self, about: meta.Object, reason: str, message: str) -> None:
        """Something needs attention."""
        self._put(about, "Warning", reason, message)

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            while not self._waiting:
                self._wake.clear()
                await self._wake.wait()
            if self._busy() or len(self._waiting) == 1:
                await self._next()
                continue
            async with asyncio.TaskGroup() as group:
                for _ in range(min(_AT_ONCE, len(self._waiting))):
                    group.create_task(self._next())

    async def _next(self) -> None:
        if not self._waiting:
            # Too much was said meanwhile, or it was said again.
            return
        key, (said, times) = self._waiting.popitem(last=False)
        try:
            await self._write(key, said, times)
        except errors.ApiError as error:
            # A namespace on its way out takes no events; anything else will be said again when it matters.
            log.debug("event not written", about=str(key), cause=error.message)

    def _put(self, about: meta.Object, type: str, reason: str, message: str) -> None:
        metadata = about.metadata
        now = clock.stamp(self._clock.now())
        # The same name for the same thing said: a restart goes on counting where the last process stopped.
        name = f"{metadata.name[:200]}.{ids.fingerprint([metadata.uid, self._component, reason, message], length=16)}"
        key = meta.Key(metadata.namespace or "default", name)
        _, times = self._waiting.pop(key, (None, 0))
        said = event.Event(
            metadata=meta.ObjectMeta(name=name, namespace=key.namespace),
            involvedObject=event.ObjectReference(
                kind=about.KIND.kind,
                apiVersion=about.KIND.api_version,
                namespace=metadata.namespace,
                name=metadata.name,
                uid=metadata.uid,
            ),
            type=type,
            reason=reason,
            message=message[:1024],
            firstTimestamp=now,
            lastTimestamp=now,
            source=self._source,
            reportingComponent=self._component,
        )
        self._waiting[key] = (said, times + 1)
        if len(self._waiting) > _WAITING_LIMIT:
            self._waiting.popitem(last=False)
        self._wake.set()

    async def _write(self, key: meta.Key, said: event.Event, times: int) -> None:
        count = self._counts.get(key, 0)
        if not count:
            said.count = times
            try:
                await self._api.create(said)
            except errors.AlreadyExists:
                count = (await self._api.get(event.Event, key.name, namespace=key.namespace)).count
        if count:
            change = {"count": count + times, "lastTimestamp": said.lastTimestamp}
            try:
                await self._api.patch(event.Event, key.name, change, namespace=key.namespace)
            except errors.NotFound:
                # It grew old and was removed meanwhile.
                count = 0
                said.count = times
                await self._api.create(said)
        self._counts[key] = count + times
        self._counts.move_to_end(key)
        if len(self._counts) > _REMEMBERED:
            self._counts.popitem(last=False)
