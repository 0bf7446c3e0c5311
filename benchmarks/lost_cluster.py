"""A Kubernetes cluster that is lost, until all its instances are Ready on a Docker engine.

A whole Boxfleet with default settings, and both joined by the command. The way to the cluster's API is cut; times count
from there until a look at Boxfleet's API says that all instances are Ready elsewhere. Once more with the server killed.
"""

import asyncio
import json
import os
import pathlib
import signal
import tempfile
import time
from collections.abc import Callable

import yaml
from benchmarks import bed, harness

from boxfleet.drivers.kubernetes import rbac
from boxfleet.testing import docker, tools
from boxfleet.testing import fleet as fleets
from boxfleet.testing.kubernetes import cluster as kubernetes
from boxfleet.testing.kubernetes import programs

_INSTANCES = 6
_ROUNDS = 3


async def run(bench: harness.Bench) -> None:
    """Measure on a Boxfleet with a real cluster and a real engine."""
    await asyncio.to_thread(_run, bench)


def _run(bench: harness.Bench) -> None:
    # Apart from the harness's loop: the beds of the tests have loops of their own.
    bench.say("a Kubernetes and a Docker engine")
    programs.ensure(programs.PROGRAMS)
    engine = docker.Engine()
    asyncio.run(engine.start())
    try:
        with kubernetes.running(archives=[tools.archive()]) as kube:
            kube.apply(*rbac.manifests())
            asyncio.run(_whole(bench, kube, engine))
    finally:
        asyncio.run(engine.stop())


async def _whole(bench: harness.Bench, kube: kubernetes.Running, engine: docker.Engine) -> None:
    async with bed.home() as fleet:
        await asyncio.to_thread(fleet.boxfleet, "up")
        await asyncio.to_thread(_measure, bench, fleet, kube, engine)


def _measure(bench: harness.Bench, fleet: fleets.Fleet, kube: kubernetes.Running, engine: docker.Engine) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "kubeconfig")
        file.write_text(_kubeconfig(kube))
        fleet.boxfleet(
            *("cluster", "join", "kubernetes", "--kubeconfig", str(file), "--name", "east"),
            *("--namespace-prefix", "bf-", "--storage-class", kubernetes.STORAGE_CLASS, "--cost", "1"),
        )
    fleet.boxfleet("cluster", "join", "docker", "--host", engine.host, "--name", "dock", "--cost", "2")
    fleet.boxfleet("cluster", "cordon", "local")
    unit = bed.unit(["sleep", "100000"], replicas=_INSTANCES) | {"placement": {"prefer": "Cheap"}}
    body = {
        "apiVersion": "boxfleet.dev/v1",
        "kind": "Box",
        "metadata": {"name": "bench", "namespace": "default"},
        "spec": {"units": {"web": unit}},
    }
    fleets.eventually(lambda: _are_ready(fleet, "east", "dock"), within=60, what="the clusters are ready")
    began = time.monotonic()
    fleet.kubectl("apply", "-f", "-", stdin=json.dumps(body))
    _until_on(fleet, "east")
    bench.metric(f"{_INSTANCES} instances from apply to Ready on Kubernetes", (time.monotonic() - began) * 1000, "ms")
    took = [_lost(fleet, kube) for _ in range(_ROUNDS)]
    bench.samples("cluster lost to all its instances Ready elsewhere", took, "ms", target=30_000)
    alone = _lost(fleet, kube, meanwhile=lambda: os.kill(fleet.process("server"), signal.SIGKILL))
    bench.metric("cluster lost, server killed 1 s later, to all Ready elsewhere", alone, "ms", target=30_000)


def _lost(fleet: fleets.Fleet, kube: kubernetes.Running, *, meanwhile: Callable[[], None] = lambda: None) -> float:
    with kube.way.cut():
        began = time.monotonic()
        time.sleep(1)
        meanwhile()
        _until_on(fleet, "dock")
        took = (time.monotonic() - began) * 1000
    fleets.eventually(lambda: _are_ready(fleet, "east"), within=120, what="the cluster is back")
    # Back, for the next round.
    fleet.boxfleet("cluster", "cordon", "dock")
    fleet.kubectl("patch", "cluster", "dock", "--type=merge", "-p", _taint([{"key": "away", "effect": "NoExecute"}]))
    _until_on(fleet, "east")
    fleet.kubectl("patch", "cluster", "dock", "--type=merge", "-p", _taint(None))
    fleet.boxfleet("cluster", "uncordon", "dock")
    return took


def _taint(taints: list[dict[str, str]] | None) -> str:
    return json.dumps({"spec": {"taints": taints}})


def _are_ready(fleet: fleets.Fleet, *names: str) -> bool:
    found = {each["metadata"]["name"]: each for each in fleet.get("clusters")["items"]}
    return all(
        any(one["type"] == "Ready" and one["status"] == "True" for one in found[name]["status"].get("conditions", []))
        for name in names
    )


def _until_on(fleet: fleets.Fleet, place: str) -> None:
    def settled() -> bool:
        found = fleet.get("pods", "-l", "boxfleet.dev/box=bench")["items"]
        ready = [
            pod
            for pod in found
            if pod["spec"].get("nodeName", "").startswith(f"{place}.")
            and not pod["metadata"].get("deletionTimestamp")
            and any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))
        ]
        return len(ready) == _INSTANCES

    fleets.eventually(settled, within=180, what=f"all are Ready on {place}")


def _kubeconfig(kube: kubernetes.Running) -> str:
    """Of the account that `boxfleet cluster rbac` makes."""
    words = ("get", "secret", "-n", "boxfleet-access", "boxfleet-token", "-o")
    authority = json.loads(kube.kubectl(*words, "json"))["data"]["ca.crt"]
    token = kube.kubectl(*words, "go-template={{.data.token | base64decode}}")
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "east", "user": "u"}}],
            "clusters": [
                {"name": "east", "cluster": {"server": kube.api.url, "certificate-authority-data": authority}}
            ],
            "users": [{"name": "u", "user": {"token": token}}],
        }
    )
