"""What concerns a node: the Pods bound to it, and what they may need.

An agent speaks for one node. Whoever takes its host over must not thereby have the others', nor what their instances
are trusted with.
"""

from collections.abc import Iterator
from typing import Protocol

import msgspec

from boxfleet.api import labels
from boxfleet.apiserver import registry


class NodeScope(Protocol):
    """Answers about the Pods of a node."""

    def has_pod(self, node: str, *, namespace: str, name: str) -> bool:
        """Whether a Pod is bound to the node; also yes for one that is not there, so that this can be found out."""

    def is_in(self, node: str, *, namespace: str) -> bool:
        """Whether any Pod of the namespace is bound to the node."""

    def keeps_claim(self, node: str, *, namespace: str, name: str) -> bool:
        """Whether a claim's data is on the node, or it has none yet and a Pod there uses it; yes for none at all."""


class _Claim(msgspec.Struct):
    claimName: str = ""


class _Volume(msgspec.Struct):
    persistentVolumeClaim: _Claim | None = None


class _Spec(msgspec.Struct):
    nodeName: str = ""
    volumes: list[_Volume] = []


class _Pod(msgspec.Struct):
    spec: _Spec


class _Meta(msgspec.Struct):
    annotations: dict[str, str] = {}


class _Object(msgspec.Struct):
    metadata: _Meta


_pods = msgspec.json.Decoder(_Pod)
_objects = msgspec.json.Decoder(_Object)


class InStore:
    """Implements NodeScope on what the API keeps."""

    def __init__(self, objects: registry.Registry) -> None:
        self._objects = objects

    def has_pod(self, node: str, *, namespace: str, name: str) -> bool:
        """By the Pod's spec."""
        value = self._value("pods", namespace, name)
        return value is None or _pods.decode(value).spec.nodeName == node

    def is_in(self, node: str, *, namespace: str) -> bool:
        """The first Pod decides."""
        return next(self._pods_on(node, namespace), None) is not None

    def keeps_claim(self, node: str, *, namespace: str, name: str) -> bool:
        """By the claim's annotation, else by the Pods that use it."""
        value = self._value("persistentvolumeclaims", namespace, name)
        if value is None:
            return True
        chosen = _objects.decode(value).metadata.annotations.get(labels.SELECTED_NODE, "")
        if chosen:
            return chosen == node
        used = (volume.persistentVolumeClaim for pod in self._pods_on(node, namespace) for volume in pod.spec.volumes)
        return any(claim is not None and claim.claimName == name for claim in used)

    def _pods_on(self, node: str, namespace: str) -> Iterator[_Pod]:
        kind = self._objects.kind("pods")
        if kind is None or not namespace:
            return
        for row in self._objects.store.range(registry.prefix(kind, namespace=namespace)):
            pod = _pods.decode(row.value)
            if pod.spec.nodeName == node:
                yield pod

    def _value(self, plural: str, namespace: str, name: str) -> bytes | None:
        kind = self._objects.kind(plural)
        row = self._objects.store.get(registry.key(kind, namespace=namespace, name=name)) if kind is not None else None
        return row.value if row is not None else None
