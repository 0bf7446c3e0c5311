"""The loop that gives every Namespace the authorities of the API."""

from typing import Any

from boxfleet.api import config, meta, namespace, wellknown
from boxfleet.client import client, errors, loop, shared
from boxfleet.controllers import partial, settings

_KEY = wellknown.ROOT_CA_KEY
_ANNOTATIONS = {
    "kubernetes.io/description": "Contains a CA bundle that can be used to verify the API server when using internal "
    "endpoints such as the internal service IP. No other usage is guaranteed across distributions."
}


class RootAuthority:
    """Keeps `kube-root-ca.crt`. Does nothing where the authorities are not known."""

    def __init__(self, api: client.Client, caches: shared.Caches, *, settings: settings.Settings) -> None:
        self._api = api
        self._authority = settings.authority
        self._namespaces = caches.of(namespace.Namespace)
        self._loop: loop.Loop[str] = loop.Loop("root authority", self.reconcile)
        self.run = self._loop.run
        if self._authority:
            self._namespaces.listen(self._namespace_changed)
            # Of all ConfigMaps only the metadata is kept: the few that matter are read when they change.
            caches.of(partial.by_name("ConfigMap")).listen(self._map_changed)

    async def reconcile(self, name: str) -> None:
        """Make it right in one Namespace."""
        subject = self._namespaces.find(name)
        if subject is None or subject.metadata.deletionTimestamp:
            return
        found = await self._api.find(config.ConfigMap, wellknown.ROOT_CA, namespace=name)
        wanted = {_KEY: self._authority}
        if found is None:
            info = meta.ObjectMeta(name=wellknown.ROOT_CA, namespace=name, annotations=_ANNOTATIONS)
            try:
                await self._api.create(config.ConfigMap(metadata=info, data=wanted))
            except errors.AlreadyExists:
                self._loop.add(name)
        elif found.data != wanted or found.binaryData:
            strange: dict[str, Any] = dict.fromkeys(found.data.keys() - {_KEY})
            change = {
                "metadata": {"uid": found.metadata.uid},
                "data": {**strange, **wanted},
                "binaryData": None,
            }
            await self._api.patch(config.ConfigMap, wellknown.ROOT_CA, change, namespace=name)

    def _namespace_changed(self, old: namespace.Namespace | None, new: namespace.Namespace | None) -> None:
        if old is None and new is not None:
            self._loop.add(new.metadata.name)

    def _map_changed(self, old: meta.Object | None, new: meta.Object | None) -> None:
        subject = new or old
        if subject is not None and subject.metadata.name == wellknown.ROOT_CA:
            self._loop.add(subject.metadata.namespace)
