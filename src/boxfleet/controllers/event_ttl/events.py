"""Step 1: old Events."""

from boxfleet.api import meta
from boxfleet.client import client, errors, loop, shared
from boxfleet.controllers import partial, settings
from boxfleet.kit import clock


class OldEvents:
    """Removes an Event when its time is over."""

    def __init__(
        self, api: client.Client, caches: shared.Caches, *, clock: clock.Clock, settings: settings.Settings
    ) -> None:
        self._api = api
        self._clock = clock
        self._ttl = settings.event_ttl
        self._events = caches.of(partial.AgedEvent)
        self._loop: loop.Loop[meta.Key] = loop.Loop("old events", self.reconcile, workers=1)
        self.run = self._loop.run
        self._events.listen(self._changed)

    async def reconcile(self, key: meta.Key) -> float | None:
        """Remove one Event if it is old; else seconds until it is."""
        subject = self._events.get(key)
        if subject is None:
            return None
        if (left := self._left(subject)) > 0:
            return left
        try:
            await self._api.delete(partial.AgedEvent, key.name, namespace=key.namespace, uid=subject.metadata.uid)
        except (errors.NotFound, errors.Conflict):
            return None
        return None

    def _changed(self, old: partial.AgedEvent | None, new: partial.AgedEvent | None) -> None:
        # One that is said again is looked at when its first time is over.
        if old is None and new is not None:
            # There may be many, and hardly one is old when it comes.
            self._loop.add_after(new.key, self._left(new))

    def _left(self, subject: partial.AgedEvent) -> float:
        """Seconds until it is old."""
        for said in (subject.lastTimestamp, subject.firstTimestamp, subject.metadata.creationTimestamp):
            try:
                return self._ttl - (self._clock.now() - clock.parse(said or "")).total_seconds()
            except (ValueError, TypeError):
                # A time that is none, or of no zone: the server's own is the last.
                continue
        return 0.0
