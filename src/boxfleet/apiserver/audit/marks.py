"""What a Namespace's labels say to the audit: whose it is, and whether sessions in it are recorded."""

from typing import Final

import msgspec

from boxfleet.apiserver import registry
from boxfleet.store import rows

TENANT: Final = "boxfleet.dev/tenant"
# Sessions are recorded where this is "true"; see `guard` for who may change it.
RECORD: Final = "boxfleet.dev/record-sessions"
# Namespaces whose labels are remembered; a namespace that is gone is forgotten with all others.
_REMEMBERED: Final = 10_000


class _Metadata(msgspec.Struct):
    labels: dict[str, str] = {}


class _Namespace(msgspec.Struct):
    metadata: _Metadata


class Marks:
    """Reads labels of Namespaces, decoding each state once."""

    def __init__(self, objects: registry.Registry) -> None:
        self._objects = objects
        self._decoder = msgspec.json.Decoder(_Namespace)
        # The row that was read, and what its labels are.
        self._known: dict[str, tuple[rows.Row, dict[str, str]]] = {}

    def tenant(self, namespace: str) -> str:
        """Whose it is; empty when it is nobody's."""
        return self._labels(namespace).get(TENANT, "")

    def records(self, namespace: str) -> bool:
        """Whether sessions in it are recorded."""
        return self._labels(namespace).get(RECORD) == "true"

    def _labels(self, namespace: str) -> dict[str, str]:
        known = self._known.get(namespace)
        if known is not None and self._objects.store.get(known[0].key) is known[0]:
            return known[1]
        kind = self._objects.kind("namespaces")
        row = self._objects.store.get(registry.key(kind, namespace="", name=namespace)) if kind is not None else None
        if row is None:
            return {}
        if known is None or known[0] is not row:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[namespace] = (row, self._decoder.decode(row.value).metadata.labels)
        return known[1]
