"""Scaling, updates, failures, and names that others have."""

import pathlib

import pytest
from tests.integration.controllers import fleetbed

from boxfleet.api import address, config, labels, pod, unit, volume_claim

pytestmark = pytest.mark.anyio

CLAIM = """  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}"""


async def test_scaling_keeps_and_releases_addresses_and_keeps_claims(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        await bed.apply(fleetbed.unit_yaml("app", replicas=3, extra=CLAIM))
        await bed.until_ready(unit.Unit, "app")
        before = {each: bed.address_of(f"app-{each}") for each in range(3)}
        await bed.api.patch(unit.Unit, "app", {"spec": {"replicas": 1}}, namespace="default")
        await bed.until(lambda: len(bed.all(pod.Pod)) == 1 and len(bed.all(address.Address)) == 1)
        assert bed.address_of("app-0") == before[0]
        assert len(bed.all(volume_claim.PersistentVolumeClaim)) == 3
        await bed.api.patch(unit.Unit, "app", {"spec": {"replicas": 2}}, namespace="default")
        # What is seen of the Unit may be from before the change: its Pods tell.
        await bed.until(lambda: len(bed.all(pod.Pod)) == 2)
        await bed.until_ready(unit.Unit, "app")
        await bed.api.delete(unit.Unit, "app", namespace="default")
        await bed.until(
            lambda: not bed.all(pod.Pod) + bed.all(address.Address) + bed.all(volume_claim.PersistentVolumeClaim)  # type: ignore[operator]
        )


async def test_a_deleted_pod_comes_back_with_its_address(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        await bed.apply(fleetbed.unit_yaml("app"))
        await bed.until_ready(unit.Unit, "app")
        old = bed.get(pod.Pod, "app-0")
        assert old is not None
        held = bed.address_of("app-0")
        await bed.api.delete(pod.Pod, "app-0", namespace="default")
        await bed.until(lambda: (new := bed.get(pod.Pod, "app-0")) and new.metadata.uid != old.metadata.uid)
        await bed.until_ready(pod.Pod, "app-0")
        new = bed.get(pod.Pod, "app-0")
        assert new is not None
        assert new.metadata.annotations[labels.ADDRESS] == held == bed.address_of("app-0")


async def test_a_rolling_update_takes_one_after_the_other(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        await bed.apply(fleetbed.unit_yaml("app", replicas=3))
        await bed.until_ready(unit.Unit, "app")
        addresses = {each: bed.address_of(f"app-{each}") for each in range(3)}
        bed.agent.held["app-2"] = "ImagePullBackOff"
        await bed.apply(fleetbed.unit_yaml("app", replicas=3, image="app:broken"))

        def images() -> list[str]:
            return [each.spec.containers[0].image for each in sorted(bed.all(pod.Pod), key=lambda p: p.key)]

        await bed.until(lambda: images() == ["app:1", "app:1", "app:broken"])
        await bed.until(lambda: "app-2: ImagePullBackOff" in bed.condition(unit.Unit, "app", "Ready")[2])
        assert images() == ["app:1", "app:1", "app:broken"]
        # A release that mends it replaces the broken one at once and goes on.
        bed.agent.held.clear()
        await bed.apply(fleetbed.unit_yaml("app", replicas=3, image="app:2"))
        await bed.until(lambda: images() == ["app:2"] * 3)
        await bed.until(lambda: bed.condition(unit.Unit, "app", "Progressing")[1] == "RolloutComplete")
        assert {each: bed.address_of(f"app-{each}") for each in range(3)} == addresses
        order = [name for name, _ in bed.agent.ran[-3:]]
        assert order == ["app-2", "app-1", "app-0"]


async def test_files_change_in_place_and_environment_makes_new_instances(short_dir: pathlib.Path) -> None:
    extra = '  files: [{path: /etc/members, content: "{{ unit.members | length }} TEXT"}]\n'
    async with fleetbed.bed(short_dir) as bed:
        await bed.apply(fleetbed.unit_yaml("app", extra=extra))
        await bed.until_ready(unit.Unit, "app")
        first = bed.get(pod.Pod, "app-0")
        assert first is not None
        await bed.apply(fleetbed.unit_yaml("app", extra=extra.replace("TEXT", "other")))

        def hash_now() -> str:
            now = bed.get(pod.Pod, "app-0")
            return now.metadata.annotations[labels.FILES_HASH] if now else ""

        await bed.until(lambda: hash_now() != first.metadata.annotations[labels.FILES_HASH])
        files = await bed.api.get(config.ConfigMap, "app-0-files", namespace="default")
        assert list(files.data.values()) == ["1 other"]
        assert bed.get(pod.Pod, "app-0").metadata.uid == first.metadata.uid  # type: ignore[union-attr]
        await bed.apply(fleetbed.unit_yaml("app", extra=extra + "  env: {N: '{{ unit.replicas }}'}"))
        await bed.until(lambda: (now := bed.get(pod.Pod, "app-0")) and now.metadata.uid != first.metadata.uid)
        await bed.until_ready(unit.Unit, "app")
        # A rendered value that changes counts too: scaling re-makes app-0 with the new number.
        await bed.api.patch(unit.Unit, "app", {"spec": {"replicas": 2}}, namespace="default")
        await bed.until(lambda: [each.spec.containers[0].env[0].value for each in bed.all(pod.Pod)] == ["2", "2"])


async def test_failed_instances_are_replaced(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        await bed.apply(fleetbed.unit_yaml("app"))
        await bed.until_ready(unit.Unit, "app")
        old = bed.get(pod.Pod, "app-0")
        assert old is not None
        failed = {
            "status": {"phase": "Failed", "reason": "Evicted", "conditions": [{"type": "Ready", "status": "False"}]}
        }
        await bed.api.patch(pod.Pod, "app-0", failed, namespace="default", subresource="status", type="strategic")
        await bed.until(lambda: (new := bed.get(pod.Pod, "app-0")) and new.metadata.uid != old.metadata.uid)
        await bed.until_ready(unit.Unit, "app")


async def test_a_pod_of_the_wanted_name_is_not_taken_over(short_dir: pathlib.Path) -> None:
    pod_text = "{apiVersion: v1, kind: Pod, metadata: {name: app-0}, spec: {containers: [{name: c, image: i}]}}"
    async with fleetbed.bed(short_dir) as bed:
        await bed.apply(pod_text)
        await bed.until_ready(pod.Pod, "app-0")
        await bed.apply(fleetbed.unit_yaml("app"))
        await bed.until(lambda: bed.condition(unit.Unit, "app", "Ready")[1] == "NameConflict")
        assert "kubectl delete pod app-0" in bed.condition(unit.Unit, "app", "Ready")[2]
        await bed.api.delete(pod.Pod, "app-0", namespace="default")
        await bed.until_ready(unit.Unit, "app")
        assert "," not in bed.address_of("app-0")


async def test_an_address_that_is_deleted_while_in_use_is_claimed_again(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        await bed.apply(fleetbed.unit_yaml("app", replicas=3))
        await bed.until_ready(unit.Unit, "app")
        held = bed.address_of("app-2")
        uid = bed.get(address.Address, held).metadata.uid  # type: ignore[union-attr]
        await bed.api.delete(address.Address, held)
        await bed.until(lambda: (new := bed.get(address.Address, held)) and new.metadata.uid != uid)
        assert bed.address_of("app-2") == held
        await bed.until_ready(unit.Unit, "app")
