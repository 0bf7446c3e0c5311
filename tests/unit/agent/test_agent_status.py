"""Reports to a real API in process."""

import asyncio
import contextlib
import pathlib

import pytest

from boxfleet.agent import status
from boxfleet.api import meta, namespace
from boxfleet.api import pod as pods
from boxfleet.client import errors
from boxfleet.testing import server

pytestmark = pytest.mark.anyio


async def test_a_report_is_sent_at_once_and_leaves_foreign_conditions_alone(tmp_path: pathlib.Path) -> None:
    async with server.running(tmp_path) as api:
        with contextlib.suppress(errors.AlreadyExists):
            await api.admin.create(namespace.Namespace(metadata=meta.ObjectMeta(name="default")))
        spec = {
            "nodeName": server.NODE,
            "containers": [{"name": "main", "image": "x"}],
            "readinessGates": [{"conditionType": "example.com/g"}],
        }
        made = await api.admin.create_raw(pods.Pod, {"metadata": {"name": "p", "namespace": "default"}, "spec": spec})
        gate = {"status": {"conditions": [{"type": "example.com/g", "status": "True"}]}}
        await api.admin.patch(pods.Pod, "p", gate, namespace="default", subresource="status")
        reporter = status.Reporter(api.node)
        task = asyncio.create_task(reporter.run())
        fresh = pods.PodStatus(
            phase="Running",
            conditions=[meta.Condition(type="Ready", status="True", lastTransitionTime="2026-01-01T00:00:00Z")],
        )
        try:
            # The Pod as it was before the gate was set: the conflict must be noticed.
            reporter.report(made, fresh, urgent=True)
            for _ in range(200):
                found = await api.admin.get(pods.Pod, "p", namespace="default")
                if found.status.phase == "Running":
                    break
                await asyncio.sleep(0.01)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert {one.type: one.status for one in found.status.conditions} == {"example.com/g": "True", "Ready": "True"}
