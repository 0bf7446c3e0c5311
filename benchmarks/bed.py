"""A Boxfleet of its own for benchmarks: started by the command, asked through the API, purged at the end."""

import asyncio
import contextlib
import dataclasses
import pathlib
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator
from typing import Any

from boxfleet.api import box, meta, pod
from boxfleet.client import client as clients
from boxfleet.client import http
from boxfleet.testing import fleet as fleets
from boxfleet.testing import tools


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bed:
    """What a benchmark works with."""

    fleet: fleets.Fleet
    client: clients.Client


@contextlib.asynccontextmanager
async def home(*, image_cache: pathlib.Path | None = None) -> AsyncIterator[fleets.Fleet]:
    """A place for a Boxfleet that is not started; nothing of it stays but built images in a cache that is given."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    fleet = fleets.Fleet(
        environment={
            "BOXFLEET_STATE": "/var/lib/boxfleet-bench",
            "BOXFLEET_RUN": "/run/boxfleet-bench",
            "BOXFLEET_PORT": str(port),
            "BOXFLEET_BRIDGE": "bfbench0",
            "BOXFLEET_CIDR": "10.96.0.0/16",
            "BOXFLEET_CGROUP_PARENT": "/boxfleet-bench",
        }
        | ({"BOXFLEET_IMAGE_CACHE": str(image_cache)} if image_cache is not None else {}),
        state=pathlib.Path("/var/lib/boxfleet-bench"),
        run_directory=pathlib.Path("/run/boxfleet-bench"),
    )
    try:
        yield fleet
    finally:
        await asyncio.to_thread(fleet.boxfleet, "down", "--purge")


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[Bed]:
    """An empty Boxfleet that runs, with the image of `testing.tools`."""
    async with home() as fleet:
        await asyncio.to_thread(fleet.boxfleet, "up")
        with tempfile.NamedTemporaryFile(suffix=".tar") as archive:
            archive.write(tools.archive())
            archive.flush()
            await asyncio.to_thread(fleet.boxfleet, "image", "import", archive.name)
        url = f"https://127.0.0.1:{fleet.environment['BOXFLEET_PORT']}"
        client = clients.Client(http.Http(url, token=_token(fleet), authority=fleet.state / "pki" / "ca.crt"))
        try:
            yield Bed(fleet=fleet, client=client)
        finally:
            await client.close()


def _token(fleet: fleets.Fleet) -> str:
    return subprocess.run(
        [
            "kubectl",
            "--kubeconfig",
            str(fleet.kubeconfig),
            "config",
            "view",
            "--raw",
            "-o",
            "jsonpath={.users[0].user.token}",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def unit(
    command: list[str], *, replicas: int = 1, probe: dict[str, Any] | None = None, after: str = ""
) -> dict[str, Any]:
    """One Unit of a Box that runs a command of the test image."""
    container: dict[str, Any] = {"name": "main", "image": tools.IMAGE, "command": command}
    if probe:
        container["readinessProbe"] = probe
    return {
        "replicas": replicas,
        "dependsOn": [{"unit": after}] if after else [],
        "template": {"spec": {"terminationGracePeriodSeconds": 0, "containers": [container]}},
    }


async def deliver(client: clients.Client, name: str, units: dict[str, Any]) -> None:
    """Create a Box in the namespace default."""
    await client.create_raw(box.Box, {"metadata": {"name": name, "namespace": "default"}, "spec": {"units": units}})


async def remove(client: clients.Client, name: str) -> None:
    """Delete a Box and wait until its Pods are gone."""
    await client.delete(box.Box, name, namespace="default")
    while (await client.list(pod.Pod, namespace="default", labels=f"boxfleet.dev/box={name}")).items:
        await asyncio.sleep(0.05)


def is_ready(one: Any) -> bool:
    """Whether the condition Ready is True."""
    return meta.is_true(one.status.conditions, "Ready")
