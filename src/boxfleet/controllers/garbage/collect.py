"""Step 2: dependents whose owners are gone."""

import re
from typing import Any

import msgspec

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
    blocking = [found for item in known.blocking(metadata.uid) if (found := known.find(item)) is not None]
    has_blocking = bool(blocking)
    verdict = garbage.judge(metadata.ownerReferences, owners, has_blocking=has_blocking)
    try:
        if verdict.delete:
            if verdict.foreground and garbage.is_circle(each.metadata for each in blocking):
                await _unblock(api, subject)
            await api.delete(
                type(subject),
                metadata.name,
                namespace=metadata.namespace,
                uid=metadata.uid,
                propagation=garbage.policy(metadata, foreground=verdict.foreground),
            )
        elif verdict.drop:
            await drop_references(api, subject, verdict.drop)
    except errors.NotFound:
        return


async def _unblock(api: client.Client, subject: meta.Object) -> None:
    """Let the owners of an object go before it."""
    references = [
        meta.to_dict(msgspec.structs.replace(each, blockOwnerDeletion=None))
        for each in subject.metadata.ownerReferences
    ]
    await _set_references(api, subject, references)


async def drop_references(api: client.Client, subject: meta.Object, uids: tuple[str, ...]) -> None:
    """Take references out of an object that did not change since it was read."""
    left = [meta.to_dict(each) for each in subject.metadata.ownerReferences if each.uid not in uids]
    if len(left) < len(subject.metadata.ownerReferences):
        await _set_references(api, subject, left)


async def _set_references(api: client.Client, subject: meta.Object, references: list[dict[str, Any]]) -> None:
    change = {
        "metadata": {
            "uid": subject.metadata.uid,
            "resourceVersion": subject.metadata.resourceVersion,
            "ownerReferences": references or None,
        }
    }
    await api.patch(type(subject), subject.metadata.name, change, namespace=subject.metadata.namespace)


async def _state(
    api: client.Client, known: graph.Graph, subject: meta.Object, reference: meta.OwnerReference
) -> garbage.Owner:
    item = known.owner_item(reference, namespace=subject.metadata.namespace)
    if item is None:
        # A kind that is not served, or not yet: only what was seen to go is known to be gone.
        went = known.went(reference, graph.item_of(subject))
        return garbage.Owner.ABSENT if went else garbage.Owner.PRESENT
    if not subject.metadata.namespace and _is_namespaced(known, item):
        # An owner that no namespace is known for: not ours to judge.
        return garbage.Owner.PRESENT
    if known.awaits_kind_of(item, graph.item_of(subject)):
        # Asking for each alone would hold up others, where a webhook lets its callers wait.
        return garbage.Owner.PRESENT
    found = known.find(item)
    if found is None or found.metadata.uid != reference.uid:
        try:
            found = await _ask(api, known.types[item.group, item.kind], item.key)
        except errors.NotFound:
            # The kind is served no longer, and the cache has not heard of it.
            went = known.went(reference, graph.item_of(subject))
            return garbage.Owner.ABSENT if went else garbage.Owner.PRESENT
    if found is None or found.metadata.uid != reference.uid:
        return garbage.Owner.ABSENT
    return garbage.Owner.WAITING if garbage.waits_in_foreground(found.metadata) else garbage.Owner.PRESENT


async def _ask(api: client.Client, kind: type[meta.Object], key: meta.Key) -> meta.Object | None:
    """The object as the server has it now; raises NotFound when its kind is custom and not served."""
    if not kind.METADATA_ONLY:
        return await api.find(kind, key.name, namespace=key.namespace)
    # The answer for an object alone would be the same without the kind, where it says nothing of the object.
    name = re.sub(r"([\\,=])", r"\\\1", key.name)
    listed = await api.list(kind, namespace=key.namespace, fields=f"metadata.name={name}")
    return listed.items[0] if listed.items else None


def _is_namespaced(known: graph.Graph, item: graph.Item) -> bool:
    return known.types[item.group, item.kind].KIND.namespaced
