"""Where an instance's storage is, and keeping it there."""

import dataclasses

from boxfleet.api import labels, meta, pod, volume_claim
from boxfleet.client import cache, client


class ClaimMissing(Exception):
    """A Pod names a claim that is not there; the text says which."""


@dataclasses.dataclass(frozen=True, slots=True)
class Storage:
    """The node that has the data, if any, and claims that no node was chosen for."""

    node: str
    unbound: tuple[volume_claim.PersistentVolumeClaim, ...]


def storage_of(subject: pod.Pod, known: cache.Cache[volume_claim.PersistentVolumeClaim]) -> Storage:
    """Look up a Pod's claims. Raises ClaimMissing."""
    chosen = ""
    unbound = []
    for volume in subject.spec.volumes:
        if volume.persistentVolumeClaim is None:
            continue
        name = volume.persistentVolumeClaim.claimName
        claim = known.find(name, namespace=subject.metadata.namespace)
        if claim is None:
            raise ClaimMissing(f'persistentvolumeclaim "{name}" not found')
        if claim.metadata.deletionTimestamp:
            raise ClaimMissing(f'persistentvolumeclaim "{name}" is being deleted')
        selected = claim.metadata.annotations.get(labels.SELECTED_NODE, "")
        if not selected:
            unbound.append(claim)
        elif chosen and selected != chosen:
            raise ClaimMissing(f"its storage is on different nodes ({chosen} and {selected}): no node has all of it")
        else:
            chosen = selected
    return Storage(chosen, tuple(unbound))


async def select(api: client.Client, claim: volume_claim.PersistentVolumeClaim, *, node: str) -> None:
    """Say which node keeps a claim's data; refused when the claim changed meanwhile."""
    change = {
        "metadata": {
            "uid": claim.metadata.uid,
            "resourceVersion": claim.metadata.resourceVersion,
            "annotations": {labels.SELECTED_NODE: node},
        }
    }
    key: meta.Key = claim.key
    await api.patch(volume_claim.PersistentVolumeClaim, key.name, change, namespace=key.namespace)
