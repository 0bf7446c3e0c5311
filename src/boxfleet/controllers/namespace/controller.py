"""The Namespace controller's loop."""

from boxfleet.api import meta, namespace
from boxfleet.client import client, loop, shared
from boxfleet.controllers import partial, settings
from boxfleet.controllers.namespace import empty, provide
from boxfleet.kit import clock

# Seconds between looks at a Namespace that is not empty yet; objects that go bring it back sooner.
_AGAIN = 1.0


class NamespaceController:
    """Fills new Namespaces and empties old ones."""

    def __init__(
        self, api: client.Client, caches: shared.Caches, *, clock: clock.Clock, settings: settings.Settings
    ) -> None:
        self._api = api
        self._clock = clock
        self._concurrency = settings.concurrency
        self._namespaces = caches.of(namespace.Namespace)
        self._accounts = caches.of(partial.by_name("ServiceAccount"))
        self._loop: loop.Loop[str] = loop.Loop("namespace", self.reconcile)
        self.run = self._loop.run
        self._namespaces.listen(self._changed)
        for kind in partial.KINDS:
            if kind.KIND.namespaced:
                caches.of(kind).listen(self._content_changed)

    async def reconcile(self, name: str) -> float | None:
        """Make one Namespace right."""
        subject = self._namespaces.find(name)
        if subject is None:
            return None
        if not subject.metadata.deletionTimestamp:
            if self._accounts.find(provide.NAME, namespace=name) is None:
                await provide.provide(self._api, subject)
            return None
        if empty.FINALIZER not in subject.spec.finalizers:
            return None
        remaining = await empty.empty(self._api, subject, concurrency=self._concurrency)
        if not remaining:
            await empty.finalize(self._api, subject)
            return None
        await empty.report(self._api, subject, remaining, now=clock.stamp(self._clock.now()))
        return _AGAIN

    def _changed(self, old: namespace.Namespace | None, new: namespace.Namespace | None) -> None:
        if new is not None:
            self._loop.add(new.metadata.name)

    def _content_changed(self, old: meta.Object | None, new: meta.Object | None) -> None:
        # Only what went can make a difference: the last object of a Namespace, or its ServiceAccount.
        if old is None or new is not None:
            return
        subject = self._namespaces.find(old.metadata.namespace)
        if subject is not None and (subject.metadata.deletionTimestamp or old.KIND.kind == "ServiceAccount"):
            self._loop.add(subject.metadata.name)
