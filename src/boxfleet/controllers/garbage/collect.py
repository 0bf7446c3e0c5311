"""Step 2: dependents whose owners are gone."""

from typing import Any

from boxfleet.api import meta
from boxfleet.client import client, errors
from boxfleet.controllers.garbage import graph
from boxfleet.planning import garbage


async def collect(api: client.Client, known: graph.Graph, subject: meta.Object) -> None:
    """Delete one object, or drop references of it, when its owners are gone."""
    metadata = subject.metadata
    if not metadata.ownerReferences or metadata.deletionTimestamp:
        return
    owners = {each.uid: await _state(api, known, subject, each) for each in metadata.ownerReferences}
    has_blocking = bool(known.blocking(metadata.uid))
    verdict = garbage.judge(metadata.ownerReferences, owners, has_blocking=has_blocking)
    try:
        if verdict.delete:
            await api.delete(
                type(subject),
                metadata.name,
                namespace=metadata.namespace,
                uid=metadata.uid,
                propagation="Foreground" if verdict.foreground else "Background",
            )
        elif verdict.drop:
            await drop_references(api, subject, verdict.drop)
    except errors.NotFound:
        return


async def drop_references(api: client.Client, subject: meta.Object, uids: tuple[str, ...]) -> None:
    """Take references out of an object that did not change since it was read."""
    left: list[Any] = [meta.to_dict(each) for each in subject.metadata.ownerReferences if each.uid not in uids]
    change = {
        "metadata": {
            "uid": subject.metadata.uid,
            "resourceVersion": subject.metadata.resourceVersion,
            "ownerReferences": left or None,
        }
    }
    await api.patch(type(subject), subject.metadata.name, change, namespace=subject.metadata.namespace)


async def _state(
    api: client.Client, known: graph.Graph, subject: meta.Object, reference: meta.OwnerReference
) -> garbage.Owner:
    item = known.owner_item(reference, namespace=subject.metadata.namespace)
    if item is None or (not subject.metadata.namespace and item.key.namespace == "" and _is_namespaced(known, item)):
        # A kind that is not served here, or an owner that no namespace is known for: not ours to judge.
        return garbage.Owner.PRESENT
    found = known.find(item)
    if found is None or found.metadata.uid != reference.uid:
        found = await api.find(known.types[item.group, item.kind], item.key.name, namespace=item.key.namespace)
    if found is None or found.metadata.uid != reference.uid:
        return garbage.Owner.ABSENT
    return garbage.Owner.WAITING if garbage.waits_in_foreground(found.metadata) else garbage.Owner.PRESENT


def _is_namespaced(known: graph.Graph, item: graph.Item) -> bool:
    return known.types[item.group, item.kind].KIND.namespaced
