"""The same Box on Kubernetes, on a Docker engine and across both, seen and entered with kubectl."""

import asyncio
import contextlib
import json
import pathlib
import subprocess
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.integration.controllers import fleetbed

from boxfleet.api import box, cluster, config, meta, pod, unit, wellknown
from boxfleet.app import clusters, reaching
from boxfleet.controllers import settings as controller_settings
from boxfleet.testing import docker, server, tools
from boxfleet.testing.kubernetes import cluster as kubernetes
from boxfleet.testing.kubernetes import programs

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.machine,
    pytest.mark.skipif(bool(programs.lacking()), reason=f"this machine lacks {programs.lacking()}"),
    pytest.mark.kubernetes(*programs.PROGRAMS),
]

QUICK = controller_settings.Settings(cluster_look=2.0, cluster_silence=6.0)
BOX = f"""
apiVersion: boxfleet.dev/v1
kind: Box
metadata: {{name: shop}}
spec:
  units:
    db:
      template:
        spec:
          terminationGracePeriodSeconds: 1
          containers:
          - name: main
            image: {tools.IMAGE}
            command: [sh, -c, "echo db of $BOX is up; exec sleep 100000"]
      env: {{BOX: "{{{{ box.name }}}}"}}
      files:
      - path: /etc/db/db.conf
        content: "me={{{{ instance.name }}}} peers={{{{ unit.members | map(attribute='name') | join(',') }}}}"
    web:
      replicas: 2
      dependsOn: [{{unit: db}}]
      template:
        spec:
          terminationGracePeriodSeconds: 1
          containers:
          - name: main
            image: {tools.IMAGE}
            command: [sh, -c, "echo talking to $DB; exec sleep 100000"]
      env: {{DB: "{{{{ units.db.members[0].name }}}}"}}
"""


class Fleet:
    """A control plane with both clusters, and a kubectl that speaks to it."""

    def __init__(self, bed: fleetbed.Bed, socket: server.Socket) -> None:
        self.bed = bed
        self._socket = socket

    async def kubectl(self, *words: str) -> str:
        command = ["kubectl", f"--kubeconfig={self._socket.kubeconfig}", *words]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    async def only(self, *names: str) -> None:
        """New instances go to these clusters alone."""
        for each in self.bed.all(cluster.Cluster):
            change = {"spec": {"unschedulable": each.metadata.name not in names}}
            await self.bed.api.patch(cluster.Cluster, each.metadata.name, change)
        await self.bed.until(
            lambda: all(
                each.spec.unschedulable == (each.metadata.name not in names) for each in self.bed.all(cluster.Cluster)
            )
        )

    async def pods(self) -> dict[str, dict[str, Any]]:
        found = json.loads(await self.kubectl("get", "pods", "-o", "json"))
        return {each["metadata"]["name"]: each for each in found["items"]}


@pytest.fixture
async def fleet(
    tmp_path: pathlib.Path, kubeconfig: str, engine: docker.Engine, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Fleet]:
    # Real clusters on a busy machine take their time.
    monkeypatch.setattr(fleetbed, "PATIENCE", 90.0)
    async with contextlib.AsyncExitStack() as stack:
        bed = await stack.enter_async_context(fleetbed.bed(tmp_path, QUICK))
        await bed.stop_control()
        # The same for all tests: the clusters are.
        made = clusters.connectors(fleet=lambda: "test-fleet", clock=fleetbed.CLOCK, domain=QUICK.domain)
        bed.connectors.update(made)
        reach = reaching.Reach(
            bed.server.part("system:boxfleet:cluster-controller"), connectors=made, clock=fleetbed.CLOCK
        )
        bed.server.app.agents.elsewhere = reach
        reaching_ = asyncio.create_task(reach.run())
        bed.start_control()
        # As in every Namespace of a whole Boxfleet: each Pod names it beside its token.
        authorities = meta.ObjectMeta(name=wellknown.ROOT_CA, namespace="default")
        await bed.api.create(config.ConfigMap(metadata=authorities, data={wellknown.ROOT_CA_KEY: "of Boxfleet"}))
        east = clusters.Wanted(
            name="east",
            spec=cluster.ClusterSpec(
                type=cluster.ClusterType.KUBERNETES,
                credentials=cluster.Credentials(secret="east"),
                kubernetes=cluster.KubernetesAccess(namespacePrefix="bf-", storageClass=kubernetes.STORAGE_CLASS),
            ),
            labels={"topology.kubernetes.io/zone": "east"},
            keys={clusters.KUBECONFIG: kubeconfig.encode()},
        )
        dock = clusters.Wanted(
            name="dock",
            spec=cluster.ClusterSpec(type=cluster.ClusterType.DOCKER, docker=cluster.DockerAccess(host=engine.host)),
            labels={"topology.kubernetes.io/zone": "west"},
            keys={},
        )
        for wanted in (east, dock):
            report = await clusters.look(bed.api, wanted, domain=QUICK.domain)
            assert not clusters.lacking(report), report.lacks
            await clusters.join(bed.api, wanted)
        for name in ("east", "dock"):
            await bed.until(lambda name=name: is_ready(bed, name))
        socket = await stack.enter_async_context(server.on_socket(bed.server, tmp_path))
        try:
            yield Fleet(bed, socket)
        finally:
            for each in bed.all(box.Box):
                await bed.api.delete(box.Box, each.metadata.name, namespace="default")
            await bed.until(lambda: not bed.all(unit.Unit) and not bed.all(pod.Pod))
            reaching_.cancel()
            await asyncio.wait([reaching_])


def is_ready(bed: fleetbed.Bed, name: str) -> bool:
    found = bed.get(cluster.Cluster, name)
    return found is not None and meta.is_true(found.status.conditions, "Ready")


@pytest.mark.parametrize("where", ["east", "dock"])
async def test_a_box_runs_in_a_cluster_of_others_as_on_hosts(fleet: Fleet, where: str) -> None:
    await fleet.only(where)
    await fleet.bed.apply(BOX)
    await fleet.bed.until_ready(box.Box, "shop")
    found = await fleet.pods()
    assert sorted(found) == ["shop-db-0", "shop-web-0", "shop-web-1"]
    for each in found.values():
        assert each["spec"]["nodeName"].startswith(f"{where}.")
        assert each["status"]["podIP"]
    # In order: web waited until db was ready.
    assert found["shop-db-0"]["status"]["startTime"] <= found["shop-web-0"]["status"]["startTime"]
    assert "db of shop is up" in await fleet.kubectl("logs", "shop-db-0")
    assert "talking to shop-db-0" in await fleet.kubectl("logs", "shop-web-1")
    conf = await fleet.kubectl("exec", "shop-db-0", "--", "cat", "/etc/db/db.conf")
    assert conf == "me=shop-db-0 peers=shop-db-0"
    wide = await fleet.kubectl("get", "pods", "-o", "wide")
    assert f"{where}." in wide
    nodes = await fleet.kubectl("get", "nodes")
    assert f"{where}." in nodes
    # Less, then more: names come back.
    await fleet.kubectl("scale", "unit/shop-web", "--replicas=1")
    await fleet.bed.until(lambda: fleet.bed.get(pod.Pod, "shop-web-1") is None)
    await fleet.kubectl("scale", "unit/shop-web", "--replicas=3")
    await fleet.bed.until_ready(box.Box, "shop")
    assert len(await fleet.pods()) == 4
    # A Pod that is deleted comes again under its name.
    before = (await fleet.pods())["shop-web-0"]["metadata"]["uid"]
    await fleet.kubectl("delete", "pod", "shop-web-0", "--wait=false")
    await fleet.bed.until(lambda: (one := fleet.bed.get(pod.Pod, "shop-web-0")) and one.metadata.uid != before)
    await fleet.bed.until_ready(box.Box, "shop")


async def test_a_box_lies_across_clusters_by_policy(fleet: Fleet) -> None:
    await fleet.only("east", "dock")
    policy = BOX.replace(
        "      replicas: 2\n",
        "      replicas: 4\n      placement: {spread: [{topologyKey: topology.kubernetes.io/zone}]}\n",
    )
    await fleet.bed.apply(policy)
    await fleet.bed.until_ready(box.Box, "shop")
    nodes = [each["spec"]["nodeName"].partition(".")[0] for name, each in (await fleet.pods()).items() if "web" in name]
    assert sorted(nodes) == ["dock", "dock", "east", "east"]
    assert "talking to shop-db-0" in await fleet.kubectl("logs", "-l", "boxfleet.dev/unit=shop-web")


async def test_a_lost_cluster_is_replaced_by_another_and_taken_back(fleet: Fleet, kube: kubernetes.Running) -> None:
    await fleet.only("east")
    await fleet.bed.apply(
        BOX.replace("      replicas: 2\n", "      replicas: 2\n      placement: {failover: {afterSeconds: 3}}\n")
    )
    await fleet.bed.until_ready(box.Box, "shop")
    with kube.way.cut():
        await fleet.only("dock")
        await fleet.bed.until(lambda: not is_ready(fleet.bed, "east"))
        await fleet.bed.until(
            lambda: all(
                (one := fleet.bed.get(pod.Pod, f"shop-web-{number}")) is not None
                and one.spec.nodeName.startswith("dock.")
                for number in range(2)
            )
        )
        await fleet.bed.until_ready(unit.Unit, "shop-web")
    await fleet.bed.until(lambda: is_ready(fleet.bed, "east"))

    async def left() -> list[str]:
        words = ("get", "pods", "-n", "bf-default", "-l", "boxfleet.dev/unit=shop-web", "-o", "name")
        return (await asyncio.to_thread(kube.kubectl, *words)).split()

    async with asyncio.timeout(90):
        while await left():
            await asyncio.sleep(0.2)
    found = await fleet.pods()
    assert {each["spec"]["nodeName"].partition(".")[0] for name, each in found.items() if "web" in name} == {"dock"}
