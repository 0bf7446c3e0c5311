"""Clusters as level one sees them, with what is used of each."""

import collections
import datetime
from collections.abc import Iterable, Mapping, Sequence

from boxfleet.api import cluster, labels, meta, namespace, placement, unit
from boxfleet.client import shared
from boxfleet.kit import clock
from boxfleet.planning import coupling, disruption, domains, resources
from boxfleet.planning import placement as planning

# Indexes of Units by their Box, and of Placements by their Unit.
_BOX = "box of level one"
_UNIT = "unit of level one"


def wish_of(subject: unit.Unit, known: Iterable[unit.Unit], *, siblings: Iterable[unit.Unit]) -> planning.Wish:
    """What a Unit asks of its Clusters; raises ValueError for quantities that are none.

    `known` are all Units, `siblings` those of its Box.
    """
    own = domains.short_name(subject)
    others = {domains.short_name(each): each for each in siblings if each.key != subject.key}
    policy = subject.spec.placement
    return planning.Wish(
        apart=frozenset(policy.apart) | {name for name, each in others.items() if own in each.spec.placement.apart},
        # Of two that want to be near each other the first by name is free to choose.
        first=frozenset(
            name
            for name in policy.near
            if (each := others.get(name)) is not None
            and each.spec.replicas
            and (own not in each.spec.placement.near or name < own)
        ),
        replicas=subject.spec.replicas,
        requests=resources.requests_of(subject.spec.pod_template().spec),
        policy=policy,
        keeps_data=bool(subject.spec.volumeClaimTemplates),
        shares=bool(subject.spec.provides or subject.spec.consumes),
        consumes=tuple(each.name for each in subject.spec.consumes),
        providers={
            each.name: coupling.would_provide(each.name, namespace=subject.metadata.namespace, known=known)
            for each in subject.spec.consumes
        },
    )


class Candidates:
    """Makes the candidates for a Unit from caches; counts what was just decided beside what is reported."""

    def __init__(self, caches: shared.Caches, *, clock: clock.Clock) -> None:
        self._clock = clock
        self._clusters = caches.of(cluster.Cluster)
        self._namespaces = caches.of(namespace.Namespace)
        self._units = caches.of(unit.Unit)
        self._placements = caches.of(placement.Placement)
        # Requests by Cluster, of all Placements, and what each Placement adds to them.
        self._promised: dict[str, collections.Counter[str]] = {}
        self._parts: dict[meta.Key, tuple[str, resources.Amounts]] = {}
        # Units of Boxes that have instances, by Cluster.
        self._peers: dict[tuple[str, str, str], collections.Counter[str]] = {}
        # Decided, and not seen as Placements yet: number of instances by Unit and Cluster.
        self._assumed: dict[meta.Key, dict[str, int]] = {}
        self._placements.listen(self._placement_changed)
        self._placements.add_index(_UNIT, lambda each: f"{each.metadata.namespace}/{each.spec.unit}")
        self._units.add_index(_BOX, lambda each: f"{each.metadata.namespace}/{each.spec.box}" if each.spec.box else "")

    def wish(self, subject: unit.Unit) -> planning.Wish:
        """What a Unit asks, beside those of its Box; raises ValueError for quantities that are none."""
        box = f"{subject.metadata.namespace}/{subject.spec.box}"
        siblings = self._units.by_index(_BOX, box) if subject.spec.box else []
        return wish_of(subject, self._units, siblings=siblings)

    def assume(self, subject: unit.Unit, shares: Mapping[str, Sequence[int]]) -> None:
        """Count a decision that is about to be written, so that others who decide now know of it."""
        seen = {
            each.spec.cluster: len(each.spec.ordinals)
            for each in self._placements.by_index(_UNIT, f"{subject.metadata.namespace}/{subject.metadata.name}")
        }
        self._assumed[subject.key] = {
            name: len(ordinals) for name, ordinals in shares.items() if len(ordinals) > seen.get(name, 0)
        }

    def forget(self, key: meta.Key) -> None:
        """A decision came to nothing."""
        self._assumed.pop(key, None)

    def of(self, subject: unit.Unit) -> list[planning.Candidate]:
        """All Clusters, for this Unit."""
        space = self._namespaces.find(subject.metadata.namespace)
        known = space.metadata.labels if space is not None else {}
        return [self._candidate(each, subject, known) for each in self._clusters]

    def _candidate(self, each: cluster.Cluster, subject: unit.Unit, space: Mapping[str, str]) -> planning.Candidate:
        name, spec, status = each.metadata.name, each.spec, each.status
        fault, lost = self._fault(each)
        used = resources.amounts(status.requested)
        for resource, amount in self._promised.get(name, {}).items():
            # What was decided a moment ago is not reported yet; what others run there was never decided here.
            used[resource] = max(used.get(resource, 0), amount)
        key = (subject.metadata.namespace, subject.spec.box, name)
        peers: Mapping[str, int] = self._peers.get(key, {}) if subject.spec.box else {}
        own = domains.short_name(subject)
        assumed = self._assumed_peers(subject, name) if subject.spec.box else set()
        return planning.Candidate(
            name=name,
            labels=each.metadata.labels,
            taints=spec.taints,
            unschedulable=spec.unschedulable,
            going=bool(each.metadata.deletionTimestamp),
            fault=fault,
            lost=lost,
            closed=_closed(each, space),
            offers=_amounts(status.allocatable),
            used=used,
            cost=spec.cost,
            latency=status.latencyMilliseconds / 1000,
            shares=spec.type is cluster.ClusterType.HOSTS,
            provided=self._provided(subject, name),
            peers=frozenset({peer for peer, count in peers.items() if count > 0} | assumed) - {own},
        )

    def _assumed_peers(self, subject: unit.Unit, name: str) -> set[str]:
        """Units of the same Box that were just given to a Cluster."""
        prefix = f"{subject.spec.box}-"
        return {
            key.name.removeprefix(prefix)
            for key, shares in self._assumed.items()
            if name in shares and key.namespace == subject.metadata.namespace and key.name.startswith(prefix)
        }

    def _provided(self, subject: unit.Unit, name: str) -> frozenset[str]:
        """What a Unit consumes that others of its Namespace provide in a Cluster."""
        wanted = {each.name for each in subject.spec.consumes}
        if not wanted:
            return frozenset()
        namespace = subject.metadata.namespace
        there = {
            each.spec.unit
            for each in self._placements
            if each.metadata.namespace == namespace and each.spec.cluster == name and each.spec.ordinals
        }
        found = (self._units.find(each, namespace=namespace) for each in there)
        return frozenset(
            said.name for each in found if each is not None for said in each.spec.provides if said.name in wanted
        )

    def _fault(self, each: cluster.Cluster) -> tuple[str, float]:
        ready = meta.find_condition(each.status.conditions, "Ready")
        if ready is None:
            return "nothing is known of it yet", 0.0
        if ready.status == "True":
            return "", 0.0
        since = clock.parse(ready.lastTransitionTime) if ready.lastTransitionTime else self._clock.now()
        return ready.message or ready.reason, max(0.0, (self._clock.now() - since) / datetime.timedelta(seconds=1))

    def _placement_changed(self, old: placement.Placement | None, new: placement.Placement | None) -> None:
        subject = new or old
        if subject is None:
            return
        waited = self._assumed.get(meta.Key(subject.metadata.namespace, subject.spec.unit))
        if waited is not None:
            waited.pop(subject.spec.cluster, None)
            if not waited:
                del self._assumed[meta.Key(subject.metadata.namespace, subject.spec.unit)]
        known = self._parts.pop(subject.key, None)
        if known is not None:
            resources.add(self._promised[known[0]], known[1], sign=-1)
        if old is not None:
            self._count_peer(old, -1)
        if new is None:
            return
        self._count_peer(new, 1)
        requests = self._requests(new)
        if not self._could_fit(new.spec.cluster, requests):
            # It waits for ever: what it asks for is nobody's.
            return
        part = {resource: amount * len(new.spec.ordinals) for resource, amount in requests.items()}
        resources.add(self._promised.setdefault(new.spec.cluster, collections.Counter()), part)
        self._parts[new.key] = (new.spec.cluster, part)

    def _could_fit(self, name: str, requests: resources.Amounts) -> bool:
        """Whether a Cluster that is empty would have room for one such instance."""
        found = self._clusters.find(name)
        offers = _amounts(found.status.allocatable) if found is not None else {}
        return not offers or all(amount <= offers.get(resource, 0) for resource, amount in requests.items())

    def _requests(self, share: placement.Placement) -> resources.Amounts:
        found = self._units.find(share.spec.unit, namespace=share.metadata.namespace)
        if found is None:
            return {}
        try:
            return resources.requests_of(found.spec.pod_template().spec)
        except ValueError:
            return {}

    def _count_peer(self, share: placement.Placement, sign: int) -> None:
        owner = share.metadata.labels.get(labels.BOX, "")
        if owner and share.spec.ordinals:
            key = (share.metadata.namespace, owner, share.spec.cluster)
            short = share.spec.unit.removeprefix(f"{owner}-")
            counts = self._peers.setdefault(key, collections.Counter())
            counts[short] += sign
            if not any(counts.values()):
                del self._peers[key]


def _closed(each: cluster.Cluster, space: Mapping[str, str]) -> str:
    """Why a Namespace with these labels may not use a Cluster."""
    spec = each.spec
    tenant = space.get(labels.TENANT, "")
    if spec.tenants and tenant not in spec.tenants:
        return f"it is reserved for {', '.join(spec.tenants)}"
    if spec.namespaceSelector is not None and not disruption.matches(spec.namespaceSelector, space):
        return "its namespaceSelector does not match the Namespace"
    return ""


def _amounts(quantities: Mapping[str, str]) -> resources.Amounts:
    try:
        return resources.amounts(quantities)
    except ValueError:
        # A Cluster that reports nonsense offers one Pod after the other nothing.
        return {"pods": 0}
