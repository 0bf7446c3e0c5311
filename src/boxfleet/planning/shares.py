"""What of a Unit is wanted in a cluster that somebody else runs, from its Placement and its Pods."""

import dataclasses
import uuid
from collections.abc import Collection, Mapping

from boxfleet.api import labels, meta, placement, pod
from boxfleet.planning import instances

# Names the ground on which marks are made, so that they meet no other UUIDs.
_MARKS = uuid.UUID("5a3d3f6e-6a0f-5d0e-9f0b-2b1f7c1c9b54")


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """The Pods of a share, sorted by what is to happen to their instances."""

    # By ordinal.
    orders: Mapping[int, pod.Pod]
    # By instance name, the seconds that one on its way out has.
    grace: Mapping[str, int]
    # Ordinals that run there and have no Pod: deleted by force, or about to be made. They are left alone.
    unknown: Collection[int]


def mark_of(subject: pod.Pod) -> str:
    """What tells instances apart: equal for Pods that need no new instance.

    A Pod that was lost and made again, or whose instance moved to another host within its cluster, is the same
    instance as before; one of another revision, environment or address is not.
    """
    metadata = subject.metadata
    parts = (
        metadata.namespace,
        metadata.name,
        meta.controller_uid(subject),
        metadata.labels.get(labels.REVISION, ""),
        metadata.annotations.get(labels.ENV_HASH, ""),
        metadata.annotations.get(labels.ADDRESS, ""),
    )
    return str(uuid.uuid5(_MARKS, "\n".join(parts)))


def sort(share: placement.Placement, pods: Collection[pod.Pod], *, running: Collection[str]) -> Wanted:
    """Sort the Pods of a share; `running` are the names of instances that the cluster has."""
    orders: dict[int, pod.Pod] = {}
    grace: dict[str, int] = {}
    for each in pods:
        ordinal = instances.ordinal_of(each)
        if ordinal is None or meta.controller_uid(each) != meta.controller_uid(share):
            # Of an earlier Unit of the name, and on its way out.
            continue
        if each.metadata.deletionTimestamp:
            grace[each.metadata.name] = _grace_of(each)
        elif ordinal in share.spec.ordinals:
            orders[ordinal] = each
    named = {ordinal: f"{share.spec.unit}-{ordinal}" for ordinal in share.spec.ordinals}
    unknown = [
        ordinal for ordinal, name in named.items() if ordinal not in orders and name not in grace and name in running
    ]
    return Wanted(orders, grace, unknown)


def _grace_of(subject: pod.Pod) -> int:
    given = subject.metadata.deletionGracePeriodSeconds
    return subject.spec.terminationGracePeriodSeconds if given is None else given
