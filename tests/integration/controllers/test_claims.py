"""The claims of a Unit's instances: kept, and made again when they were deleted."""

import pathlib

import pytest
from tests.integration.controllers import fleetbed

from boxfleet.api import pod, unit, volume_claim

pytestmark = pytest.mark.anyio

CLAIM = """  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}"""


def uid_of(bed: fleetbed.Bed, kind: type[pod.Pod] | type[volume_claim.PersistentVolumeClaim], name: str) -> str:
    found = bed.get(kind, name)
    return found.metadata.uid if found is not None else ""


async def test_a_member_is_reset_by_deleting_its_claim_and_then_its_pod(short_dir: pathlib.Path) -> None:
    """What `kubectl delete pvc --wait=false; kubectl delete pod` does while a node still holds the claim's folder."""
    async with fleetbed.bed(short_dir) as bed:
        await bed.apply(fleetbed.unit_yaml("app", extra=CLAIM))
        await bed.until_ready(unit.Unit, "app")
        claims = volume_claim.PersistentVolumeClaim
        old_pod, old_claim = uid_of(bed, pod.Pod, "app-0"), uid_of(bed, claims, "data-app-0")
        hold = {"metadata": {"finalizers": ["boxfleet.dev/volume"]}}
        await bed.api.patch(claims, "data-app-0", hold, namespace="default")
        await bed.api.delete(claims, "data-app-0", namespace="default")
        await bed.api.delete(pod.Pod, "app-0", namespace="default")
        await bed.until(lambda: bed.condition(unit.Unit, "app", "Progressing")[1] == "WaitingForClaim")
        assert "data-app-0, which is being deleted" in bed.condition(unit.Unit, "app", "Progressing")[2]
        assert not bed.all(pod.Pod)
        await bed.api.patch(claims, "data-app-0", {"metadata": {"finalizers": None}}, namespace="default")
        await bed.until(lambda: uid_of(bed, pod.Pod, "app-0") not in ("", old_pod))
        await bed.until_ready(unit.Unit, "app")
        assert uid_of(bed, claims, "data-app-0") not in ("", old_claim)


async def test_a_pod_that_does_not_run_yet_gets_its_claim_again(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        bed.agent.held["app-0"] = "ImagePullBackOff"
        await bed.apply(fleetbed.unit_yaml("app", extra=CLAIM))
        claims = volume_claim.PersistentVolumeClaim
        await bed.until(lambda: "app-0: ImagePullBackOff" in bed.condition(unit.Unit, "app", "Ready")[2])
        the_pod, claim = uid_of(bed, pod.Pod, "app-0"), uid_of(bed, claims, "data-app-0")
        await bed.api.delete(claims, "data-app-0", namespace="default")
        await bed.until(lambda: uid_of(bed, claims, "data-app-0") not in ("", claim))
        assert uid_of(bed, pod.Pod, "app-0") == the_pod
        bed.agent.release("app-0")
        await bed.until_ready(unit.Unit, "app")


async def test_a_running_pod_keeps_what_it_has(short_dir: pathlib.Path) -> None:
    """As with a StatefulSet: nothing is made that nobody could use before the Pod is replaced."""
    async with fleetbed.bed(short_dir) as bed:
        await bed.apply(fleetbed.unit_yaml("app", extra=CLAIM))
        await bed.until_ready(unit.Unit, "app")
        await bed.api.delete(volume_claim.PersistentVolumeClaim, "data-app-0", namespace="default")
        # The Unit looks at its claims again for this, and a moment later for the Pod.
        await bed.api.patch(unit.Unit, "app", {"spec": {"replicas": 2}}, namespace="default")
        await bed.until(lambda: bed.get(volume_claim.PersistentVolumeClaim, "data-app-1"))
        await bed.until_ready(unit.Unit, "app")
        assert bed.get(volume_claim.PersistentVolumeClaim, "data-app-0") is None
        await bed.api.delete(pod.Pod, "app-0", namespace="default")
        await bed.until(lambda: bed.get(volume_claim.PersistentVolumeClaim, "data-app-0"))
        await bed.until_ready(unit.Unit, "app")
