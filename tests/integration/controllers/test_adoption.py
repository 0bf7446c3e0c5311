"""What was left behind with --cascade=orphan is taken over by the like of its owner; a Box tells what was done."""

import pathlib

import pytest
from tests.integration.controllers import fleetbed

from boxfleet.api import box, event, meta, pod, unit

pytestmark = pytest.mark.anyio

BOX = """
apiVersion: boxfleet.dev/v1
kind: Box
metadata: {name: shop}
spec:
  units:
    db:
      template: {spec: {containers: [{name: main, image: "x:1"}]}}
      files: [{path: /etc/x, content: "{{ instance.name }}"}]
      volumeClaimTemplates:
      - metadata: {name: data}
        spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"""


def said_of_box(bed: fleetbed.Bed) -> list[tuple[str, int]]:
    found = [each for each in bed.all(event.Event) if each.involvedObject.kind == "Box"]
    return [(each.reason, each.count) for each in sorted(found, key=lambda each: int(each.metadata.resourceVersion))]


async def test_units_of_a_box_that_let_them_go(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        await bed.apply(BOX)
        await bed.until_ready(box.Box, "shop")
        before, ran = bed.get(pod.Pod, "shop-db-0"), bed.address_of("shop-db-0")
        await bed.api.delete(box.Box, "shop", namespace="default", propagation="Orphan")
        await bed.until(
            lambda: not bed.all(box.Box) and (u := bed.get(unit.Unit, "shop-db")) and not u.metadata.ownerReferences
        )
        await bed.apply(BOX)
        await bed.until_ready(box.Box, "shop")
        after, owner = bed.get(pod.Pod, "shop-db-0"), bed.get(box.Box, "shop")
        assert before is not None and after is not None and owner is not None
        assert (after.metadata.uid, bed.address_of("shop-db-0")) == (before.metadata.uid, ran)
        adopted = bed.get(unit.Unit, "shop-db")
        assert adopted is not None and meta.controller_uid(adopted) == owner.metadata.uid
        await bed.until(lambda: bed.events("UnitAdopted") == ["Took over Unit shop-db"])
        assert not bed.events("NameConflict")


async def test_instances_of_a_unit_that_let_them_go(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        await bed.apply(BOX)
        await bed.until_ready(box.Box, "shop")
        before = bed.get(pod.Pod, "shop-db-0")
        await bed.api.delete(unit.Unit, "shop-db", namespace="default", propagation="Orphan")
        await bed.until(
            lambda: (
                (u := bed.get(unit.Unit, "shop-db"))
                and (p := bed.get(pod.Pod, "shop-db-0"))
                and meta.controller_uid(p) == u.metadata.uid
            )
        )
        await bed.until_ready(box.Box, "shop")
        after = bed.get(pod.Pod, "shop-db-0")
        assert before is not None and after is not None and after.metadata.uid == before.metadata.uid


async def test_a_unit_of_someone_elses_is_left_alone_and_told_once(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        await bed.apply(fleetbed.unit_yaml("shop-db"))
        await bed.apply(BOX)
        await bed.until(lambda: bed.condition(box.Box, "shop", "Ready")[1] == "NameConflict")
        await bed.until(lambda: bed.events("NameConflict"))
        await bed.api.delete(unit.Unit, "shop-db", namespace="default")
        await bed.until_ready(box.Box, "shop")
        await bed.until(lambda: "Ready" in dict(said_of_box(bed)))
        assert dict(said_of_box(bed)) == {"NameConflict": 1, "UnitCreated": 1, "Ready": 1}


async def test_a_box_tells_when_it_becomes_ready_and_stops_being_so(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        await bed.apply(BOX)
        await bed.until_ready(box.Box, "shop")
        await bed.until(lambda: said_of_box(bed) == [("UnitCreated", 1), ("Ready", 1)])
        bed.agent.held["shop-db-0"] = "CrashLoopBackOff"
        await bed.api.delete(pod.Pod, "shop-db-0", namespace="default")
        await bed.until(lambda: bed.events("NotReady") == ["0/1 Units ready; not ready: db"])
        bed.agent.release("shop-db-0")
        await bed.until(lambda: ("Ready", 2) in said_of_box(bed))
        await bed.apply(BOX.replace("x:1", "x:2"))
        await bed.until(lambda: bed.events("UnitUpdated"))
