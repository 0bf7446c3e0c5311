"""Step 3: shares as complete orders."""

from collections.abc import Mapping
from typing import Any

from boxfleet.api import config, labels, meta, placement, pod, volume_claim
from boxfleet.client import client, errors
from boxfleet.planning import pod_volumes, shares
from boxfleet.ports import cluster as ports

_KINDS: Mapping[str, type[meta.Object]] = {
    "config_maps": config.ConfigMap,
    "secrets": config.Secret,
    "claims": volume_claim.PersistentVolumeClaim,
}


class Orders:
    """Reads whole Pods and what they name. A Pod's spec never changes, so each is read once."""

    def __init__(self, api: client.Client) -> None:
        self._api = api
        self._read: dict[str, dict[str, Any]] = {}

    async def share(self, subject: placement.Placement, wanted: shares.Wanted) -> ports.Share:
        """The share with all its orders. Raises ApiError."""
        memory: dict[tuple[type[meta.Object], str], dict[str, Any] | None] = {}
        orders = {ordinal: await self._order(each, memory) for ordinal, each in wanted.orders.items()}
        return ports.Share(
            namespace=subject.metadata.namespace,
            unit=subject.spec.unit,
            box=subject.metadata.labels.get(labels.BOX, ""),
            ordinals=subject.spec.ordinals,
            orders=orders,
            grace=wanted.grace,
        )

    def forget(self, uid: str) -> None:
        """The Pod is gone."""
        self._read.pop(uid, None)

    async def _order(
        self, subject: pod.Pod, memory: dict[tuple[type[meta.Object], str], dict[str, Any] | None]
    ) -> ports.Order:
        metadata = subject.metadata
        spec = self._read.get(metadata.uid)
        if spec is None:
            path = client.path_of(pod.Pod, namespace=metadata.namespace, name=metadata.name)
            spec = self._read[metadata.uid] = (await self._api.call("GET", path))["spec"]
        needed = pod_volumes.references(subject.spec)
        found: dict[str, dict[str, Any]] = {}
        for part, kind in _KINDS.items():
            found[part] = {}
            for name in getattr(needed, part):
                if (kind, name) not in memory:
                    memory[kind, name] = await self._find(kind, metadata.namespace, name)
                # What is missing is left out: the driver knows whether the Pod can do without.
                if (known := memory[kind, name]) is not None:
                    found[part][name] = known
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": metadata.name,
                "namespace": metadata.namespace,
                "uid": shares.mark_of(subject),
                "labels": metadata.labels,
                "annotations": metadata.annotations,
            },
            "spec": {key: value for key, value in spec.items() if key not in ("nodeName", "schedulerName")},
        }
        return ports.Order(pod=body, **found)

    async def _find(self, kind: type[meta.Object], namespace: str, name: str) -> dict[str, Any] | None:
        try:
            return await self._api.call("GET", client.path_of(kind, namespace=namespace, name=name))
        except errors.NotFound:
            return None
