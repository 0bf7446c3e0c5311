"""Which instances of a lost host are made elsewhere, and when that is safe."""

import pytest

from boxfleet.api import labels, lease, meta, pod, pod_affinity, pod_sources
from boxfleet.planning import takeover


def instance(**spec: object) -> pod.Pod:
    owner = meta.OwnerReference(apiVersion="boxfleet.dev/v1", kind="Unit", name="web", uid="1", controller=True)
    return pod.Pod(
        metadata=meta.ObjectMeta(name="web-0", namespace="default", ownerReferences=[owner]),
        spec=pod.PodSpec(containers=[], **spec),  # type: ignore[arg-type]
    )


def promise(text: str) -> lease.Lease:
    return lease.Lease(metadata=meta.ObjectMeta(name="h1", annotations={labels.FENCE: text}))


def test_what_has_nothing_on_its_host_is_made_elsewhere() -> None:
    assert takeover.stays(instance()) == ""
    alone = instance()
    alone.metadata.ownerReferences = []
    assert takeover.stays(alone) == "nothing would make it again"


def test_data_and_files_of_the_host_stay_with_it() -> None:
    claim = pod_sources.ClaimVolumeSource(claimName="data")
    assert "data is there" in takeover.stays(
        instance(volumes=[pod_sources.Volume(name="a", persistentVolumeClaim=claim)])
    )
    path = pod_sources.HostPathVolumeSource(path="/srv")
    assert "/srv" in takeover.stays(instance(volumes=[pod_sources.Volume(name="a", hostPath=path)]))


@pytest.mark.parametrize(
    ("toleration", "stays"),
    [
        (pod_affinity.Toleration(key=labels.TAINT_UNREACHABLE, operator="Exists", effect="NoExecute"), True),
        (pod_affinity.Toleration(operator="Exists"), True),
        (
            pod_affinity.Toleration(
                key=labels.TAINT_UNREACHABLE, operator="Exists", effect="NoExecute", tolerationSeconds=300
            ),
            False,
        ),
        (pod_affinity.Toleration(key=labels.TAINT_UNREACHABLE, operator="Exists", effect="NoSchedule"), False),
        (pod_affinity.Toleration(key="other", operator="Exists", effect="NoExecute"), False),
    ],
)
def test_a_unit_says_no_by_a_toleration(toleration: pod_affinity.Toleration, stays: bool) -> None:
    assert bool(takeover.stays(instance(tolerations=[toleration]))) is stays


def test_a_takeover_is_safe_only_after_the_host_has_ended_all() -> None:
    assert takeover.is_safe(takeover.FENCE_AFTER, after=takeover.TAKEOVER_AFTER)
    assert not takeover.is_safe(takeover.FENCE_AFTER, after=takeover.FENCE_AFTER + takeover.TERM_FOR)
    assert not takeover.is_safe(None, after=1000)
    assert takeover.promise_of(promise("7")) == 7
    assert takeover.promise_of(promise("soon")) is None
    assert takeover.promise_of(None) is None


def test_more_than_half_lost_at_once_is_no_takeover() -> None:
    assert takeover.within_budget(alive=1, hosts=2)
    assert takeover.within_budget(alive=2, hosts=3)
    assert not takeover.within_budget(alive=1, hosts=3)
    assert takeover.within_budget(alive=2, hosts=4)
    assert not takeover.within_budget(alive=1, hosts=4)
