"""Step 9: what a pool says of itself."""

import datetime

from boxfleet.api import node, node_pool
from boxfleet.client import cache
from boxfleet.kit import clock
from boxfleet.planning import conditions, node_health
from boxfleet.ports import provider

_COMING = (node_pool.Phase.CREATING, node_pool.Phase.JOINING)
_LEAVING = (node_pool.Phase.DRAINING, node_pool.Phase.DELETING)


def later(now: datetime.datetime, seconds: float) -> str:
    """A moment to come."""
    return clock.stamp(now + datetime.timedelta(seconds=seconds))


def held(status: node_pool.NodePoolStatus, now: datetime.datetime) -> bool:
    """Whether the provider is not asked for machines now."""
    return bool(status.retryAt) and clock.parse(status.retryAt) > now


def sum_up(
    subject: node_pool.NodePool,
    status: node_pool.NodePoolStatus,
    nodes: cache.Cache[node.Node],
    *,
    fault: provider.ProviderFault | None,
    now: datetime.datetime,
) -> None:
    """Bring counts and conditions of a status up to date, in place."""
    if status.retryAt and not held(status, now):
        status.retryAt = status.soldOutUntil = ""
    status.observedGeneration = subject.metadata.generation
    status.machines.sort(key=lambda each: each.name)
    phases = [each.phase for each in status.machines]
    status.hosts = len(phases)
    status.joiningHosts = sum(phase in _COMING for phase in phases)
    status.leavingHosts = sum(phase in _LEAVING for phase in phases)
    known = [nodes.find(each.name) for each in status.machines if each.phase is node_pool.Phase.READY]
    status.readyHosts = sum(each is not None and node_health.is_ready(each) for each in known)
    said = conditions.Conditions(status.conditions, now=clock.stamp(now))
    failure = status.lastFailure
    if subject.metadata.deletionTimestamp:
        waits = [f"{each.name}: {each.message or each.phase.value}" for each in status.machines]
        said.put("Ready", "False", "Terminating", f"its machines are deleted first: {'; '.join(waits)}")
    elif fault is not None:
        said.put("Ready", "False", type(fault).__name__, str(fault))
    elif status.retryAt and failure is not None:
        said.put("Ready", "False", failure.reason, f"{failure.message}; it is asked again at {status.retryAt}")
    else:
        said.put("Ready", "True", "Reachable", "the provider answers")
    status.conditions = said.items
