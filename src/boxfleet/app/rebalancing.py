"""What rebalancing would do now, without doing it."""

import asyncio
import datetime

import msgspec

from boxfleet.api import cluster, disruption_budget, node, pod, unit, volume_claim, wellknown
from boxfleet.api import rebalance as policies
from boxfleet.client import client
from boxfleet.controllers.rebalance import observe
from boxfleet.planning import rebalance as planning

# Moves that are shown.
_LIMIT = 100


class Host(msgspec.Struct, kw_only=True):
    """A host as rebalancing sees it; parts of the whole."""

    name: str
    load: float
    requested: float
    instances: int
    avoid: bool


class Proposal(msgspec.Struct, kw_only=True):
    """What would be moved in a cluster, and what stays although moving it would help, with the reason."""

    cluster: str
    mode: str
    # Whether the windows allow it at this time.
    open: bool
    hosts: list[Host]
    moves: list[dict[str, str]]
    held: dict[str, str]


async def propose(api: client.Client, *, names: list[str], mode: str) -> list[Proposal]:
    """Proposals for Clusters of hosts, all of them when no names are given; `mode` in place of their own if it is set.

    Raises ApiError.
    """
    clusters, nodes, pods, units, claims, budgets = await asyncio.gather(
        api.list(cluster.Cluster),
        api.list(node.Node),
        api.list(pod.Pod),
        api.list(unit.Unit),
        api.list(volume_claim.PersistentVolumeClaim),
        api.list(disruption_budget.PodDisruptionBudget),
    )
    use = await observe.measure(api)
    world = observe.World(
        nodes=nodes.items, pods=pods.items, units=units.items, claims=claims.items, budgets=budgets.items
    )
    found = []
    for each in sorted(clusters.items, key=lambda one: one.metadata.name):
        name = each.metadata.name
        if each.spec.type is not cluster.ClusterType.HOSTS or (names and name not in names):
            continue
        policy = each.spec.rebalance
        if mode:
            policy = msgspec.structs.replace(policy, mode=policies.Mode(mode))
        hosts = observe.hosts_of(name, world, use, default_cluster=wellknown.CLUSTER, returned={})
        found.append(_proposal(name, policy, hosts))
    return found


def _proposal(name: str, policy: policies.Rebalance, hosts: list[planning.Host]) -> Proposal:
    plan = planning.plan(policy, hosts, limit=_LIMIT)
    return Proposal(
        cluster=name,
        mode=policy.mode.value,
        open=planning.is_open(policy, datetime.datetime.now(datetime.UTC)),
        hosts=[
            Host(
                name=one.name,
                load=round(one.load, 3),
                requested=round(one.requested, 3),
                instances=len(one.guests),
                avoid=one.name in plan.avoid,
            )
            for one in sorted(hosts, key=lambda one: one.name)
        ],
        moves=[
            {"instance": str(move.key), "from": move.source, "to": move.target, "why": move.why} for move in plan.moves
        ],
        held=dict(plan.held),
    )
