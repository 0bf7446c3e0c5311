"""Step 3: what is decided from."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from boxfleet.api import disruption_budget, labels, meta, node, node_pool, pod, volume_claim
from boxfleet.client import shared
from boxfleet.controllers import caches
from boxfleet.controllers.node_pool import ledger as ledgers
from boxfleet.controllers.node_pool import report
from boxfleet.kit import clock
from boxfleet.planning import disruption, draining, node_health, node_pools, resources, scheduling

_COMING = (node_pool.Phase.CREATING, node_pool.Phase.JOINING)
_LEAVING = (node_pool.Phase.DRAINING, node_pool.Phase.DELETING)
# Seconds for which a host that is not Ready counts as room to come: one that is away for a moment is not replaced.
_BLINK = 60.0
# What Pods name that leave the choice to whoever is there.
_OURS = ("", "default-scheduler")
# Said of a node by its health alone: gone as soon as it is Ready.
_PASSING = (labels.TAINT_NOT_READY, labels.TAINT_UNREACHABLE)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Instances, places and pools at one moment."""

    # Those that were told that they fit nowhere, and all that wait for a host.
    pending: Sequence[node_pools.Instance]
    waiting: Sequence[node_pools.Instance]
    places: Sequence[scheduling.Place]
    pools: Sequence[node_pools.Pool]
    hosts: Sequence[node_pools.Host]
    budgets: Mapping[str, int]


class Facts:
    """Reads caches."""

    def __init__(
        self,
        caches: caches.Indexed,
        shared: shared.Caches,
        ledger: ledgers.Ledger,
        *,
        cluster: str,
        clock: clock.Clock,
    ) -> None:
        self._pods = caches.pods
        self._claims = caches.claims
        self._nodes = shared.of(node.Node)
        self._budgets = shared.of(disruption_budget.PodDisruptionBudget)
        self._ledger = ledger
        self._cluster = cluster
        self._clock = clock
        # A Pod's requests never change.
        self._asks: dict[str, scheduling.Ask | None] = {}

    def gather(self) -> Fleet:
        """All that counts now."""
        pools = self._ledger.pools()
        machines = {one.name: (pool, one) for pool in pools for one in pool.status.machines}
        leaving = {name for name, (_, one) in machines.items() if one.phase in _LEAVING}
        nodes = [each for each in self._nodes if labels.MIRRORED not in each.metadata.labels]
        places = {
            each.metadata.name: _place(each, self._cluster) for each in nodes if each.metadata.name not in leaving
        }
        inside: dict[str, list[pod.Pod]] = {}
        pending, waiting, seen = [], [], {}
        for each in self._pods:
            if each.status.has_ended:
                continue
            uid = each.metadata.uid
            ask = seen[uid] = self._asks[uid] if uid in self._asks else self._ask(each)
            where = each.spec.nodeName
            if where:
                inside.setdefault(where, []).append(each)
                if ask is not None and where in places:
                    places[where].take(ask)
            if ask is None or each.metadata.deletionTimestamp:
                continue
            # A consumer of shared memory goes to the host of its provider, and to no new one.
            consumes = any(not share.provides for share in ask.shares)
            if not where and not consumes and _is_wanted(each):
                found = node_pools.Instance(key=str(each.key), ask=self._pinned(each, ask), priority=_priority(each))
                waiting.append(found)
                if _is_told(each):
                    pending.append(found)
            elif where in leaving:
                waiting.append(node_pools.Instance(key=str(each.key), ask=ask, priority=_priority(each)))
        self._asks = seen
        budgets = list(self._budgets)
        hosts = [
            self._host(pool, one, inside.get(one.name, []), budgets)
            for pool, one in machines.values()
            if one.phase is node_pool.Phase.READY and _takes(self._nodes.find(one.name)) and one.name in places
        ]
        return Fleet(
            pending=pending,
            waiting=waiting,
            places=list(places.values()),
            pools=[self._pool(each) for each in pools],
            hosts=hosts,
            budgets={str(each.key): each.status.disruptionsAllowed for each in budgets},
        )

    def _pool(self, subject: node_pool.NodePool) -> node_pools.Pool:
        spec, status = subject.spec, subject.status
        nodes = {one.name: self._nodes.find(one.name) for one in status.machines}
        ready = {name: each for name, each in nodes.items() if each is not None and node_health.is_ready(each)}
        staying = [one for one in status.machines if one.phase not in _LEAVING]
        at_fault = subject.metadata.name in self._ledger.faults
        coming = [
            one.name
            for one in staying
            if one.name not in ready
            and self._is_coming(one, nodes[one.name])
            # Nobody can say whether it will be made.
            and not (at_fault and one.phase is node_pool.Phase.CREATING)
        ]
        scale = spec.scaleDown
        zone = {labels.ZONE: spec.template.zone} if spec.template.zone else {}
        going = bool(subject.metadata.deletionTimestamp)
        return node_pools.Pool(
            name=subject.metadata.name,
            cluster=self._cluster,
            offers=_least(spec.template.resources, ready.values()),
            labels=spec.template.labels | zone,
            taints=tuple(spec.template.taints),
            order=spec.order,
            price=spec.price,
            min=0 if going else spec.min,
            max=spec.max,
            open=not going
            and labels.NODE_POOL_FINALIZER in subject.metadata.finalizers
            and not at_fault
            and not report.held(status, self._clock.now()),
            machines=len(status.machines),
            staying=len(staying),
            coming=coming,
            ready=sum(one.phase is node_pool.Phase.READY and one.name in ready for one in staying),
            leaving=sum(one.phase is node_pool.Phase.DRAINING for one in status.machines),
            unneeded_seconds=scale.unneededSeconds,
            utilization=scale.utilization,
            budget=scale.budget if scale.enabled and not going else 0,
        )

    def _is_coming(self, one: node_pool.PoolMachine, known: node.Node | None) -> bool:
        if one.phase in _COMING:
            return True
        said = meta.find_condition(known.status.conditions, "Ready") if known is not None else None
        return said is None or not said.lastTransitionTime or self._ledger.age(said.lastTransitionTime) < _BLINK

    def _host(
        self,
        pool: node_pool.NodePool,
        one: node_pool.PoolMachine,
        inside: list[pod.Pod],
        budgets: list[disruption_budget.PodDisruptionBudget],
    ) -> node_pools.Host:
        kept = [each for each in self._claims if each.metadata.annotations.get(labels.SELECTED_NODE) == one.name]
        reasons = {(each.namespace, each.name): each.refused for each in draining.leaving(one.name, inside, kept)}
        instances = []
        for each in inside:
            ask = self._asks.get(each.metadata.uid)
            if ask is None or each.metadata.deletionTimestamp:
                continue
            stays = reasons.get((each.metadata.namespace, each.metadata.name), "")
            mine = [
                str(one.key)
                for one in budgets
                if one.metadata.namespace == each.metadata.namespace
                and disruption.matches(one.spec.selector, each.metadata.labels)
            ]
            if len(mine) > 1:
                stays = stays or f"it has more than one disruption budget: {', '.join(mine)}"
            instances.append(
                node_pools.Instance(
                    key=str(each.key),
                    ask=ask,
                    priority=_priority(each),
                    stays=stays,
                    budget=mine[0] if mine else "",
                )
            )
        return node_pools.Host(
            name=one.name,
            pool=pool.metadata.name,
            instances=instances,
            stays=f"it keeps the data of {kept[0].key}" if kept else "",
            unneeded=self._ledger.age(one.unneededSince) if one.unneededSince else None,
        )

    def _ask(self, subject: pod.Pod) -> scheduling.Ask | None:
        try:
            return scheduling.ask_of(subject)
        except ValueError:
            # Quantities that are none: no host helps it.
            return None

    def _pinned(self, subject: pod.Pod, ask: scheduling.Ask) -> scheduling.Ask:
        """With the host that has its data; a claim that is missing is as far away as one elsewhere."""
        for volume in subject.spec.volumes:
            if volume.persistentVolumeClaim is None:
                continue
            name = volume.persistentVolumeClaim.claimName
            claim = self._claims.find(name, namespace=subject.metadata.namespace)
            where = _where(claim)
            if where:
                return dataclasses.replace(ask, pinned=where)
        return ask


def _where(claim: volume_claim.PersistentVolumeClaim | None) -> str:
    if claim is None or claim.metadata.deletionTimestamp:
        return "(nowhere)"
    return claim.metadata.annotations.get(labels.SELECTED_NODE, "")


def _place(subject: node.Node, cluster: str) -> scheduling.Place:
    metadata, ready = subject.metadata, node_health.is_ready(subject)
    try:
        offers = resources.amounts(subject.status.allocatable or subject.status.capacity)
    except ValueError:
        offers = {}
    return scheduling.Place(
        name=metadata.name,
        labels=metadata.labels,
        taints=tuple(
            each
            for each in subject.spec.taints
            if each.effect != "PreferNoSchedule" and not (ready and each.key in _PASSING)
        ),
        unschedulable=subject.spec.unschedulable,
        ready=ready,
        cluster=metadata.labels.get(labels.CLUSTER) or cluster,
        offers=offers,
    )


def _takes(subject: node.Node | None) -> bool:
    """Whether a host is well, and nobody else has taken it out of work."""
    return subject is not None and node_health.is_ready(subject) and not subject.spec.unschedulable


def _least(template: Mapping[str, str], ready: Iterable[node.Node]) -> resources.Amounts:
    """What a host has: what is promised of it, or what those that came really have, if that is less.

    Else a promise that no host keeps would make one host after the other.
    """
    offers = resources.amounts(template)
    for each in ready:
        try:
            real = resources.amounts(each.status.allocatable)
        except ValueError:
            continue
        for name in offers:
            offers[name] = min(offers[name], real.get(name, 0))
    return offers


def _is_wanted(subject: pod.Pod) -> bool:
    spec = subject.spec
    return subject.status.phase in ("", "Pending") and not spec.schedulingGates and spec.schedulerName in _OURS


def _is_told(subject: pod.Pod) -> bool:
    said = meta.find_condition(subject.status.conditions, "PodScheduled")
    return said is not None and said.status == "False" and said.reason == "Unschedulable"


def _priority(subject: pod.Pod) -> int:
    return subject.spec.priority or 0
