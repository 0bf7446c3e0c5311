"""A Boxfleet of three hosts for a module's tests, and what they ask of it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from boxfleet.testing import fleet as fleets
from boxfleet.testing import hosts, tools

SLEEPER = ["sleep", "100000"]


@pytest.fixture(scope="module")
def bed() -> Iterator[hosts.Bed]:
    made = hosts.Bed(3)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def box(name: str, command: list[str], *, replicas: int, more: dict[str, Any] | None = None) -> str:
    container = {"name": "main", "image": tools.IMAGE, "command": command}
    spec = {"terminationGracePeriodSeconds": 1, "containers": [container]}
    unit = {"replicas": replicas, "template": {"spec": spec}} | (more or {})
    metadata = {"name": name, "namespace": "default"}
    return json.dumps(
        {"apiVersion": "boxfleet.dev/v1", "kind": "Box", "metadata": metadata, "spec": {"units": {"web": unit}}}
    )


def deliver(
    bed: hosts.Bed, name: str, command: list[str], *, replicas: int, more: dict[str, Any] | None = None
) -> None:
    bed.kubectl("apply", "-f", "-", stdin=box(name, command, replicas=replicas, more=more))
    fleets.eventually(lambda: len(ready(bed, name)) == replicas, within=90, what=f"{name} is Ready")


def remove(bed: hosts.Bed, name: str) -> None:
    bed.kubectl("delete", "box", name, "--wait=false")
    fleets.eventually(lambda: not pods(bed, name), within=90, what=f"{name} is gone")


def pods(bed: hosts.Bed, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = bed.get("pods", "-l", f"boxfleet.dev/box={name}")["items"]
    return found


def ready(bed: hosts.Bed, name: str) -> dict[str, str]:
    """The nodes of its instances that are Ready."""
    return {
        pod["metadata"]["name"]: pod["spec"]["nodeName"]
        for pod in pods(bed, name)
        if not pod["metadata"].get("deletionTimestamp")
        and any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))
    }


def addresses(bed: hosts.Bed, name: str) -> dict[str, str]:
    return {pod["metadata"]["name"]: pod["status"].get("podIP", "") for pod in pods(bed, name)}
