"""Probes on real containers."""

import asyncio
import time

import pytest
from tests.integration.agent import bed as beds

from boxfleet.api import pod as pods

pytestmark = [pytest.mark.anyio, pytest.mark.machine]

SERVE = ["perl", "/serve", "8080"]


def main_of(pod: pods.Pod) -> pods.ContainerStatus:
    return pod.status.containerStatuses[0]


async def test_readiness_follows_the_program(bed: beds.Bed) -> None:
    probe = {"httpGet": {"port": "web", "path": "/"}, "periodSeconds": 1, "failureThreshold": 1}
    time.monotonic()
    await bed.pod(
        {
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": "main",
                    "command": SERVE,
                    "ports": [{"name": "web", "containerPort": 8080}],
                    "readinessProbe": probe,
                }
            ],
        }
    )
    pod = await bed.ready()
    await bed.run(pod, "touch", "/tmp/sick")
    pod = await bed.until(lambda pod: not beds.is_ready(pod))
    assert main_of(pod).state.running is not None
    await bed.run(pod, "rm", "/tmp/sick")
    await bed.ready()


async def test_a_liveness_failure_restarts(bed: beds.Bed) -> None:
    probe = {"tcpSocket": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 1, "initialDelaySeconds": 1}
    live = {"exec": {"command": ["sh", "-c", "test ! -e /tmp/sick"]}, "periodSeconds": 1, "failureThreshold": 1}
    await bed.pod(
        {
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "main", "command": SERVE, "readinessProbe": probe, "livenessProbe": live}],
        }
    )
    pod = await bed.ready()
    await bed.run(pod, "touch", "/tmp/sick")
    await bed.until(lambda pod: main_of(pod).restartCount == 1)
    await bed.ready()


async def test_a_startup_probe_holds_the_others_back(bed: beds.Bed) -> None:
    startup = {"exec": {"command": ["cat", "/tmp/up"]}, "periodSeconds": 1, "failureThreshold": 30}
    live = {"exec": {"command": ["cat", "/tmp/up"]}, "periodSeconds": 1, "failureThreshold": 1}
    await bed.pod(
        {
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": "main",
                    "command": ["sh", "-c", "sleep 1.5; touch /tmp/up; sleep 1000"],
                    "startupProbe": startup,
                    "livenessProbe": live,
                }
            ],
        }
    )
    pod = await bed.until(lambda pod: pod.status.containerStatuses and main_of(pod).state.running)
    assert not main_of(pod).started
    pod = await bed.ready()
    assert main_of(pod).started
    await asyncio.sleep(0.1)
    assert main_of(await bed.get()).restartCount == 0
