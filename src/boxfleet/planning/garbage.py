"""Who is to be collected: the rules of ownerReferences."""

import dataclasses
import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from boxfleet.api import labels, meta


class Owner(enum.Enum):
    """How an owner is."""

    PRESENT = "present"
    # It goes in the foreground: after the dependents that block it.
    WAITING = "waiting"
    ABSENT = "absent"


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with a dependent: delete it, or drop the references to these owners, or nothing."""

    delete: bool = False
    # How its own dependents go when it is deleted.
    foreground: bool = False
    drop: tuple[str, ...] = ()


def judge(references: Sequence[meta.OwnerReference], owners: Mapping[str, Owner], *, has_blocking: bool) -> Verdict:
    """Decide for one object, given how each owner (by uid) is and whether objects block its own deletion.

    Any present owner keeps it. With only waiting and absent ones it goes, in the foreground if something blocks it.
    """
    if not references:
        return Verdict()
    states = [owners[reference.uid] for reference in references]
    if Owner.PRESENT in states:
        gone = tuple(r.uid for r, state in zip(references, states, strict=True) if state is not Owner.PRESENT)
        return Verdict(drop=gone)
    return Verdict(delete=True, foreground=Owner.WAITING in states and has_blocking)


def policy(metadata: meta.ObjectMeta, *, foreground: bool) -> Literal["Background", "Foreground", "Orphan"]:
    """How an object that nobody owns any more goes: as its own finalizers ask, which somebody may have set before."""
    if labels.ORPHAN in metadata.finalizers:
        return "Orphan"
    return "Foreground" if foreground or labels.FOREGROUND in metadata.finalizers else "Background"


def is_circle(dependents: Iterable[meta.ObjectMeta]) -> bool:
    """Whether one of the dependents waits for its own already: then nothing in the circle may block an owner."""
    return any(waits_in_foreground(each) for each in dependents)


def waits_in_foreground(metadata: meta.ObjectMeta) -> bool:
    """Whether an object is being deleted after its dependents."""
    return bool(metadata.deletionTimestamp) and labels.FOREGROUND in metadata.finalizers


def orphans(metadata: meta.ObjectMeta) -> bool:
    """Whether an object is being deleted and leaves its dependents behind."""
    return bool(metadata.deletionTimestamp) and labels.ORPHAN in metadata.finalizers


def waits(metadata: meta.ObjectMeta) -> bool:
    """Whether an object is being deleted and stays until something was done about its dependents."""
    return waits_in_foreground(metadata) or orphans(metadata)


def is_owned_by(metadata: meta.ObjectMeta, uid: str) -> bool:
    """Whether an object names that owner."""
    return any(each.uid == uid for each in metadata.ownerReferences)


def blocks(metadata: meta.ObjectMeta, uid: str) -> bool:
    """Whether an object keeps that owner from going before it."""
    return any(each.uid == uid and each.blockOwnerDeletion for each in metadata.ownerReferences)
