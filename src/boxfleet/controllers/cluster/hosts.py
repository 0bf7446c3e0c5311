"""Step 6: the hosts of a foreign cluster, shown as Nodes."""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from boxfleet.api import labels, meta, node
from boxfleet.client import client, errors
from boxfleet.kit import clock
from boxfleet.ports import cluster as ports

# The longest name of a Node.
_LONGEST = 253


def name_of(cluster: str, host: str) -> str:
    """The Node that shows a host: names of hosts of different clusters never meet."""
    name = f"{cluster}.{host}".lower()
    if len(name) > _LONGEST:
        return f"{name[: _LONGEST - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return name


def node_of(cluster: str, host: ports.Node, *, now: str, old: node.Node | None, reachable: bool) -> dict[str, Any]:
    """The Node as JSON data; a time moves only with what it tells."""
    ready = "Unknown" if not reachable else "True" if host.ready else "False"
    reasons = {"True": "ClusterReady", "False": "NotReadyThere", "Unknown": "ClusterUnreachable"}
    messages = {
        "True": f"Cluster {cluster} says that it is ready",
        "False": f"Cluster {cluster} says that it is not ready",
        "Unknown": f"Cluster {cluster} does not answer",
    }
    before = meta.find_condition(old.status.conditions, "Ready") if old is not None else None
    since = before.lastTransitionTime if before is not None and before.status == ready else now
    own = {labels.CLUSTER: cluster, labels.MIRRORED: "true"}
    info = msgspec.to_builtins(node.NodeSystemInfo()) | dict(host.info)
    return {
        "metadata": {
            "name": name_of(cluster, host.name),
            "labels": _labels(host.labels) | own,
            "annotations": {labels.NAME_THERE: host.name},
        },
        "spec": {
            "unschedulable": host.unschedulable,
            # Bare Pods that tolerate everything else go to hosts with an agent.
            "taints": [{"key": labels.MIRRORED, "value": "true", "effect": "NoSchedule"}],
        },
        "status": {
            "capacity": dict(host.capacity),
            "allocatable": dict(host.allocatable),
            "addresses": list(host.addresses),
            "nodeInfo": info,
            "conditions": [
                {
                    "type": "Ready",
                    "status": ready,
                    "reason": reasons[ready],
                    "message": messages[ready],
                    "lastTransitionTime": since,
                    "lastHeartbeatTime": since,
                }
            ],
        },
    }


class Hosts:
    """Keeps the Nodes of one cluster equal to its hosts."""

    def __init__(self, api: client.Client, cluster: str, *, clock: clock.Clock) -> None:
        self._api = api
        self._cluster = cluster
        self._clock = clock
        # What each Node was last given, so that only changes are written.
        self._given: dict[str, bytes] = {}

    async def put(self, hosts: Mapping[str, ports.Node], *, known: Mapping[str, node.Node], reachable: bool) -> None:
        """Write what differs. `hosts` and `known` are by name of the Node. Raises ApiError."""
        for name, host in hosts.items():
            old = known.get(name)
            now = clock.stamp(self._clock.now())
            wanted = node_of(self._cluster, host, now=now, old=old, reachable=reachable)
            text = msgspec.json.encode(wanted, order="deterministic")
            if old is not None and self._given.get(name) == text:
                continue
            if old is None:
                body = {"apiVersion": "v1", "kind": "Node", **wanted}
                body.pop("status")
                await self._create(body)
            else:
                await self._api.patch(node.Node, name, {"metadata": wanted["metadata"], "spec": wanted["spec"]})
            await self._api.patch(node.Node, name, {"status": wanted["status"]}, subresource="status")
            self._given[name] = text
        for name in known.keys() - hosts.keys():
            self._given.pop(name, None)
            try:
                await self._api.delete(node.Node, name, uid=known[name].metadata.uid)
            except errors.NotFound:
                continue

    async def _create(self, body: dict[str, Any]) -> None:
        try:
            await self._api.create_raw(node.Node, body)
        except errors.AlreadyExists:
            # The cache was behind.
            metadata = {key: body["metadata"][key] for key in ("labels", "annotations")}
            change = {"metadata": metadata, "spec": body["spec"]}
            await self._api.patch(node.Node, body["metadata"]["name"], change)


def _labels(given: Mapping[str, str]) -> dict[str, str]:
    """The host's own labels, without those that would say it is one of ours."""
    return {key: value for key, value in given.items() if not key.startswith("boxfleet.dev/")}
