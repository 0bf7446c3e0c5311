"""Limits, classes of service, and what the host keeps."""

from typing import Any

import msgspec
import pytest

from boxfleet.api import pod as pods
from boxfleet.planning import pod_resources


def container(**resources: Any) -> pods.Container:
    return msgspec.convert({"name": "c", "resources": resources}, pods.Container)


@pytest.mark.parametrize(
    ("resources", "quality"),
    [
        ({}, "BestEffort"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable"),
        ({"requests": {"memory": "1Gi"}}, "Burstable"),
        ({"limits": {"ephemeral-storage": "1Gi"}}, "BestEffort"),
    ],
)
def test_quality_of_service(resources: dict[str, Any], quality: str) -> None:
    assert pod_resources.quality(pods.PodSpec(containers=[container(**resources)])) == quality


def limits(one: pods.Container, quality: pod_resources.Quality = "Burstable", floor: int = -1000) -> Any:
    return pod_resources.limits(one, quality=quality, memory_capacity=2**30, cpu_ceiling=1800, oom_floor=floor)


def test_limits_for_the_kernel() -> None:
    got = limits(container(limits={"cpu": "500m", "memory": "64Mi"}, requests={"cpu": "250m"}))
    assert (got.cpu_period, got.cpu_quota, got.cpu_shares, got.memory) == (100_000, 50_000, 256, 64 * 2**20)
    free = limits(container())
    assert (free.cpu_period, free.cpu_quota, free.cpu_shares, free.memory) == (0, 0, 2, 0)


def test_a_quota_never_exceeds_what_all_share_nor_falls_below_the_kernels_least() -> None:
    assert limits(container(limits={"cpu": "8"})).cpu_quota == 180_000
    assert limits(container(limits={"cpu": "1m"})).cpu_quota == 1_000


def test_whom_the_kernel_kills_first() -> None:
    assert limits(container(), "BestEffort").oom_score_adj == 1000
    assert limits(container(), "Guaranteed").oom_score_adj == -997
    assert limits(container(), "Guaranteed", floor=0).oom_score_adj == 0
    assert limits(container(requests={"memory": "512Mi"})).oom_score_adj == 500
    assert limits(container(requests={"memory": "4Gi"})).oom_score_adj == 2


@pytest.mark.parametrize(("cores", "kept"), [(1, 100), (2, 200), (3, 600), (4, 1000), (64, 1000)])
def test_the_host_keeps_a_share_of_its_cores(cores: int, kept: int) -> None:
    assert pod_resources.reserve(cores=cores, memory=2**34).cpu == kept


def test_the_host_keeps_memory() -> None:
    assert pod_resources.reserve(cores=2, memory=24 * 2**30).memory == 24 * 2**30 // 20
    assert pod_resources.reserve(cores=2, memory=2**40).memory == 2 * 2**30
    assert pod_resources.reserve(cores=2, memory=2**28).memory == 2**26
    assert pod_resources.reserve(cores=2, memory=2**34, cpu=50, memory_kept=7) == pod_resources.Reserve(
        cpu=50, memory=7
    )
