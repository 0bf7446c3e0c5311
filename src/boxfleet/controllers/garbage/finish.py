"""Step 3: owners that wait for their dependents."""

from collections.abc import Sequence

from boxfleet.api import labels, meta
from boxfleet.client import client, errors
from boxfleet.controllers.garbage import collect, graph
from boxfleet.planning import garbage


async def finish(
    api: client.Client, known: graph.Graph, subject: meta.Object, *, unseen: Sequence[meta.Object] = ()
) -> None:
    """Let an object go whose dependents are gone, or let loose; `unseen` are dependents that the graph does not have.

    Call it only when the dependents are all known.
    """
    metadata = subject.metadata
    if garbage.orphans(metadata):
        for each in known.dependents(metadata.uid):
            if (kind := known.types.get((each.group, each.kind))) is None:
                continue
            dependent = await api.find(kind, each.key.name, namespace=each.key.namespace)
            if dependent is not None:
                await collect.drop_references(api, dependent, (metadata.uid,))
        for dependent in unseen:
            await collect.drop_references(api, dependent, (metadata.uid,))
        await _remove_finalizer(api, subject, labels.ORPHAN)
    elif garbage.waits_in_foreground(metadata):
        for dependent in unseen:
            await collect.collect(api, known, dependent)
        blocking = any(garbage.blocks(each.metadata, metadata.uid) for each in unseen)
        if not blocking and not known.blocking(metadata.uid):
            await _remove_finalizer(api, subject, labels.FOREGROUND)


async def _remove_finalizer(api: client.Client, subject: meta.Object, finalizer: str) -> None:
    left = [each for each in subject.metadata.finalizers if each != finalizer]
    change = {
        "metadata": {
            "uid": subject.metadata.uid,
            "resourceVersion": subject.metadata.resourceVersion,
            "finalizers": left or None,
        }
    }
    try:
        await api.patch(type(subject), subject.metadata.name, change, namespace=subject.metadata.namespace)
    except errors.NotFound:
        return
