"""Step 3: plans, carried out one instance at a time."""

import collections

import structlog

from boxfleet.api import cluster, disruption_budget, labels, meta, node, rebalance, unit
from boxfleet.client import client, errors, loop
from boxfleet.client import events as recorders
from boxfleet.controllers import caches, settings
from boxfleet.controllers.rebalance import observe
from boxfleet.kit import clock
from boxfleet.planning import rebalance as planning

log = structlog.get_logger()

# After a move the next look comes sooner, by this factor.
_SOONER = 0.25
_HOUR = 3600.0


class RebalanceController:
    """Evens out or consolidates the hosts of Clusters that ask for it."""

    def __init__(
        self,
        api: client.Client,
        indexed: caches.Indexed,
        *,
        events: recorders.Recorder,
        clock: clock.Clock,
        settings: settings.Settings,
    ) -> None:
        self._api = api
        self._default = settings.cluster
        self._look = settings.rebalance_look
        self._indexed = indexed
        self._events = events
        self._clock = clock
        self._clusters = indexed.shared.of(cluster.Cluster)
        self._nodes = indexed.shared.of(node.Node)
        self._budgets = indexed.shared.of(disruption_budget.PodDisruptionBudget)
        # When instances were moved, by cluster, within the last hour; and whose Unit is waited for.
        self._moved: dict[str, collections.deque[float]] = {}
        self._waiting: dict[str, meta.Key] = {}
        # Where instances were moved away from, within the last hour.
        self._sources: dict[str, dict[meta.Key, tuple[str, float]]] = {}
        self._loop: loop.Loop[str] = loop.Loop("rebalance", self.reconcile, workers=1)
        self.run = self._loop.run
        self._clusters.listen(self._cluster_changed)

    async def reconcile(self, name: str) -> float | None:
        """Look at one Cluster; gives seconds until the next look."""
        subject = self._clusters.find(name)
        if subject is None or subject.spec.type is not cluster.ClusterType.HOSTS:
            self._moved.pop(name, None)
            self._waiting.pop(name, None)
            return None
        policy = subject.spec.rebalance
        if policy.mode is rebalance.Mode.OFF:
            await self._avoid(name, frozenset())
            return None
        world = self.world()
        use = await observe.measure(self._api)
        hosts = observe.hosts_of(name, world, use, default_cluster=self._default, returned=self._returned(name))
        left = self._left(name, policy)
        plan = planning.plan(policy, hosts, limit=max(1, left))
        await self._avoid(name, frozenset(plan.avoid))
        if not plan.moves or left <= 0 or not planning.is_open(policy, self._clock.now()) or self._is_waiting(name):
            return self._look
        move = plan.moves[0]
        if not await self._evict(move):
            return self._look
        self._moved.setdefault(name, collections.deque()).append(self._clock.monotonic())
        self._waiting[name] = move.unit
        self._sources.setdefault(name, {})[move.key] = (move.source, self._clock.monotonic())
        return self._look * _SOONER

    def world(self) -> observe.World:
        """What the caches hold."""
        return observe.World(
            nodes=list(self._nodes),
            pods=list(self._indexed.pods),
            units=list(self._indexed.units),
            claims=list(self._indexed.claims),
            budgets=list(self._budgets),
        )

    def _left(self, name: str, policy: rebalance.Rebalance) -> int:
        """How many moves this hour still allows."""
        moved = self._moved.setdefault(name, collections.deque())
        while moved and self._clock.monotonic() - moved[0] > _HOUR:
            moved.popleft()
        return policy.movesPerHour - len(moved)

    def _returned(self, name: str) -> dict[meta.Key, str]:
        """Moved instances by where they came from: whoever is back there stays for an hour."""
        known = self._sources.setdefault(name, {})
        for key in [key for key, (_, when) in known.items() if self._clock.monotonic() - when > _HOUR]:
            del known[key]
        return {key: source for key, (source, _) in known.items()}

    def _is_waiting(self, name: str) -> bool:
        """Whether the Unit of the last move is not whole yet."""
        key = self._waiting.get(name)
        owner: unit.Unit | None = self._indexed.units.get(key) if key is not None else None
        if owner is None or owner.status.readyReplicas >= owner.spec.replicas:
            self._waiting.pop(name, None)
            return False
        return True

    async def _evict(self, move: planning.Move) -> bool:
        """Ask for an instance to leave its host; whether it does."""
        subject = self._indexed.pods.get(move.key)
        if subject is None or subject.metadata.deletionTimestamp:
            return False
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": move.key.name, "namespace": move.key.namespace},
            "deleteOptions": {"preconditions": {"uid": subject.metadata.uid}},
        }
        path = f"/api/v1/namespaces/{move.key.namespace}/pods/{move.key.name}/eviction"
        try:
            await self._api.call("POST", path, body=body)
        except (errors.NotFound, errors.Conflict, errors.Unavailable) as refused:
            log.info("an instance may not be moved now", pod=str(move.key), cause=refused.message)
            return False
        self._events.normal(subject, "Rebalanced", f"Moved away from {move.source}: {move.why}")
        return True

    async def _avoid(self, name: str, wanted: frozenset[str]) -> None:
        """Mark the nodes of a cluster that new instances should avoid."""
        for each in self._nodes:
            if (
                each.metadata.labels.get(labels.CLUSTER) or self._default
            ) != name or labels.MIRRORED in each.metadata.labels:
                continue
            others = [taint for taint in each.spec.taints if taint.key != labels.TAINT_AVOID]
            marked = len(others) != len(each.spec.taints)
            if marked == (each.metadata.name in wanted):
                continue
            if not marked:
                others.append(node.Taint(key=labels.TAINT_AVOID, effect="PreferNoSchedule"))
            change = {
                "metadata": {"resourceVersion": each.metadata.resourceVersion},
                "spec": {"taints": [meta.to_dict(taint) for taint in others] or None},
            }
            try:
                await self._api.patch(node.Node, each.metadata.name, change)
            except errors.NotFound:
                continue

    def _cluster_changed(self, old: cluster.Cluster | None, new: cluster.Cluster | None) -> None:
        subject = new or old
        if subject is not None and (old is None or new is None or old.spec.rebalance != new.spec.rebalance):
            self._loop.add(subject.metadata.name)
