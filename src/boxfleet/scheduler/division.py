"""Level one: a cluster for every instance, written as Placements."""

import msgspec

from boxfleet.api import cluster, meta, placement, unit
from boxfleet.client import client, errors, loop, shared
from boxfleet.planning import placement as planning
from boxfleet.planning import resources, scheduling


class Divider:
    """Unit -> Placements. An instance keeps its cluster as long as the Unit wants it."""

    def __init__(self, caches: shared.Caches) -> None:
        self._api: client.Client = caches.api
        self._units = caches.of(unit.Unit)
        self._clusters = caches.of(cluster.Cluster)
        self._placements = caches.of(placement.Placement)
        self._loop: loop.Loop[meta.Key] = loop.Loop("placement", self._one)
        self.run = self._loop.run
        self._units.listen(self._unit_changed)
        self._clusters.listen(self._cluster_changed)
        self._placements.listen(self._placement_changed)

    async def _one(self, key: meta.Key) -> None:
        subject = self._units.get(key)
        if subject is None or subject.metadata.deletionTimestamp:
            return
        mine = [each for each in self._placements_of(subject) if meta.controller_uid(each) == subject.metadata.uid]
        placed = {each.spec.cluster: each.spec.ordinals for each in mine}
        template = subject.spec.pod_template()
        ask = scheduling.Ask(requests=resources.requests_of(template.spec))
        places = [_place(each) for each in self._clusters if not each.metadata.deletionTimestamp]
        shares = planning.divide(replicas=subject.spec.replicas, placed=placed, ask=ask, clusters=places)
        known = {each.spec.cluster: each for each in mine}
        for name, ordinals in shares.items():
            await self._write(subject, name, ordinals, known.get(name))

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

    def _placements_of(self, subject: unit.Unit) -> list[placement.Placement]:
        return [
            found
            for each in self._clusters
            if (
                found := self._placements.find(
                    f"{subject.metadata.name}-{each.metadata.name}", namespace=subject.metadata.namespace
                )
            )
            is not None
        ]

    def _unit_changed(self, old: unit.Unit | None, new: unit.Unit | None) -> None:
        if new is not None and (
            old is None or old.metadata.generation != new.metadata.generation or old.metadata.uid != new.metadata.uid
        ):
            self._loop.add(new.key)

    def _placement_changed(self, old: placement.Placement | None, new: placement.Placement | None) -> None:
        subject = new or old
        if subject is not None and (old is None or new is None or old.spec != new.spec):
            self._loop.add(meta.Key(subject.metadata.namespace, subject.spec.unit))

    def _cluster_changed(self, old: cluster.Cluster | None, new: cluster.Cluster | None) -> None:
        # Load of a cluster matters to new instances only; a cluster that comes or goes matters to all.
        if old is None or new is None:
            for each in self._units:
                self._loop.add(each.key)


def _place(subject: cluster.Cluster) -> scheduling.Place:
    return scheduling.Place(
        name=subject.metadata.name,
        labels=subject.metadata.labels,
        cluster=subject.metadata.name,
        offers=resources.amounts(subject.status.allocatable),
        used=resources.amounts(subject.status.requested),
    )
