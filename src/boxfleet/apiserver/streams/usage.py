"""metrics.k8s.io: what nodes and instances use, as their agents measure it when somebody asks."""

import asyncio
import datetime
import math
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from boxfleet.api import kind, node, pod, tunnel, usage
from boxfleet.apiserver import faults, registry, route, selectors
from boxfleet.apiserver.streams import agents, streams
from boxfleet.kit import clock, quantity

# An agent that has not answered after this is left out of lists (seconds).
_PATIENCE: Final = 8.0
_REPORT: Final = msgspec.json.Decoder(tunnel.UsageReport)

JsonObject = dict[str, Any]


class Usage:
    """Handlers of the two kinds."""

    def __init__(self, connected: agents.Agents, objects: registry.Registry) -> None:
        self._agents = connected
        self._objects = objects

    def routes(self) -> list[route.Route]:
        """Lists and single objects."""
        root = f"/apis/{usage.GROUP}/v1beta1"
        table: list[tuple[str, str, route.Handler, kind.Kind]] = [
            (f"{root}/nodes", "list", self._nodes, usage.NodeMetrics.KIND),
            (f"{root}/nodes/{{name}}", "get", self._node, usage.NodeMetrics.KIND),
            (f"{root}/pods", "list", self._pods, usage.PodMetrics.KIND),
            (f"{root}/namespaces/{{namespace}}/pods", "list", self._pods, usage.PodMetrics.KIND),
            (f"{root}/namespaces/{{namespace}}/pods/{{name}}", "get", self._pod, usage.PodMetrics.KIND),
        ]
        return [
            route.Route(
                method="GET",
                path=path,
                access=route.Access(verb=verb, group=usage.GROUP, resource=of.plural),
                handle=handle,
            )
            for path, verb, handle, of in table
        ]

    async def _nodes(self, call: route.Call) -> route.Answer:
        found = self._selected(call, node.Node.KIND)
        reports = await self._ask(one["metadata"]["name"] for one in found)
        items = [
            _of_node(one["metadata"], reports[one["metadata"]["name"]])
            for one in found
            if one["metadata"]["name"] in reports
        ]
        return _list(usage.NodeMetrics.KIND, items)

    async def _node(self, call: route.Call) -> route.Answer:
        name = call.params["name"]
        found = registry.decode(self._objects.read(node.Node.KIND, namespace="", name=name).value)
        return _json(_of_node(found["metadata"], await self._report(name)))

    async def _pods(self, call: route.Call) -> route.Answer:
        found = [one for one in self._selected(call, pod.Pod.KIND) if one["spec"].get("nodeName")]
        reports = await self._ask({one["spec"]["nodeName"] for one in found})
        items = [_of_pod(one["metadata"], reports.get(one["spec"]["nodeName"])) for one in found]
        # As with the real one: what is not measured (yet) is not listed.
        return _list(usage.PodMetrics.KIND, [one for one in items if one is not None])

    async def _pod(self, call: route.Call) -> route.Answer:
        namespace, name = call.params["namespace"], call.params["name"]
        found = registry.decode(self._objects.read(pod.Pod.KIND, namespace=namespace, name=name).value)
        place = found["spec"].get("nodeName", "")
        item = _of_pod(found["metadata"], await self._report(place)) if place else None
        if item is None:
            raise faults.not_found(usage.PodMetrics.KIND, name)
        return _json(item)

    def _selected(self, call: route.Call, of: kind.Kind) -> list[JsonObject]:
        selection = selectors.parse(of, labels=call.one("labelSelector"), fields=call.one("fieldSelector"))
        prefix = registry.prefix(of, namespace=call.params.get("namespace", ""))
        return [registry.decode(row.value) for row in self._objects.store.range(prefix) if selection.matches(row.value)]

    async def _ask(self, nodes: Iterable[str]) -> dict[str, tunnel.UsageReport]:
        """The reports of those nodes whose agents answer."""
        asked = {name: asyncio.ensure_future(self._report(name)) for name in nodes if self._agents.answers(name)}
        answers = await asyncio.gather(*asked.values(), return_exceptions=True)
        return {
            name: answer for name, answer in zip(asked, answers, strict=True) if isinstance(answer, tunnel.UsageReport)
        }

    async def _report(self, name: str) -> tunnel.UsageReport:
        """One node's figures; raises Fault 503 and 504."""
        try:
            async with asyncio.timeout(_PATIENCE), self._agents.open(name, tunnel.UsageOrder()) as stream:
                while True:
                    channel, data = await stream.receive()
                    if channel == tunnel.Channel.STDOUT and data:
                        return _REPORT.decode(data)
        except streams.Ended as ended:
            raise agents.refusal(ended.status) from None
        except TimeoutError:
            raise faults.unavailable(f"the agent of node {name} did not measure within {_PATIENCE:.0f} s") from None


def _of_node(metadata: JsonObject, report: tunnel.UsageReport) -> JsonObject:
    return {**_head(usage.NodeMetrics.KIND, metadata, report), "usage": _amounts(report.cpu, report.memory)}


def _of_pod(metadata: JsonObject, report: tunnel.UsageReport | None) -> JsonObject | None:
    if report is None:
        return None
    where = (metadata["namespace"], metadata["name"])
    containers = [
        {"name": one.container, "usage": _amounts(one.cpu, one.memory)}
        for one in report.containers
        if (one.namespace, one.pod) == where
    ]
    return {**_head(usage.PodMetrics.KIND, metadata, report), "containers": containers} if containers else None


def _head(of: kind.Kind, metadata: JsonObject, report: tunnel.UsageReport) -> JsonObject:
    at = clock.stamp(datetime.datetime.fromtimestamp(report.at, datetime.UTC))
    kept = {key: metadata[key] for key in ("name", "namespace", "labels") if key in metadata}
    return {
        "kind": of.kind,
        "apiVersion": of.api_version,
        "metadata": {**kept, "creationTimestamp": at},
        "timestamp": at,
        "window": f"{report.seconds:.3f}s",
    }


def _amounts(cpu: float, memory: int) -> dict[str, str]:
    return {"cpu": f"{math.ceil(cpu * 1e9)}n" if cpu else "0", "memory": quantity.from_bytes(memory)}


def _list(of: kind.Kind, items: list[JsonObject]) -> route.Answer:
    return _json({"kind": of.listed, "apiVersion": of.api_version, "metadata": {}, "items": items})


def _json(document: object) -> route.Answer:
    return route.Answer(body=msgspec.json.encode(document))
