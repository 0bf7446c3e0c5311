"""From a Box to instances that are Ready."""

import pathlib

import pytest
from tests.integration.controllers import fleetbed

from boxfleet.api import address, box, config, labels, placement, pod, unit, volume_claim

pytestmark = pytest.mark.anyio

WORDPRESS = """
apiVersion: boxfleet.dev/v1
kind: Box
metadata: {name: blog}
spec:
  units:
    db:
      template:
        spec:
          containers:
          - {name: db, image: "db:1", ports: [{name: mysql, containerPort: 3306}]}
      volumeClaimTemplates:
      - metadata: {name: data}
        spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
    web:
      replicas: 2
      dependsOn: [{unit: db}]
      env: {DB: "{{ units.db.domain }}:{{ units.db.ports.mysql }}"}
      files:
      - {path: /etc/peers, content: "{% for m in units.web.members %}{{ m.address }}\\n{% endfor %}"}
      template:
        spec:
          containers:
          - {name: web, image: "web:1"}
"""


@pytest.mark.both_homes
async def test_a_box_becomes_units_pods_and_addresses(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        await bed.apply(WORDPRESS)
        await bed.until_ready(box.Box, "blog")
        assert sorted(each.metadata.name for each in bed.all(pod.Pod)) == ["blog-db-0", "blog-web-0", "blog-web-1"]
        web = bed.get(pod.Pod, "blog-web-1")
        assert web is not None
        assert web.spec.containers[0].env[0].value == "db.blog.default.fleet.internal:3306"
        assert web.metadata.annotations[labels.ADDRESS] == bed.address_of("blog-web-1")
        assert web.metadata.labels[labels.CLUSTER] == "local"
        files = await bed.api.get(config.ConfigMap, "blog-web-1-files", namespace="default")
        expected = f"{bed.address_of('blog-web-0')}\n{bed.address_of('blog-web-1')}\n"
        assert list(files.data.values()) == [expected]
        claim = bed.get(volume_claim.PersistentVolumeClaim, "data-blog-db-0")
        assert claim is not None
        assert claim.metadata.annotations[labels.SELECTED_NODE] == "node-1"
        share = bed.get(placement.Placement, "blog-web-local")
        assert share is not None and share.spec.ordinals == [0, 1]
        await bed.until(lambda: all(each.status.ready for each in bed.all(address.Address)))
        done = bed.get(box.Box, "blog")
        assert done is not None and done.status.ready == "2/2"
        await bed.until(lambda: share_of(bed, "blog-web-local") == (2, 2))


def share_of(bed: fleetbed.Bed, name: str) -> tuple[int, int]:
    share = bed.get(placement.Placement, name)
    assert share is not None
    return share.status.replicas, share.status.readyReplicas


@pytest.mark.both_homes
async def test_a_dependant_says_what_it_waits_for(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        bed.agent.held["blog-db-0"] = "ImagePullBackOff"
        await bed.apply(WORDPRESS)
        said = "waits for Unit db to be Ready: 0 of 1 instances ready (blog-db-0: ImagePullBackOff)"
        await bed.until(
            lambda: bed.condition(unit.Unit, "blog-web", "Ready") == ("False", "WaitingForDependency", said)
        )
        await bed.until(lambda: said in bed.condition(box.Box, "blog", "Ready")[2])
        assert bed.get(pod.Pod, "blog-web-0") is None
        # Addresses are claimed all the same, so that mutual relations can be rendered.
        assert bed.address_of("blog-web-1")
        bed.agent.release("blog-db-0")
        await bed.until_ready(box.Box, "blog")
        # What runs is not taken down because what it waited for falters.
        before = {each.metadata.name: each.metadata.uid for each in bed.all(pod.Pod)}
        bed.agent.held["blog-db-0"] = "CrashLoopBackOff"
        bed.agent._dirty.update(each.key for each in bed.all(pod.Pod))
        bed.agent._wake.set()
        await bed.until(lambda: bed.condition(unit.Unit, "blog-db", "Ready")[0] == "False")
        assert {each.metadata.name: each.metadata.uid for each in bed.all(pod.Pod)} == before


@pytest.mark.both_homes
async def test_completed_dependencies(short_dir: pathlib.Path) -> None:
    text = """
apiVersion: boxfleet.dev/v1
kind: Box
metadata: {name: shop}
spec:
  units:
    migrate:
      template: {spec: {restartPolicy: OnFailure, containers: [{name: c, image: "m:1"}]}}
    web:
      dependsOn: [{unit: migrate, condition: Completed}]
      template: {spec: {containers: [{name: c, image: "w:1"}]}}
"""
    async with fleetbed.bed(short_dir) as bed:
        bed.agent.held["shop-migrate-0"] = "ContainerCreating"
        await bed.apply(text)
        await bed.until(lambda: bed.condition(unit.Unit, "shop-web", "Ready")[1] == "WaitingForDependency")
        bed.agent.ending.add("shop-migrate-0")
        bed.agent.release("shop-migrate-0")
        await bed.until_ready(box.Box, "shop")
        assert bed.condition(unit.Unit, "shop-migrate", "Completed")[0] == "True"


@pytest.mark.both_homes
async def test_a_box_does_not_take_over_what_is_not_its_own(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        await bed.apply(fleetbed.unit_yaml("blog-db"))
        await bed.until_ready(unit.Unit, "blog-db")
        uid = bed.get(unit.Unit, "blog-db").metadata.uid  # type: ignore[union-attr]
        await bed.apply(WORDPRESS)
        await bed.until(lambda: bed.condition(box.Box, "blog", "Ready")[:2] == ("False", "NameConflict"))
        assert bed.get(unit.Unit, "blog-db").metadata.uid == uid  # type: ignore[union-attr]


@pytest.mark.both_homes
async def test_a_wrong_template_is_shown_and_mended(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        await bed.apply(fleetbed.unit_yaml("app", extra='  env: {A: "{{ unit.members[7].name }}"}'))
        await bed.until(lambda: bed.condition(unit.Unit, "app", "FilesRendered")[0] == "False")
        assert "spec.env[A]" in bed.condition(unit.Unit, "app", "FilesRendered")[2]
        assert bed.get(pod.Pod, "app-0") is None
        await bed.apply(fleetbed.unit_yaml("app", extra='  env: {A: "{{ unit.members[0].name }}"}'))
        await bed.until_ready(unit.Unit, "app")


@pytest.mark.both_homes
async def test_edits_of_a_box_reach_its_units_and_scaling_a_unit_stays(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        await bed.apply(WORDPRESS)
        await bed.until_ready(box.Box, "blog")
        await bed.api.patch(unit.Unit, "blog-web", {"spec": {"replicas": 3}}, namespace="default")
        await bed.until(lambda: bed.get(pod.Pod, "blog-web-2"))
        await bed.api.patch(box.Box, "blog", {"metadata": {"labels": {"a": "b"}}}, namespace="default")
        await bed.until_ready(box.Box, "blog")
        assert bed.get(unit.Unit, "blog-web").spec.replicas == 3  # type: ignore[union-attr]
        await bed.api.patch(box.Box, "blog", {"spec": {"units": {"web": {"replicas": 1}}}}, namespace="default")
        await bed.until(lambda: len(bed.all(pod.Pod)) == 2)
        await bed.api.patch(box.Box, "blog", {"spec": {"units": {"web": None}}}, namespace="default")
        await bed.until(lambda: [each.metadata.name for each in bed.all(pod.Pod)] == ["blog-db-0"])
        await bed.until(lambda: len(bed.all(address.Address)) == 1)
        await bed.until_ready(box.Box, "blog")


async def test_pods_of_their_own_get_an_address(short_dir: pathlib.Path) -> None:
    text = "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: i}]}}"
    async with fleetbed.bed(short_dir) as bed:
        await bed.apply(text)
        await bed.until_ready(pod.Pod, "p")
        held = bed.address_of("p")
        assert held and bed.get(pod.Pod, "p").metadata.annotations[labels.ADDRESS] == held  # type: ignore[union-attr]
        await bed.api.delete(pod.Pod, "p", namespace="default")
        await bed.until(lambda: not bed.all(address.Address))
