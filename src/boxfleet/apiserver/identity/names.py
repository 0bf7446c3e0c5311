"""Which node a certificate may be for: a name is claimed by making its Node, and freed by deleting that.

Whoever brings a join token may have a name that no living node has; an agent renews its own.
"""

import datetime
from typing import Any

import msgspec

from boxfleet.api import labels, lease, node, wellknown
from boxfleet.apiserver import authz, registry
from boxfleet.apiserver.identity import join_tokens
from boxfleet.kit import clock as clocks
from boxfleet.kit import ids
from boxfleet.store import store as stores

JsonObject = dict[str, Any]


class Taken(Exception):
    """The name belongs to a node that is alive; the text says what to do."""


class _Meta(msgspec.Struct):
    uid: str


class _Object(msgspec.Struct):
    metadata: _Meta


class NodeNames:
    """Claims of names of nodes."""

    def __init__(self, store: stores.Store, tokens: join_tokens.JoinTokens, *, clock: clocks.Clock) -> None:
        self._store = store
        self._tokens = tokens
        self._clock = clock

    def may_have(self, spec: JsonObject, host: str) -> bool:
        """Whether a request is approved by itself: its maker is that node, or was given a token to join."""
        maker = spec.get("username", "")
        return maker == authz.NODE_USER + host or self._tokens.lets_join(maker, spec.get("groups") or (), host)

    async def claim(self, spec: JsonObject, host: str, *, approved: bool) -> str:
        """The uid of the Node, made if it is not there; raises Taken, `errors.Conflict`."""
        maker = spec.get("username", "")
        where = registry.key(node.Node.KIND, namespace="", name=host)
        row = self._store.get(where)
        renewal = maker == authz.NODE_USER + host
        if row is None and renewal:
            # Its Node went after it had asked.
            raise Taken(f"there is no Node {host} any more: join again with a token")
        free = row is None or renewal or approved or self._tokens.is_host(maker, host)
        if not free and self._is_alive(host):
            raise Taken(f"there is a node {host}, and it is alive: choose another name, or delete that Node first")
        marks = None if renewal else self._tokens.check_use(maker, host)
        if row is None:
            now = self._clock.now()
            row = await self._store.write(where, lambda revision: _node(host, now, revision, marks), expected=0)
        if not renewal:
            await self._tokens.use(maker)
        return msgspec.json.decode(row.value, type=_Object).metadata.uid

    def _is_alive(self, host: str) -> bool:
        row = self._store.get(registry.key(lease.Lease.KIND, namespace=labels.LEASE_NAMESPACE, name=host))
        if row is None:
            return False
        spec = msgspec.json.decode(row.value, type=lease.Lease).spec
        if not spec.renewTime:
            return False
        seconds = spec.leaseDurationSeconds or 40
        return self._clock.now() - clocks.parse(spec.renewTime) < datetime.timedelta(seconds=seconds)


def _node(host: str, now: datetime.datetime, revision: int, marks: join_tokens.Marks | None) -> bytes:
    """A Node that its agent fills in when it comes."""
    return msgspec.json.encode(
        {
            "kind": node.Node.KIND.kind,
            "apiVersion": node.Node.KIND.api_version,
            "metadata": {
                "name": host,
                "uid": ids.new_uid(),
                "resourceVersion": str(revision),
                "generation": 1,
                "creationTimestamp": clocks.stamp(now),
                "labels": (marks.labels if marks is not None else {})
                | {labels.HOSTNAME: host, labels.CLUSTER: wellknown.CLUSTER},
            },
            "spec": {"taints": msgspec.to_builtins(marks.taints)} if marks is not None and marks.taints else {},
            "status": {},
        }
    )
