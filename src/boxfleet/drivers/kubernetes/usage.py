"""What hosts and instances use: from the cluster's metrics server, else from the kubelet where that is allowed."""

import datetime
import time
from typing import Any, Final

from boxfleet.api import tunnel
from boxfleet.drivers.kubernetes import connection, faults, names, settings, view
from boxfleet.kit import quantity
from boxfleet.ports import cluster

JsonObject = dict[str, Any]

_METRICS: Final = "/apis/metrics.k8s.io/v1beta1"


async def measure(own: settings.Settings, via: connection.Connection, seen: view.View, node: str) -> tunnel.UsageReport:
    """What a host and the fleet's instances there use. Raises Unsupported."""
    try:
        return await _metrics(own, via, seen, node)
    except (faults.NotFound, cluster.Denied, cluster.Unreachable):
        # Without a metrics server its kind is not there, or its API answers 503.
        pass
    try:
        return _summary(await via.call("GET", f"{names.NODES.path(name=node)}/proxy/stats/summary"), seen)
    except (faults.NotFound, cluster.Denied):
        raise cluster.Unsupported(
            "the cluster has no metrics server, and its kubelets may not be asked: install metrics-server there, or "
            "apply `boxfleet cluster rbac --kubelet-summaries`"
        ) from None


async def _metrics(
    own: settings.Settings, via: connection.Connection, seen: view.View, node: str
) -> tunnel.UsageReport:
    host = await via.call("GET", f"{_METRICS}/nodes/{node}")
    listed = await via.call("GET", f"{_METRICS}/pods", query={"labelSelector": f"{names.FLEET}={own.fleet}"})
    containers = []
    for pod in listed.get("items") or []:
        instance = seen.instance_called(pod["metadata"]["namespace"], pod["metadata"]["name"])
        if instance is not None and instance.node == node:
            containers += [
                tunnel.ContainerReport(
                    namespace=instance.namespace,
                    pod=instance.name,
                    container=each["name"],
                    cpu=_amount(each, "cpu"),
                    memory=int(_amount(each, "memory")),
                )
                for each in pod.get("containers") or []
            ]
    return tunnel.UsageReport(
        at=datetime.datetime.fromisoformat(host["timestamp"]).timestamp(),
        seconds=_seconds(str(host.get("window") or "")),
        cpu=_amount(host, "cpu"),
        memory=int(_amount(host, "memory")),
        containers=containers,
    )


def _amount(source: JsonObject, name: str) -> float:
    return float(quantity.parse(str((source.get("usage") or {}).get(name, "0"))))


def _seconds(window: str) -> float:
    """A duration as Go writes it, such as 1m2.5s."""
    total, number = 0.0, ""
    for letter in window:
        if letter.isdigit() or letter == ".":
            number += letter
        else:
            total += float(number or 0) * {"h": 3600, "m": 60, "s": 1}.get(letter, 0)
            number = ""
    return total or 15.0


def _summary(found: JsonObject, seen: view.View) -> tunnel.UsageReport:
    host = found.get("node") or {}
    containers = []
    for pod in found.get("pods") or []:
        about = pod.get("podRef") or {}
        instance = seen.instance_called(about.get("namespace", ""), about.get("name", ""))
        if instance is not None:
            containers += [
                tunnel.ContainerReport(
                    namespace=instance.namespace,
                    pod=instance.name,
                    container=each["name"],
                    cpu=_cores(each),
                    memory=_working_set(each),
                )
                for each in pod.get("containers") or []
            ]
    return tunnel.UsageReport(
        at=time.time(), seconds=15.0, cpu=_cores(host), memory=_working_set(host), containers=containers
    )


def _cores(source: JsonObject) -> float:
    return float((source.get("cpu") or {}).get("usageNanoCores") or 0) / 1e9


def _working_set(source: JsonObject) -> int:
    return int((source.get("memory") or {}).get("workingSetBytes") or 0)
