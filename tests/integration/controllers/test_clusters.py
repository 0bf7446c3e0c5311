"""Clusters that others run, through the whole control plane, with a cluster in memory behind the port."""

import contextlib
import pathlib
from collections.abc import AsyncIterator

import msgspec
import pytest
from tests.integration.controllers import fleetbed

from boxfleet.api import address, cluster, labels, meta, node, placement, pod, unit
from boxfleet.client import errors
from boxfleet.controllers import settings as controller_settings
from boxfleet.planning import records
from boxfleet.ports import cluster as ports
from boxfleet.ports import network
from boxfleet.testing import clusters

QUICK = controller_settings.Settings(cluster_look=0.2, cluster_silence=0.5)


class Fleet:
    """A control plane with two foreign clusters, east and west, beside its own hosts."""

    def __init__(self, bed: fleetbed.Bed) -> None:
        self.bed = bed
        self.east = clusters.MemoryCluster()
        self.west = clusters.MemoryCluster()
        self.places = {"east": self.east, "west": self.west}
        bed.connectors[cluster.ClusterType.DOCKER] = lambda found, _keys: self.places[found.metadata.name].driver()

    async def join(self, *names: str) -> None:
        for name in names:
            spec = cluster.ClusterSpec(
                type=cluster.ClusterType.DOCKER,
                docker=cluster.DockerAccess(host=f"unix:///{name}.sock"),
                cost=1.0 if name == "east" else 2.0,
            )
            await self.bed.api.create(cluster.Cluster(metadata=meta.ObjectMeta(name=name), spec=spec))
        for name in names:
            await self.bed.until(lambda name=name: self.is_ready(name))

    def is_ready(self, name: str) -> bool:
        found = self.bed.get(cluster.Cluster, name)
        return found is not None and meta.is_true(found.status.conditions, "Ready")

    def where(self, name: str) -> str:
        found = self.bed.get(pod.Pod, name)
        return found.metadata.labels.get(labels.CLUSTER, "") if found is not None else ""

    def ready(self, *names: str) -> bool:
        return all(self.bed.condition(pod.Pod, name, "Ready")[0] == "True" for name in names)

    async def apply(self, name: str, *, replicas: int = 1, only: str = "", extra: str = "") -> None:
        chosen = f"  placement: {{clusters: [{only}], failover: {{afterSeconds: 0}}}}\n" if only else ""
        await self.bed.apply(fleetbed.unit_yaml(name, replicas=replicas, extra=chosen + extra))


@contextlib.asynccontextmanager
async def fleet(folder: pathlib.Path) -> AsyncIterator[Fleet]:
    async with fleetbed.bed(folder, QUICK) as bed:
        await bed.stop_control()
        made = Fleet(bed)
        bed.start_control()
        await made.join("east", "west")
        yield made


def running(place: clusters.MemoryCluster) -> list[str]:
    return sorted(key.name for key in place.running)


@pytest.mark.anyio
async def test_a_unit_is_delivered_shown_and_taken_away(tmp_path: pathlib.Path) -> None:
    async with fleet(tmp_path) as known:
        await known.apply("web", replicas=2, only="east")
        await known.bed.until(lambda: known.ready("web-0", "web-1"))
        shown = known.bed.get(pod.Pod, "web-0")
        assert shown is not None
        assert (shown.spec.nodeName, shown.status.podIP) == ("east.node-a", "198.51.100.7")
        # A token of our API would be of no use there, and names things that the cluster has itself.
        assert shown.spec.automountServiceAccountToken is False
        mirrored = known.bed.get(node.Node, "east.node-a")
        assert mirrored is not None
        assert mirrored.metadata.labels[labels.MIRRORED] == "true"
        await known.bed.until_ready(unit.Unit, "web")
        found = known.bed.get(cluster.Cluster, "east")
        assert found is not None
        assert (found.status.version, found.status.nodes) == ("memory://1", 1)
        await known.apply("web", replicas=1, only="east")
        await known.bed.until(lambda: running(known.east) == ["web-0"])
        await known.bed.api.delete(unit.Unit, "web", namespace="default")
        await known.bed.until(lambda: not known.bed.all(placement.Placement) and not known.bed.get(pod.Pod, "web-0"))
        assert running(known.east) == []
        assert ("withdraw", "default/web") in known.east.calls


@pytest.mark.anyio
async def test_a_deleted_pod_takes_its_instance_with_it_and_comes_again(tmp_path: pathlib.Path) -> None:
    async with fleet(tmp_path) as known:
        await known.apply("web", only="east")
        await known.bed.until(lambda: known.ready("web-0"))
        known.east.linger = True
        before = known.bed.get(pod.Pod, "web-0")
        assert before is not None
        await known.bed.api.delete(pod.Pod, "web-0", namespace="default")
        await known.bed.until(lambda: any(one.instance.leaving for one in known.east.running.values()))
        # It keeps its name until it is really gone.
        assert (still := known.bed.get(pod.Pod, "web-0")) is not None
        assert still.metadata.uid == before.metadata.uid
        known.east.linger = False
        known.east.finish()
        await known.bed.until(
            lambda: (found := known.bed.get(pod.Pod, "web-0")) and found.metadata.uid != before.metadata.uid
        )
        await known.bed.until(lambda: known.ready("web-0"))


@pytest.mark.anyio
async def test_a_pod_deleted_by_force_and_a_new_server_leave_what_runs_alone(tmp_path: pathlib.Path) -> None:
    async with fleet(tmp_path) as known:
        await known.apply("web", only="east")
        await known.bed.until(lambda: known.ready("web-0"))
        (one,) = known.east.running.values()
        came = one.instance.incarnation
        await known.bed.stop_control()
        gone = known.bed.get(pod.Pod, "web-0")
        assert gone is not None
        await known.bed.api.delete(pod.Pod, "web-0", namespace="default", grace_seconds=0)
        known.bed.start_control()
        await known.bed.until(
            lambda: (found := known.bed.get(pod.Pod, "web-0")) and found.metadata.uid != gone.metadata.uid
        )
        await known.bed.until(lambda: known.ready("web-0"))
        (one,) = known.east.running.values()
        assert one.instance.incarnation == came


@pytest.mark.anyio
async def test_others_are_told_where_an_instance_is_reached(tmp_path: pathlib.Path) -> None:
    async with fleet(tmp_path) as known:
        await known.bed.apply("""
apiVersion: boxfleet.dev/v1
kind: Box
metadata: {name: shop}
spec:
  units:
    db:
      placement: {clusters: [east]}
      template: {spec: {containers: [{name: main, image: "db:1"}]}}
    web:
      placement: {clusters: [local]}
      env: {DB: "{{ units.db.members[0].address }}"}
      template: {spec: {containers: [{name: main, image: "web:1"}]}}
""")
        await known.bed.until(lambda: known.ready("shop-db-0", "shop-web-0"))

        def told() -> str:
            found = known.bed.get(pod.Pod, "shop-web-0")
            env = found.spec.containers[0].env if found is not None else []
            return env[0].value if env else ""

        await known.bed.until(lambda: told() == "198.51.100.7")
        held = known.bed.address_of("shop-db-0")
        assert held.startswith("10.88.")
        kept = known.bed.get(address.Address, held)
        assert kept is not None
        assert kept.status.reachedAt == "198.51.100.7"
        named = records.of(known.bed.all(address.Address), suffix=QUICK.domain)
        assert network.Record(f"shop-db-0.db.shop.default.{QUICK.domain}", "198.51.100.7") in named


@pytest.mark.anyio
async def test_an_instance_that_its_cluster_moves_to_another_host_is_shown_there(tmp_path: pathlib.Path) -> None:
    async with fleet(tmp_path) as known:
        await known.apply("web", only="east")
        await known.bed.until(lambda: known.ready("web-0"))
        plenty = {"cpu": "8", "memory": "16Gi", "pods": "110"}
        known.east.set_nodes([ports.Node(name="node-b", capacity=plenty, allocatable=plenty)])
        key = meta.Key("default", "web-0")
        known.east.running[key].instance = msgspec.structs.replace(known.east.running[key].instance, node="node-b")
        came = known.east.running[key].instance.incarnation
        known.east.set_status(key, known.east.running[key].instance.status)
        await known.bed.until(
            lambda: (found := known.bed.get(pod.Pod, "web-0")) and found.spec.nodeName == "east.node-b"
        )
        await known.bed.until(lambda: known.ready("web-0") and not known.bed.get(node.Node, "east.node-a"))
        assert known.east.running[key].instance.incarnation == came


@pytest.mark.anyio
async def test_a_lost_cluster_is_replaced_and_what_ran_on_is_ended_when_it_returns(tmp_path: pathlib.Path) -> None:
    async with fleet(tmp_path) as known:
        policy = "  placement: {clusters: [east, west], prefer: Cheap, failover: {afterSeconds: 0}}\n"
        await known.apply("web", replicas=2, extra=policy)
        await known.bed.until(lambda: known.ready("web-0", "web-1"))
        assert running(known.east) == ["web-0", "web-1"]
        with known.east.cut():
            await known.bed.until(lambda: known.where("web-0") == "west" and known.ready("web-0", "web-1"))
            assert running(known.west) == ["web-0", "web-1"]
            # Nobody could tell it.
            assert running(known.east) == ["web-0", "web-1"]
        await known.bed.until(lambda: running(known.east) == [] and known.is_ready("east"))
        assert running(known.west) == ["web-0", "web-1"]
        assert known.ready("web-0", "web-1")


@pytest.mark.anyio
async def test_a_cluster_that_is_cut_off_for_a_moment_keeps_its_instances(tmp_path: pathlib.Path) -> None:
    async with fleet(tmp_path) as known:
        await known.apply("web", only="east")
        await known.bed.until(lambda: known.ready("web-0"))
        (one,) = known.east.running.values()
        came = one.instance.incarnation
        with known.east.cut():
            # There is no other that it may go to.
            await known.bed.until(lambda: known.bed.condition(pod.Pod, "web-0", "Ready")[1] == "ClusterUnreachable")
            await known.bed.until(
                lambda: (
                    (found := known.bed.get(node.Node, "east.node-a"))
                    and meta.find_condition(found.status.conditions, "Ready").status == "Unknown"
                )  # type: ignore[union-attr]
            )
        await known.bed.until(lambda: known.ready("web-0"))
        (one,) = known.east.running.values()
        assert one.instance.incarnation == came


@pytest.mark.anyio
async def test_a_cluster_that_is_deleted_gives_its_instances_to_others_first(tmp_path: pathlib.Path) -> None:
    async with fleet(tmp_path) as known:
        policy = "  placement: {clusters: [east, west], prefer: Cheap}\n"
        await known.apply("web", replicas=3, extra=policy)
        await known.bed.until(lambda: known.ready("web-0", "web-1", "web-2"))
        await known.bed.api.delete(cluster.Cluster, "east")
        await known.bed.until(lambda: known.bed.get(cluster.Cluster, "east") is None)
        await known.bed.until(lambda: known.ready("web-0", "web-1", "web-2"))
        assert (running(known.east), running(known.west)) == ([], ["web-0", "web-1", "web-2"])
        assert not [each for each in known.bed.all(node.Node) if each.metadata.name.startswith("east.")]


@pytest.mark.anyio
async def test_a_protected_cluster_is_not_deleted_while_it_runs_instances(tmp_path: pathlib.Path) -> None:
    async with fleet(tmp_path) as known:
        await known.bed.api.patch(cluster.Cluster, "east", {"spec": {"onDelete": "Refuse"}})
        await known.apply("web", only="east")
        await known.bed.until(lambda: known.ready("web-0"))
        with pytest.raises(errors.Forbidden, match=r"runs instances of default/web .* set spec.onDelete to Move"):
            await known.bed.api.delete(cluster.Cluster, "east")
        await known.bed.api.delete(unit.Unit, "web", namespace="default")
        await known.bed.until(lambda: not known.bed.all(placement.Placement))
        await known.bed.api.delete(cluster.Cluster, "east")
        await known.bed.until(lambda: known.bed.get(cluster.Cluster, "east") is None)


@pytest.mark.anyio
async def test_a_released_cluster_keeps_what_it_runs(tmp_path: pathlib.Path) -> None:
    async with fleet(tmp_path) as known:
        await known.bed.api.patch(cluster.Cluster, "east", {"spec": {"onDelete": "Release"}})
        policy = "  placement: {clusters: [east, west], prefer: Cheap}\n"
        await known.apply("web", extra=policy)
        await known.bed.until(lambda: known.ready("web-0"))
        assert running(known.east) == ["web-0"]
        await known.bed.api.delete(cluster.Cluster, "east")
        await known.bed.until(lambda: known.bed.get(cluster.Cluster, "east") is None)
        await known.bed.until(lambda: known.where("web-0") == "west" and known.ready("web-0"))
        assert running(known.east) == ["web-0"]
        # Joined again, it is rid of what no Unit means any more.
        await known.join("east")
        await known.bed.until(lambda: running(known.east) == [])
        assert running(known.west) == ["web-0"]


@pytest.mark.anyio
async def test_units_that_are_to_be_near_or_apart_are_so_whoever_comes_first(tmp_path: pathlib.Path) -> None:
    async with fleet(tmp_path) as known:
        await known.bed.apply("""
apiVersion: boxfleet.dev/v1
kind: Box
metadata: {name: shop}
spec:
  units:
    a:
      placement: {near: [z]}
      template: {spec: {containers: [{name: main, image: "a:1"}]}}
    p:
      placement: {clusters: [east, west], prefer: Cheap}
      template: {spec: {containers: [{name: main, image: "p:1"}]}}
    q:
      placement: {clusters: [east], apart: [p]}
      template: {spec: {containers: [{name: main, image: "q:1"}]}}
    z:
      placement: {clusters: [west]}
      template: {spec: {containers: [{name: main, image: "z:1"}]}}
""")
        await known.bed.until(lambda: known.ready("shop-a-0", "shop-z-0"))
        assert (known.where("shop-a-0"), known.where("shop-z-0")) == ("west", "west")
        # Whichever of the two was first: they are not together.
        await known.bed.until(lambda: known.where("shop-p-0"))
        assert known.where("shop-q-0") != known.where("shop-p-0")


@pytest.mark.anyio
async def test_what_a_cluster_refuses_is_told_and_others_are_not_held_up(tmp_path: pathlib.Path) -> None:
    async with fleet(tmp_path) as known:
        known.east.foreign.add(meta.Key("default", "web"))
        await known.apply("web", only="east")
        await known.apply("api", only="east")
        await known.bed.until(lambda: known.ready("api-0"))
        await known.bed.until(lambda: known.bed.events("FailedDelivery"))
        said = known.bed.condition(pod.Pod, "web-0", "PodScheduled")
        assert said[0] == "False"
        assert "belongs to somebody else" in said[2]
        assert "web-0" not in running(known.east)


@pytest.mark.anyio
async def test_a_cluster_whose_keys_are_missing_says_so(tmp_path: pathlib.Path) -> None:
    async with fleet(tmp_path) as known:
        spec = cluster.ClusterSpec(
            type=cluster.ClusterType.DOCKER,
            docker=cluster.DockerAccess(host="tcp://engine:2376"),
            credentials=cluster.Credentials(secret="engine"),
        )
        await known.bed.api.create(cluster.Cluster(metadata=meta.ObjectMeta(name="south"), spec=spec))
        await known.bed.until(lambda: known.bed.condition(cluster.Cluster, "south", "Ready")[1] == "Denied")
        assert "Secret engine" in known.bed.condition(cluster.Cluster, "south", "Ready")[2]
