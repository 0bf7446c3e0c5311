"""Step 1: what is there."""

import dataclasses
from collections.abc import Mapping, Sequence

from boxfleet.api import address, box, cluster, config, meta, placement, pod, volume_claim
from boxfleet.api import unit as units
from boxfleet.client import cache
from boxfleet.controllers import caches
from boxfleet.planning import coupling, domains, instances


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """A Unit and all that belongs to it, at one moment."""

    unit: units.Unit
    template: pod.PodTemplateSpec
    instances: Sequence[instances.Instance]
    # By name.
    claims: Mapping[str, volume_claim.PersistentVolumeClaim]
    files: Mapping[str, config.ConfigMap]
    shares: Sequence[placement.Placement]
    # By ordinal.
    clusters: Mapping[int, str]
    # Clusters that choose the nodes of their instances themselves.
    foreign: frozenset[str]
    # The Units of the same Box by short name, this one among them; alone when it has no Box.
    siblings: Mapping[str, units.Unit]
    # Names of all Units of the Box, made or not.
    declared: frozenset[str]
    # Shared memory that it consumes, with who would provide it, in words.
    unprovided: Sequence[str] = ()
    # What consumers have lost whose provider left their host, by uid.
    lost: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def runs_to_end(self) -> bool:
        """Whether its instances are meant to end."""
        return self.template.spec.restartPolicy != "Always"


class Views:
    """Pods as instances, read once for every version of a Pod: a large Unit is looked at often."""

    def __init__(self) -> None:
        self._kept: dict[meta.Key, tuple[pod.Pod, instances.Instance | None]] = {}

    def of(self, subject: pod.Pod) -> instances.Instance | None:
        """The Pod as an instance, or None when it has no ordinal."""
        kept = self._kept.get(subject.key)
        # Objects of a cache are never changed, only put in each other's place.
        if kept is not None and kept[0] is subject:
            return kept[1]
        ordinal = instances.ordinal_of(subject)
        view = instances.view(subject, ordinal=ordinal) if ordinal is not None else None
        self._kept[subject.key] = (subject, view)
        return view

    def forget(self, key: meta.Key) -> None:
        """Let go of a Pod that is gone."""
        self._kept.pop(key, None)


def observe(subject: units.Unit, indexed: caches.Indexed, boxes: cache.Cache[box.Box], *, views: Views) -> Situation:
    """Read the caches."""
    uid, namespace = subject.metadata.uid, subject.metadata.namespace
    pods = indexed.pods.by_index(caches.OWNER, uid)
    key = f"{namespace}/{subject.metadata.name}"
    # A Placement of an earlier Unit of the same name says nothing about this one.
    shares = [each for each in indexed.placements.by_index(caches.UNIT, key) if meta.controller_uid(each) == uid]
    existing = [view for each in pods if (view := views.of(each)) is not None]
    consumes = subject.spec.consumes
    owner = boxes.find(subject.spec.box, namespace=namespace) if subject.spec.box else None
    return Situation(
        unit=subject,
        template=subject.spec.pod_template(),
        instances=existing,
        claims={each.metadata.name: each for each in indexed.claims.by_index(caches.OWNER, uid)},
        files={each.metadata.name: each for each in indexed.files.by_index(caches.OWNER, uid)},
        shares=shares,
        clusters={
            ordinal: each.spec.cluster
            for each in shares
            for ordinal in each.spec.ordinals
            # A share that goes is nobody's place any more.
            if not each.metadata.deletionTimestamp
        },
        foreign=frozenset(
            each.metadata.name
            for each in indexed.shared.of(cluster.Cluster)
            if each.spec.type is not cluster.ClusterType.HOSTS
        ),
        siblings=_siblings(subject, indexed),
        declared=frozenset(owner.spec.units) if owner is not None else frozenset(),
        unprovided=[
            f"{each.name} ({coupling.would_provide(each.name, namespace=namespace, known=indexed.units)})"
            for each in consumes
        ],
        lost=coupling.lost(existing, indexed.pods.by_index(caches.SHARED, namespace)) if consumes else {},
    )


def address_map(subject: units.Unit, indexed: caches.Indexed) -> dict[str, str]:
    """Addresses of a Unit's instances by instance name: those that are kept for them."""
    return {instance: each.metadata.name for instance, each in _held(subject, indexed).items()}


def reach_map(subject: units.Unit, indexed: caches.Indexed) -> dict[str, str]:
    """Where a Unit's instances are reached, by instance name: what others are told."""
    held = _held(subject, indexed)
    return {instance: each.status.reachedAt or each.metadata.name for instance, each in held.items()}


def _held(subject: units.Unit, indexed: caches.Indexed) -> dict[str, address.Address]:
    found: dict[str, address.Address] = {}
    key = f"{subject.metadata.namespace}/{subject.metadata.name}"
    for each in indexed.addresses.by_index(caches.UNIT, key):
        if each.metadata.deletionTimestamp:
            continue
        other = found.get(each.spec.instance)
        if other is None or caches.preferred(other, each, indexed.pods) is each:
            found[each.spec.instance] = each
    return found


def _siblings(subject: units.Unit, indexed: caches.Indexed) -> dict[str, units.Unit]:
    if not subject.spec.box:
        return {domains.short_name(subject): subject}
    key = f"{subject.metadata.namespace}/{subject.spec.box}"
    owner = meta.controller_of(subject)
    found = {
        domains.short_name(each): each
        for each in indexed.units.by_index(caches.BOX, key)
        # The Units of a Box that was deleted and made again under the same name are other Units.
        if owner is None or meta.controller_uid(each) == owner.uid
    }
    return found | {domains.short_name(subject): subject}
