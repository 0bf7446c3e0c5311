"""Step 1: hosts, what they use, and which of their instances may be moved."""

from collections.abc import Collection, Iterable, Mapping

import msgspec

from boxfleet.api import disruption_budget, labels, meta, node, pod, unit, usage, volume_claim
from boxfleet.client import client
from boxfleet.planning import disruption, instances, node_health, node_places, pod_asks, resources
from boxfleet.planning import rebalance as planning


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """Real use by node and by Pod: CPU in thousandths, memory in bytes."""

    nodes: Mapping[str, Mapping[str, float]]
    pods: Mapping[meta.Key, Mapping[str, float]]


class World(msgspec.Struct, frozen=True, kw_only=True):
    """What there is, as far as moving needs it."""

    nodes: Collection[node.Node]
    pods: Collection[pod.Pod]
    units: Collection[unit.Unit]
    claims: Collection[volume_claim.PersistentVolumeClaim]
    budgets: Collection[disruption_budget.PodDisruptionBudget]


async def measure(api: client.Client) -> Use:
    """Ask all agents; those that do not answer are left out. Raises ApiError."""
    nodes = await api.list(usage.NodeMetrics)
    pods = await api.list(usage.PodMetrics)
    return Use(
        nodes={each.metadata.name: _amounts([each.usage]) for each in nodes.items},
        pods={each.key: _amounts(one.usage for one in each.containers) for each in pods.items},
    )


def hosts_of(
    name: str,
    world: World,
    use: Use,
    *,
    default_cluster: str,
    returned: Mapping[meta.Key, str],
) -> list[planning.Host]:
    """The hosts of a Cluster that are well and measured. `default_cluster` has the nodes whose labels name none;
    `returned` are instances that came back where they were moved away from, with their node."""
    movable = _Movable(world)
    places = node_places.board(world.nodes, world.pods, default_cluster=default_cluster)
    found = []
    for each in world.nodes:
        place = places.get(each.metadata.name)
        measured = use.nodes.get(each.metadata.name)
        if place is None or place.cluster != name or measured is None or not node_health.is_ready(each):
            continue
        guests = [
            planning.Guest(
                key=one.key,
                unit=instances.unit_key(one),
                ask=node_places.ask_of(one),
                use=use.pods.get(one.key, {}),
                held=movable.held(one) or _returned(one, returned),
            )
            for one in world.pods
            if one.spec.nodeName == each.metadata.name and not one.status.has_ended
        ]
        avoided = any(taint.key == labels.TAINT_AVOID for taint in each.spec.taints)
        found.append(planning.Host(place=place, use=dict(measured), guests=guests, avoided=avoided))
    return found


def _returned(subject: pod.Pod, returned: Mapping[meta.Key, str]) -> str:
    if returned.get(subject.key) == subject.spec.nodeName:
        return "it was moved away and came back: nothing else takes it"
    return ""


class _Movable:
    """Which instances may be moved."""

    def __init__(self, world: World) -> None:
        self._units = {each.key: each for each in world.units}
        self._budgets = world.budgets
        self._kept = {each.key for each in world.claims if each.metadata.annotations.get(labels.SELECTED_NODE)}

    def held(self, subject: pod.Pod) -> str:
        """Why not; empty when it may."""
        owner = self._units.get(instances.unit_key(subject))
        if owner is None:
            return "nothing makes it again"
        if subject.metadata.deletionTimestamp:
            return "it is on its way out"
        data = [
            each.persistentVolumeClaim.claimName
            for each in subject.spec.volumes
            if each.persistentVolumeClaim is not None
        ]
        if any(meta.Key(subject.metadata.namespace, claim) in self._kept for claim in data):
            return "its data is on its host"
        if each := pod_asks.shares_of(subject.spec):
            return f"it shares {each[0].name} with others on its host"
        status = owner.status
        if status.readyReplicas < owner.spec.replicas or status.updatedReplicas < owner.spec.replicas:
            return f"its Unit is not whole ({status.readyReplicas} of {owner.spec.replicas} ready)"
        if owner.spec.pod_template().spec.restartPolicy != "Always":
            return "it runs to an end, and would begin again"
        for budget in self._budgets:
            if budget.metadata.namespace != subject.metadata.namespace:
                continue
            matches = disruption.matches(budget.spec.selector, subject.metadata.labels)
            if matches and budget.status.disruptionsAllowed <= 0:
                return f"its disruption budget {budget.metadata.name} lets none go"
        return ""


def _amounts(many: Iterable[Mapping[str, str]]) -> dict[str, float]:
    total: resources.Amounts = {}
    for each in many:
        try:
            resources.add(total, resources.amounts(each))
        except ValueError:
            continue
    return {name: float(amount) for name, amount in total.items()}
