"""Step 7: the status of a Cluster that somebody else runs."""

import collections
from collections.abc import Collection, Iterable

from boxfleet.api import cluster, pod
from boxfleet.planning import conditions, resources
from boxfleet.ports import cluster as ports


def status_of(
    subject: cluster.Cluster,
    *,
    looked: ports.Report | None,
    fault: ports.ClusterFault | None,
    hosts: Collection[ports.Node],
    pods: Iterable[pod.Pod],
    now: str,
) -> cluster.ClusterStatus:
    """The status by the last look; without one what is known stays, and the fault says why."""
    said = conditions.Conditions(subject.status.conditions, now=now)
    lacks = [each for each in looked.lacks if each.fatal] if looked is not None else []
    if fault is not None:
        said.put("Ready", "False", type(fault).__name__, str(fault))
    elif lacks:
        said.put("Ready", "False", "Lacking", "; ".join(f"{each.what}: {each.remedy}" for each in lacks))
    elif looked is not None:
        said.put("Ready", "True", "Reachable", f"{looked.version} answers")
    status = subject.status
    requested = _sum(resources.requests_of(each.spec) for each in pods if not each.status.has_ended)
    return cluster.ClusterStatus(
        observedGeneration=subject.metadata.generation,
        version=looked.version if looked is not None else status.version,
        latencyMilliseconds=round(looked.latency * 1000, 1) if looked is not None else status.latencyMilliseconds,
        nodes=len(hosts) if looked is not None else status.nodes,
        readyNodes=sum(each.ready for each in hosts) if looked is not None else status.readyNodes,
        capacity=_texts(_sum(_amounts(each.capacity) for each in hosts)) if hosts else status.capacity,
        allocatable=_texts(_sum(_amounts(each.allocatable) for each in hosts)) if hosts else status.allocatable,
        requested=_texts(requested),
        conditions=said.items,
    )


def is_worth_writing(old: cluster.ClusterStatus, new: cluster.ClusterStatus) -> bool:
    """Whether a status tells anything new; a latency does when it is twice or half of what was said."""
    before, after = old.latencyMilliseconds, new.latencyMilliseconds
    new.latencyMilliseconds = old.latencyMilliseconds
    worth = old != new
    new.latencyMilliseconds = after
    return worth or not before / 2 <= after <= before * 2


def _amounts(quantities: collections.abc.Mapping[str, str]) -> resources.Amounts:
    try:
        return resources.amounts(quantities)
    except ValueError:
        # A host that reports nonsense offers nothing.
        return {}


def _sum(many: Iterable[resources.Amounts]) -> resources.Amounts:
    total: resources.Amounts = {}
    for each in many:
        resources.add(total, each)
    return total


def _texts(amounts: resources.Amounts) -> dict[str, str]:
    return {resource: resources.exact_text(resource, amount) for resource, amount in sorted(amounts.items())}
