"""Level one: a cluster for every instance, written as Placements."""

from collections.abc import Sequence

import msgspec

from boxfleet.api import cluster, labels, meta, namespace, placement, unit
from boxfleet.client import client, errors, loop, shared
from boxfleet.client import events as recorders
from boxfleet.kit import clock
from boxfleet.planning import placement as planning
from boxfleet.scheduler import candidates

# Seconds after which instances that no Cluster takes are looked at again, whatever was heard.
_AGAIN = 30.0
# Seconds between looks for a better place of instances that run.
_DRIFT = 60.0


class Divider:
    """Unit -> Placements. An instance keeps its cluster as long as it may."""

    def __init__(self, caches: shared.Caches, *, events: recorders.Recorder, clock: clock.Clock) -> None:
        self._api: client.Client = caches.api
        self._events = events
        self._units = caches.of(unit.Unit)
        self._clusters = caches.of(cluster.Cluster)
        self._placements = caches.of(placement.Placement)
        self._placements.add_index("unit", lambda each: f"{each.metadata.namespace}/{each.spec.unit}")
        self._candidates = candidates.Candidates(caches, clock=clock)
        # Units with instances that wait, with what they were told.
        self._waiting: dict[meta.Key, str] = {}
        self._loop: loop.Loop[meta.Key] = loop.Loop("placement", self._one)
        self.run = self._loop.run
        self._units.listen(self._unit_changed)
        self._clusters.listen(self._cluster_changed)
        self._placements.listen(self._placement_changed)
        caches.of(namespace.Namespace).listen(self._namespace_changed)

    async def _one(self, key: meta.Key) -> float | None:
        subject = self._units.get(key)
        if subject is None or subject.metadata.deletionTimestamp:
            self._waiting.pop(key, None)
            return None
        mine = [
            each
            for each in self._placements.by_index("unit", f"{key.namespace}/{key.name}")
            if meta.controller_uid(each) == subject.metadata.uid
        ]
        known = {each.spec.cluster: each for each in mine if not each.metadata.deletionTimestamp}
        # What is still being taken away from a cluster cannot be given to it anew.
        going = {each.spec.cluster for each in mine if each.metadata.deletionTimestamp}
        wish = self._candidates.wish(subject)
        places = [each for each in self._candidates.of(subject) if each.name not in going]
        placed = {name: each.spec.ordinals for name, each in known.items()}
        division = planning.divide(wish, placed=placed, clusters=places)
        # An ordinal is taken away from one cluster before another gets it: never twice, whatever is killed in between.
        shrinking = {name: got for name, got in division.shares.items() if set(got) <= set(placed.get(name, ()))}
        growing = {name: got for name, got in division.shares.items() if name not in shrinking}
        self._candidates.assume(subject, division.shares)
        try:
            for name, ordinals in [*shrinking.items(), *growing.items()]:
                await self._write(subject, name, ordinals, known.get(name))
        except BaseException:
            self._candidates.forget(key)
            raise
        self._tell(subject, division, placed)
        if division.waiting or going:
            return _AGAIN
        if not subject.spec.placement.drift:
            return division.retry
        await self._drift(subject, wish, division, places, known)
        return _DRIFT if division.retry is None else min(_DRIFT, division.retry)

    async def _drift(
        self,
        subject: unit.Unit,
        wish: planning.Wish,
        division: planning.Division,
        places: list[planning.Candidate],
        known: dict[str, placement.Placement],
    ) -> None:
        """Move one instance to where it is much better off, when its Unit is whole and nothing else goes on."""
        placed = {name: each.spec.ordinals for name, each in known.items()}
        whole = subject.status.readyReplicas >= subject.spec.replicas and subject.metadata.generation == (
            subject.status.observedGeneration
        )
        if not whole or dict(division.shares) != placed:
            return
        better = planning.drift(wish, placed=placed, clusters=places)
        if better is None:
            return
        for name, ordinals in sorted(
            better.shares.items(), key=lambda each: len(each[1]) > len(placed.get(each[0], ()))
        ):
            await self._write(subject, name, ordinals, known.get(name))
        self._tell(subject, better, placed)

    def _tell(self, subject: unit.Unit, division: planning.Division, placed: dict[str, list[int]]) -> None:
        """Say where new instances went and why, or why they wait; each thing once."""
        before = {ordinal: name for name, ordinals in placed.items() for ordinal in ordinals}
        for name, ordinals in sorted(division.shares.items()):
            fresh = [ordinal for ordinal in ordinals if before.get(ordinal) != name]
            if not fresh:
                continue
            moved = sorted({before[ordinal] for ordinal in fresh if ordinal in before})
            reason, came = ("Moved", f" from {', '.join(moved)}") if moved else ("Placed", "")
            text = f"{_numbers(fresh)}{came} to cluster {name}{_because(division, name)}"
            self._events.normal(subject, reason, text)
        why = division.why_not
        if not why:
            self._waiting.pop(subject.key, None)
        elif self._waiting.get(subject.key) != why:
            self._events.warning(subject, "NotPlaced", f"{_numbers(division.waiting)}: {why}")
            self._waiting[subject.key] = why

    async def _write(
        self, subject: unit.Unit, cluster_name: str, ordinals: list[int], known: placement.Placement | None
    ) -> None:
        spec = placement.PlacementSpec(unit=subject.metadata.name, cluster=cluster_name, ordinals=ordinals)
        if known is None:
            if ordinals:
                await self._create(subject, spec)
        elif not ordinals:
            try:
                await self._api.delete(
                    placement.Placement,
                    known.metadata.name,
                    namespace=known.metadata.namespace,
                    uid=known.metadata.uid,
                )
            except errors.NotFound:
                return
        elif known.spec != spec:
            await self._api.replace(msgspec.structs.replace(known, spec=spec))

    async def _create(self, subject: unit.Unit, spec: placement.PlacementSpec) -> None:
        made = placement.Placement(
            metadata=meta.ObjectMeta(
                name=f"{subject.metadata.name}-{spec.cluster}",
                namespace=subject.metadata.namespace,
                labels=dict(subject.metadata.labels),
                ownerReferences=[meta.owner_of(subject)],
                # What is made in clusters of others is taken away before this goes.
                finalizers=[labels.CLUSTER_FINALIZER] if self._is_foreign(spec.cluster) else [],
            ),
            spec=spec,
        )
        try:
            await self._api.create(made)
        except errors.AlreadyExists:
            existing = await self._api.get(
                placement.Placement, made.metadata.name, namespace=subject.metadata.namespace
            )
            if meta.controller_uid(existing) != subject.metadata.uid:
                # Of an earlier Unit of that name, on its way out: its end brings this Unit back here.
                raise errors.Conflict(
                    code=409, reason="Conflict", message=f"Placement {made.metadata.name} belongs to another Unit"
                ) from None

    def _is_foreign(self, name: str) -> bool:
        found = self._clusters.find(name)
        return found is not None and found.spec.type is not cluster.ClusterType.HOSTS

    def _unit_changed(self, old: unit.Unit | None, new: unit.Unit | None) -> None:
        if new is not None and (
            old is None or old.metadata.generation != new.metadata.generation or old.metadata.uid != new.metadata.uid
        ):
            self._loop.add(new.key)
            if new.spec.provides:
                self._add_consumers(new)

    def _add_consumers(self, provider: unit.Unit) -> None:
        """Where something is provided matters to those that consume it."""
        names = {each.name for each in provider.spec.provides}
        for each in self._units:
            if each.metadata.namespace == provider.metadata.namespace and any(
                said.name in names for said in each.spec.consumes
            ):
                self._loop.add(each.key)

    def _placement_changed(self, old: placement.Placement | None, new: placement.Placement | None) -> None:
        subject = new or old
        if subject is not None and (old is None or new is None or old.spec != new.spec):
            key = meta.Key(subject.metadata.namespace, subject.spec.unit)
            self._loop.add(key)
            owner = self._units.get(key)
            if owner is not None and owner.spec.provides:
                self._add_consumers(owner)
            # Who waits may wait for this one.
            for waits in [each for each in self._waiting if each.namespace == key.namespace and each != key]:
                self._loop.add(waits)

    def _cluster_changed(self, old: cluster.Cluster | None, new: cluster.Cluster | None) -> None:
        # Load of a cluster matters only to instances that wait; what it is, and whether it answers, to all.
        everyone = old is None or new is None or _essence(old) != _essence(new)
        for key in [each.key for each in self._units] if everyone else list(self._waiting):
            self._loop.add(key)

    def _namespace_changed(self, old: namespace.Namespace | None, new: namespace.Namespace | None) -> None:
        if old is None or new is None or old.metadata.labels == new.metadata.labels:
            return
        for each in self._units:
            if each.metadata.namespace == new.metadata.name:
                self._loop.add(each.key)


def _essence(subject: cluster.Cluster) -> object:
    ready = meta.find_condition(subject.status.conditions, "Ready")
    metadata = subject.metadata
    return metadata.labels, bool(metadata.deletionTimestamp), subject.spec, ready.status if ready is not None else ""


def _numbers(ordinals: Sequence[int]) -> str:
    """Instances by number, runs shortened."""
    parts: list[str] = []
    for start, end in _runs(ordinals):
        parts.append(str(start) if start == end else f"{start}-{end}")
    return f"instance{'s' if len(ordinals) > 1 else ''} {', '.join(parts)}"


def _runs(ordinals: Sequence[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for ordinal in sorted(ordinals):
        if found and found[-1][1] == ordinal - 1:
            found[-1] = (found[-1][0], ordinal)
        else:
            found.append((ordinal, ordinal))
    return found


def _because(division: planning.Division, name: str) -> str:
    """What was found about this cluster and the others, in short."""
    own = next((each for each in division.verdicts if each.cluster == name), None)
    if own is None or len(division.verdicts) < 2:
        return ""
    others = [
        f"{each.cluster} {', '.join(each.obstacles) if each.obstacles else f'scored {each.score:.2f}'}"
        for each in division.verdicts
        if each.cluster != name
    ]
    parts = ", ".join(f"{part} {value:.2f}" for part, value in own.parts.items())
    return f": scored {own.score:.2f} ({parts}); {'; '.join(others)}"
