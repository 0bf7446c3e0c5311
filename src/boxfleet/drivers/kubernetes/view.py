"""What there is of the fleet in the cluster: its Pods and the cluster's hosts, kept by watches."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Final

import msgspec

from boxfleet.api import labels, meta
from boxfleet.drivers.kubernetes import connection, faults, names, pods, settings
from boxfleet.ports import cluster

JsonObject = dict[str, Any]

_PAGE: Final = "500"
# What only that cluster's own parts can make something of.
_FOREIGN_STATUS: Final = (
    "nominatedNodeName",
    "observedGeneration",
    "resourceClaimStatuses",
    "resize",
    "extendedResourceClaimStatus",
)
_FOREIGN_CONDITIONS: Final = ("PodReadyToStartContainers", "PodResizePending", "PodResizeInProgress")


class _Event(msgspec.Struct):
    type: str
    object: JsonObject


_EVENT = msgspec.json.Decoder(_Event)


class View:
    """The fleet's instances and the hosts, as last heard of."""

    def __init__(self, own: settings.Settings, via: connection.Connection) -> None:
        self._own = own
        self._via = via
        self._instances: dict[str, cluster.Instance] = {}
        # The same ones by their Unit, for who asks for one of thousands.
        self._by_unit: dict[meta.Key, dict[str, cluster.Instance]] = {}
        # Names of their Pods there, by incarnation like those.
        self._names: dict[str, str] = {}
        self._nodes: dict[str, cluster.Node] = {}
        self._pods_seen = False
        self._nodes_seen = False

    @property
    def synced(self) -> bool:
        """Whether both watches follow."""
        return self._pods_seen and self._nodes_seen

    def instances(self, key: meta.Key | None = None) -> Sequence[cluster.Instance]:
        """Those of a Unit, or all."""
        return list((self._instances if key is None else self._by_unit.get(key, {})).values())

    def nodes(self) -> Sequence[cluster.Node]:
        """The hosts."""
        return list(self._nodes.values())

    def pod_name(self, namespace: str, name: str, uid: str) -> str | None:
        """The name there of the Pod of an instance of that order."""
        for incarnation, each in self._instances.items():
            if (each.namespace, each.name, each.uid) == (namespace, name, uid):
                return self._names[incarnation]
        return None

    def instance_called(self, namespace: str, pod: str) -> cluster.Instance | None:
        """The instance that a Pod there is, by names there."""
        for incarnation, each in self._instances.items():
            if self._names[incarnation] == pod and names.space_there(self._own, each.namespace) == namespace:
                return each
        return None

    async def run(self, changed: Callable[[meta.Key | None], None]) -> None:
        """Follow until a watch is lost for good; raises a ClusterFault."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow_pods(changed))
                group.create_task(self._follow_nodes(changed))
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        finally:
            self._pods_seen = self._nodes_seen = False

    async def _follow_pods(self, changed: Callable[[meta.Key | None], None]) -> None:
        query = {"labelSelector": f"{names.FLEET}={self._own.fleet}"}
        async with contextlib.aclosing(follow(self._via, names.PODS.path(), query)) as heard:
            async for events in heard:
                touched: set[meta.Key] = set()
                if events.whole:
                    there = {pod["metadata"]["uid"] for pod in events.objects}
                    for uid in self._instances.keys() - there:
                        touched |= self._put(uid, None, "")
                for pod in events.objects:
                    touched |= self._take(pod, gone=events.gone)
                was, self._pods_seen = self.synced, True
                if self.synced and not was:
                    changed(None)
                for key in touched:
                    changed(key)

    def _take(self, pod: JsonObject, *, gone: bool) -> set[meta.Key]:
        metadata = pod["metadata"]
        return self._put(metadata["uid"], None if gone else instance_of(self._own, pod), metadata["name"])

    def _put(self, uid: str, new: cluster.Instance | None, name: str) -> set[meta.Key]:
        """Keep or forget an incarnation; the Units that this changes something of."""
        old = self._instances.pop(uid, None)
        self._names.pop(uid, None)
        if old is not None:
            self._by_unit[_key(old)].pop(uid)
            if not self._by_unit[_key(old)]:
                del self._by_unit[_key(old)]
        if new is not None:
            self._instances[uid] = new
            self._names[uid] = name
            self._by_unit.setdefault(_key(new), {})[uid] = new
        return set() if old == new else {_key(each) for each in (old, new) if each is not None}

    async def _follow_nodes(self, changed: Callable[[meta.Key | None], None]) -> None:
        try:
            async with contextlib.aclosing(follow(self._via, names.NODES.path(), {})) as heard:
                async for events in heard:
                    before = self._nodes
                    found = {each["metadata"]["name"]: node_of(each) for each in events.objects}
                    if events.whole:
                        self._nodes = found
                    elif events.gone:
                        self._nodes = {name: each for name, each in before.items() if name not in found}
                    else:
                        self._nodes = before | found
                    was, self._nodes_seen = self.synced, True
                    if before != self._nodes or self.synced != was:
                        changed(None)
        except cluster.Denied:
            # Its owner does not show them; whether the credentials are good shows on the Pods.
            self._nodes = {}
            self._nodes_seen = True
            changed(None)


class Events(msgspec.Struct, frozen=True):
    """Objects: all that there are, or some that came, changed, or are gone."""

    objects: list[JsonObject]
    whole: bool = False
    gone: bool = False


async def follow(via: connection.Connection, path: str, query: dict[str, str]) -> AsyncGenerator[Events, None]:
    """All objects of a list, then what happens to them; a watch that ends goes on where it was, or from a new list."""
    while True:
        revision, objects = await _list(via, path, query)
        yield Events(objects, whole=True)
        with contextlib.suppress(faults.Expired):
            while True:
                asked = query | {
                    "watch": "true",
                    "allowWatchBookmarks": "true",
                    "resourceVersion": revision,
                    "timeoutSeconds": str(connection.WATCH),
                }
                async with contextlib.aclosing(via.lines(path, query=asked)) as lines:
                    async for line in lines:
                        try:
                            event = _EVENT.decode(line)
                        except msgspec.MsgspecError:
                            raise cluster.Unreachable(f"cannot follow {path}: a line that is no event") from None
                        if event.type == "ERROR":
                            raise faults.of_event(event.object, what=f"follow {path}")
                        revision = event.object["metadata"]["resourceVersion"]
                        if event.type != "BOOKMARK":
                            yield Events([event.object], gone=event.type == "DELETED")


async def _list(via: connection.Connection, path: str, query: dict[str, str]) -> tuple[str, list[JsonObject]]:
    asked = query | {"limit": _PAGE}
    found: list[JsonObject] = []
    while True:
        page = await via.call("GET", path, query=asked)
        found += page.get("items") or []
        token = page["metadata"].get("continue")
        if not token:
            return page["metadata"]["resourceVersion"], found
        asked["continue"] = token


def instance_of(own: settings.Settings, pod: JsonObject) -> cluster.Instance | None:
    """A Pod as the port tells it; None for one that is none of the fleet's, or that has ended and is kept away."""
    metadata = pod["metadata"]
    namespace = names.space_here(own, metadata["namespace"])
    unit = (metadata.get("labels") or {}).get(labels.UNIT, "")
    name = pods.instance_name(pod)
    if namespace is None or not unit or not name or pods.is_away(pod):
        return None
    return cluster.Instance(
        namespace=namespace,
        unit=unit,
        name=name,
        uid=pods.order(pod),
        incarnation=metadata["uid"],
        node=pod["spec"].get("nodeName") or "",
        leaving=bool(metadata.get("deletionTimestamp")),
        status=_status(pod.get("status") or {}),
    )


def node_of(node: JsonObject) -> cluster.Node:
    """A Node as the port tells it."""
    status = node.get("status") or {}
    conditions = {each["type"]: each["status"] for each in status.get("conditions") or []}
    return cluster.Node(
        name=node["metadata"]["name"],
        labels=node["metadata"].get("labels") or {},
        capacity=status.get("capacity") or {},
        allocatable=status.get("allocatable") or {},
        ready=conditions.get("Ready") == "True",
        unschedulable=bool((node.get("spec") or {}).get("unschedulable")),
        info=status.get("nodeInfo") or {},
        addresses=status.get("addresses") or [],
    )


def _status(status: JsonObject) -> JsonObject:
    kept = {name: value for name, value in status.items() if name not in _FOREIGN_STATUS}
    if "conditions" in kept:
        kept["conditions"] = [each for each in kept["conditions"] if each.get("type") not in _FOREIGN_CONDITIONS]
    return kept


def _key(instance: cluster.Instance) -> meta.Key:
    return meta.Key(instance.namespace, instance.unit)
