"""Step 2: emptying a Namespace that is being deleted."""

import collections

import msgspec

from boxfleet.api import event, meta, namespace
from boxfleet.client import client, errors
from boxfleet.controllers import custom_kinds, partial
from boxfleet.kit import tasks

FINALIZER = "kubernetes"
_CONDITION = "NamespaceContentRemaining"
_KINDS = tuple(each for each in (*partial.KINDS, partial.metadata_of(event.Event)) if each.KIND.namespaced)


async def empty(api: client.Client, subject: namespace.Namespace, *, concurrency: int) -> collections.Counter[str]:
    """Ask for everything in the Namespace to go; gives what is still there, by resource."""
    name = subject.metadata.name
    remaining: collections.Counter[str] = collections.Counter()
    for kind in (*_KINDS, *await custom_kinds.namespaced(api)):
        items = await _items(api, kind, name)
        fresh = [each for each in items if not each.metadata.deletionTimestamp]
        await tasks.gather((_delete(api, each) for each in fresh), limit=concurrency)
        # Most are gone with the request; Pods and what has finalizers take their time.
        if items and (left := await _items(api, kind, name)):
            remaining[kind.KIND.qualified] = len(left)
    return remaining


async def _items(api: client.Client, kind: type[meta.Object], name: str) -> list[meta.Object]:
    try:
        return (await api.list(kind, namespace=name)).items
    except errors.NotFound:
        # A kind that went meanwhile took its objects along.
        return []


async def finalize(api: client.Client, subject: namespace.Namespace) -> None:
    """Let the Namespace go."""
    left = [each for each in subject.spec.finalizers if each != FINALIZER]
    wanted = msgspec.structs.replace(subject, spec=namespace.NamespaceSpec(finalizers=left))
    try:
        await api.replace(wanted, subresource="finalize")
    except errors.NotFound:
        return


async def report(
    api: client.Client, subject: namespace.Namespace, remaining: collections.Counter[str], *, now: str
) -> None:
    """Say what keeps the Namespace."""
    what = ", ".join(f"{count} {resource}" for resource, count in sorted(remaining.items()))
    message = f"still there: {what}"
    said = meta.find_condition(subject.status.conditions, _CONDITION)
    if said is not None and said.message == message:
        return
    condition = {
        "type": _CONDITION,
        "status": "True",
        "reason": "SomeResourcesRemain",
        "message": message,
        "lastTransitionTime": said.lastTransitionTime if said is not None else now,
    }
    change = {"status": {"conditions": [condition]}}
    name = subject.metadata.name
    await api.patch(namespace.Namespace, name, change, subresource="status", type="strategic")


async def _delete(api: client.Client, each: meta.Object) -> None:
    metadata = each.metadata
    try:
        await api.delete(
            type(each), metadata.name, namespace=metadata.namespace, uid=metadata.uid, propagation="Background"
        )
    except (errors.NotFound, errors.Conflict):
        return
