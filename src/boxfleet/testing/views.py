"""Objects for tests of what people are shown."""

import datetime
from typing import Any

import msgspec

from boxfleet.api import box, event, meta, node, pod, unit

NOW = datetime.datetime(2030, 1, 1, 12, 0, tzinfo=datetime.UTC)


def stamp(seconds_ago: float) -> str:
    """A time before NOW, as the API writes it."""
    return (NOW - datetime.timedelta(seconds=seconds_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(status: str, reason: str = "", message: str = "", *, ago: float = 10, type: str = "Ready") -> Any:
    """A condition as JSON."""
    return {"type": type, "status": status, "reason": reason, "message": message, "lastTransitionTime": stamp(ago)}


def a_pod(
    name: str, *, of: str = "shop-db", node: str = "one", conditions: list[Any] | None = None, **status: Any
) -> pod.Pod:
    """An instance that runs; `status` adds to its status."""
    labels = {"boxfleet.dev/unit": of, "boxfleet.dev/ordinal": name.rpartition("-")[2]} if of else {}
    return msgspec.convert(
        {
            "metadata": {
                "name": name,
                "namespace": "default",
                "uid": name,
                "labels": labels,
                "creationTimestamp": stamp(300),
                "annotations": {"boxfleet.dev/address": "10.88.0.9"},
            },
            "spec": {
                "nodeName": node,
                "containers": [{"name": "main", "ports": [{"name": "http", "containerPort": 8080}]}],
            },
            "status": {"phase": "Running", "conditions": conditions or [], **status},
        },
        pod.Pod,
    )


def ready_pod(name: str, **more: Any) -> pod.Pod:
    """An instance that is Ready."""
    return a_pod(name, conditions=[condition("True")], podIP="10.88.0.9", **more)


def waiting(reason: str, message: str = "", *, name: str = "main") -> dict[str, Any]:
    """A container status that waits."""
    return {"name": name, "restartCount": 4, "state": {"waiting": {"reason": reason, "message": message}}}


def a_unit(short: str, ready: Any, *, replicas: int = 1, of: str = "shop") -> unit.Unit:
    """A Unit with its Ready condition."""
    return msgspec.convert(
        {
            "metadata": {"name": f"{of}-{short}" if of else short, "namespace": "default"},
            "spec": {"box": of, "replicas": replicas, "template": {}},
            "status": {"conditions": [ready], "domain": f"{short}.{of}.default.fleet.internal"},
        },
        unit.Unit,
    )


def a_box(ready: Any, *shorts: str) -> box.Box:
    """A Box of these Units with its Ready condition."""
    return msgspec.convert(
        {
            "metadata": {"name": "shop", "namespace": "default", "creationTimestamp": stamp(300)},
            "spec": {"units": {short: {"template": {}} for short in shorts}},
            "status": {"conditions": [ready], "ready": f"0/{len(shorts)}"},
        },
        box.Box,
    )


def warning(about: meta.Object, reason: str, message: str, *, count: int = 1) -> event.Event:
    """A warning about an object."""
    return msgspec.convert(
        {
            "metadata": {"name": reason.lower()},
            "involvedObject": {"name": about.metadata.name, "uid": about.metadata.uid},
            "type": "Warning",
            "reason": reason,
            "message": message,
            "count": count,
            "lastTimestamp": stamp(1),
        },
        event.Event,
    )


def a_node(*conditions: Any) -> node.Node:
    """A node with these conditions."""
    return msgspec.convert(
        {"metadata": {"name": "one"}, "status": {"conditions": list(conditions), "allocatable": {"pods": "110"}}},
        node.Node,
    )
