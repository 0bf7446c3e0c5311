"""The labels and resources of a Node follow its host, on a real API in process."""

import asyncio
import contextlib
import os
import pathlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from boxfleet.agent import settings
from boxfleet.agent.node import describer
from boxfleet.api import labels, meta, node
from boxfleet.kit import clock
from boxfleet.testing import server

pytestmark = pytest.mark.anyio

RACK = "local.host.boxfleet.dev/rack"
THREADS = "host.boxfleet.dev/cpu.threads"


async def until(test: Callable[[], Any], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        result = test()
        if await result if asyncio.iscoroutine(result) else result:
            return
        assert time.monotonic() < deadline, "not reached in time"
        await asyncio.sleep(0.01)


@pytest.fixture
async def api(tmp_path: pathlib.Path) -> AsyncIterator[server.Api]:
    for name in ("root/proc", "agent", "facts.d"):
        (tmp_path / name).mkdir(parents=True)
    processors(tmp_path, 2)
    async with server.running(tmp_path / "store") as made:
        yield made


def processors(folder: pathlib.Path, count: int) -> None:
    (folder / "root/proc/cpuinfo").write_text("\n\n".join(f"processor : {number}" for number in range(count)))


def describing(api: server.Api, folder: pathlib.Path, **more: Any) -> describer.Describer:
    wish = settings.Settings(
        node=server.NODE,
        state=str(folder / "agent"),
        logs=str(folder / "logs"),
        facts_scripts=str(folder / "facts.d"),
        **more,
    )
    return describer.Describer(
        api.node,
        settings=wish,
        clock=clock.SystemClock(),
        changed=lambda: None,
        root=folder / "root",
        owner=os.getuid(),
    )


def script(folder: pathlib.Path, text: str) -> None:
    path = folder / "facts.d" / "10-rack"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


async def said(api: server.Api) -> dict[str, str]:
    return (await api.admin.get(node.Node, server.NODE)).metadata.labels


async def test_labels_come_go_and_leave_those_of_people_alone(api: server.Api, tmp_path: pathlib.Path) -> None:
    await api.node.create(node.Node(metadata=meta.ObjectMeta(name=server.NODE, labels={labels.HOSTNAME: "h"})))
    await api.admin.patch(node.Node, server.NODE, {"metadata": {"labels": {"team": "x"}}})
    script(tmp_path, "echo rack=12")
    made = describing(api, tmp_path)
    await made.look()
    assert await said(api) == {labels.HOSTNAME: "h", "team": "x", RACK: "12", THREADS: "2"}
    script(tmp_path, "echo oh")
    processors(tmp_path, 4)
    # Also one that starts anew knows what the last one said.
    made = describing(api, tmp_path)
    await made.look()
    assert await said(api) == {labels.HOSTNAME: "h", "team": "x", RACK: "12", THREADS: "4"}
    assert made.faults == ["10-rack: line 1: not name=value: 'oh'"]
    (tmp_path / "facts.d" / "10-rack").unlink()
    await made.look()
    assert await said(api) == {labels.HOSTNAME: "h", "team": "x", THREADS: "4"}
    assert made.faults == []
    before = (await api.admin.get(node.Node, server.NODE)).metadata.resourceVersion
    await made.look()
    assert (await api.admin.get(node.Node, server.NODE)).metadata.resourceVersion == before


async def test_the_disk_is_measured_once_and_offered(api: server.Api, tmp_path: pathlib.Path) -> None:
    made = describing(api, tmp_path, measure_disk=0.0, resources={"example.com/dongle": "2", "amd.com/gpu": "0"})
    assert made.offers() == {
        **dict.fromkeys(("boxfleet.dev/iops", "boxfleet.dev/bandwidth", "nvidia.com/gpu", "habana.ai/gaudi")),
        **dict.fromkeys(("gpu.intel.com/i915", "gpu.intel.com/xe", "amd.com/gpu")),
        "example.com/dongle": "2",
    }
    task = asyncio.create_task(made.run())
    try:
        # It is told as soon as there is a Node to tell it of.
        await until(lambda: (tmp_path / "agent" / "disk-speed.json").exists())
        await api.node.create(node.Node(metadata=meta.ObjectMeta(name=server.NODE)))

        async def measured() -> bool:
            return "host.boxfleet.dev/disk.sync-iops" in await said(api)

        await until(measured)
        assert made.offers()["boxfleet.dev/iops"] == (await said(api))["host.boxfleet.dev/disk.sync-iops"]
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    written = (tmp_path / "agent" / "disk-speed.json").read_bytes()
    again = describing(api, tmp_path)
    task = asyncio.create_task(again.run())
    try:
        await until(lambda: again.offers()["boxfleet.dev/iops"] == made.offers()["boxfleet.dev/iops"])
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert (tmp_path / "agent" / "disk-speed.json").read_bytes() == written
