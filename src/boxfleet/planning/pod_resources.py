"""Requests and limits of containers, as the kernel understands them, and what a node sets aside for itself."""

from typing import Literal

import msgspec

from boxfleet.api import pod as pods
from boxfleet.kit import quantity
from boxfleet.ports import runtime

# The kernel's scheduling period, microseconds: CFS' own default.
PERIOD = 100_000
# Below one millisecond per period the kernel refuses a quota.
MIN_QUOTA = 1_000
MIN_SHARES = 2

Quality = Literal["Guaranteed", "Burstable", "BestEffort"]


class Reserve(msgspec.Struct, frozen=True, kw_only=True):
    """What the host keeps: thousandths of a core and bytes."""

    cpu: int
    memory: int


def quality(spec: pods.PodSpec) -> Quality:
    """The Pod's quality of service class (Kubernetes: "Pod Quality of Service Classes")."""
    containers = spec.every_container
    any_set = False
    guaranteed = bool(containers)
    for container in containers:
        limits = {k: v for k, v in container.resources.limits.items() if k in ("cpu", "memory")}
        requests = {k: v for k, v in container.resources.requests.items() if k in ("cpu", "memory")}
        any_set = any_set or bool(limits) or bool(requests)
        for name in ("cpu", "memory"):
            limit = limits.get(name)
            if limit is None or quantity.parse(requests.get(name, limit)) != quantity.parse(limit):
                guaranteed = False
    if not any_set:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def limits(
    container: pods.Container, *, quality: Quality, memory_capacity: int, cpu_ceiling: int, oom_floor: int
) -> runtime.Limits:
    """What the kernel enforces on a container.

    `cpu_ceiling` (thousandths of a core) is what all instances share: a child's quota above its parent's is refused
    by cgroup v1. `oom_floor` is the lowest oom_score_adj that this host lets us set.
    """
    wanted = container.resources.limits
    requested = container.resources.requests
    quota = 0
    if "cpu" in wanted:
        milli = min(quantity.milli(wanted["cpu"]), cpu_ceiling)
        quota = max(MIN_QUOTA, milli * PERIOD // 1000) if milli else 0
    share_source = requested.get("cpu", wanted.get("cpu", 0))
    shares = max(MIN_SHARES, quantity.milli(share_source) * 1024 // 1000)
    memory_request = quantity.whole(requested.get("memory", wanted.get("memory", 0)))
    return runtime.Limits(
        cpu_period=PERIOD if quota else 0,
        cpu_quota=quota,
        cpu_shares=shares,
        memory=quantity.whole(wanted.get("memory", 0)),
        oom_score_adj=max(oom_floor, oom_score(quality, memory_request, memory_capacity)),
    )


def oom_score(quality: Quality, memory_request: int, memory_capacity: int) -> int:
    """Whom the kernel kills first (Kubernetes: "Node out of memory behavior")."""
    if quality == "Guaranteed":
        return -997
    if quality == "BestEffort":
        return 1000
    return min(max(2, 1000 - 1000 * memory_request // max(1, memory_capacity)), 999)


def reserve(*, cores: int, memory: int, cpu: int | None = None, memory_kept: int | None = None) -> Reserve:
    """What the host keeps for itself; given values win over the rule.

    Small machines keep a tenth, from four cores on one whole core is kept, between the two it grows evenly.
    Memory: a twentieth, at least 100 MiB and at most 2 GiB, and never more than a quarter.
    """
    if cpu is None:
        cpu = cores * 100 if cores <= 2 else min(1000, 200 + (cores - 2) * 400)
    if memory_kept is None:
        memory_kept = min(max(memory // 20, 100 * 2**20), 2 * 2**30, memory // 4)
    return Reserve(cpu=min(cpu, cores * 1000), memory=min(memory_kept, memory))
