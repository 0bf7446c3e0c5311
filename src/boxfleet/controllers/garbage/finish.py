"""Step 3: owners that wait for their dependents."""

from boxfleet.api import labels, meta
from boxfleet.client import client, errors
from boxfleet.controllers.garbage import collect, graph
from boxfleet.planning import garbage


async def finish(api: client.Client, known: graph.Graph, subject: meta.Object) -> None:
    """Let an object go whose dependents are gone, or let loose."""
    metadata = subject.metadata
    if garbage.orphans(metadata):
        for item in known.dependents(metadata.uid):
            dependent = await api.find(known.types[item.group, item.kind], item.key.name, namespace=item.key.namespace)
            if dependent is not None:
                await collect.drop_references(api, dependent, (metadata.uid,))
        await _remove_finalizer(api, subject, labels.ORPHAN)
    elif garbage.waits_in_foreground(metadata) and not known.blocking(metadata.uid):
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
