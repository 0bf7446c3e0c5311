"""What leaves a node that is drained, and what cannot: decided from its Pods."""

from collections.abc import Iterable

import msgspec

from boxfleet.api import labels, meta, pod, volume_claim


class Leaving(msgspec.Struct, frozen=True, kw_only=True):
    """One instance on the node: `note` says what becomes of it, `refused` why it is not made to leave unasked."""

    namespace: str
    name: str
    uid: str
    note: str = ""
    refused: str = ""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def leaving(name: str, pods: Iterable[pod.Pod], claims: Iterable[volume_claim.PersistentVolumeClaim]) -> list[Leaving]:
    """The instances of a node, by name."""
    kept = {each.key for each in claims if each.metadata.annotations.get(labels.SELECTED_NODE) == name}
    found = [_leaving(each, name, kept) for each in pods if each.spec.nodeName == name]
    return sorted(found, key=str)


def _leaving(subject: pod.Pod, node: str, kept: set[meta.Key]) -> Leaving:
    metadata = subject.metadata
    note, refused = "", ""
    mine = [meta.Key(metadata.namespace, each.persistentVolumeClaim.claimName)
            for each in subject.spec.volumes if each.persistentVolumeClaim is not None]  # fmt: skip
    if data := [key.name for key in mine if key in kept]:
        note = f"its data ({', '.join(data)}) stays on {node}, so it waits until {node} takes instances again"
    if meta.controller_of(subject) is None and not subject.status.has_ended:
        refused = "nothing makes it again: --force deletes it for good"
    return Leaving(namespace=metadata.namespace, name=metadata.name, uid=metadata.uid, note=note, refused=refused)
