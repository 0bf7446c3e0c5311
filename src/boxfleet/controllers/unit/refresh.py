"""Step 6: files whose content changed, in place."""

from boxfleet.api import labels, pod
from boxfleet.client import client, errors
from boxfleet.controllers.unit import make, observe, render
from boxfleet.planning import instances, manifest


async def refresh(
    api: client.Client, situation: observe.Situation, instance: instances.Instance, *, renderings: render.Renderings
) -> None:
    """Bring one running instance's files up to date, then say so on its Pod."""
    rendered = renderings.done.get(instance.ordinal)
    # A Pod of an older revision may want other files: it is replaced in its turn.
    if rendered is None or instance.terminating or instance.revision != manifest.revision(situation.unit.spec):
        return
    wanted = manifest.files(situation.unit, ordinal=instance.ordinal, rendered=rendered)
    if wanted is None:
        return
    existing = situation.files.get(wanted.metadata.name)
    if existing is None or existing.data != wanted.data:
        await make.put_files(api, wanted, owner=situation.unit)
    if instance.files_hash != rendered.files_hash:
        change = {"metadata": {"uid": instance.uid, "annotations": {labels.FILES_HASH: rendered.files_hash}}}
        try:
            await api.patch(pod.Pod, instance.name, change, namespace=situation.unit.metadata.namespace)
        except errors.NotFound:
            return
