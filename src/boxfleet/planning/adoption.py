"""Whose an object without an owner may become: that of whoever made its like, as Kubernetes' controllers adopt."""

from collections.abc import Mapping

from boxfleet.api import meta


def is_orphan_of(labels: Mapping[str, str], found: meta.Object) -> bool:
    """Whether an object has no controller, stays, and carries all labels that its maker would give it."""
    metadata = found.metadata
    if metadata.deletionTimestamp or meta.controller_of(found) is not None:
        return False
    return all(metadata.labels.get(name) == value for name, value in labels.items())


def references(found: meta.Object, owner: meta.Object) -> list[meta.OwnerReference]:
    """The owners of an object when `owner` controls it; others stay."""
    mine = meta.owner_of(owner)
    return [*(each for each in found.metadata.ownerReferences if each.uid != mine.uid), mine]
