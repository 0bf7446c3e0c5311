"""Step 4: claims, files and the Pod of an instance."""

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping
from typing import Any

from boxfleet.api import config, labels, meta, pod, unit, volume_claim
from boxfleet.client import client, errors
from boxfleet.controllers.unit import gate, observe
from boxfleet.planning import adoption, manifest

# What tells whose an object was; a Pod's other labels say how it was made.
_KEPT_LABELS = (labels.BOX, labels.UNIT, labels.ORDINAL)


class NameTaken(Exception):
    """An object of the wanted name is there and belongs to someone else."""

    def __init__(self, existing: meta.Object) -> None:
        owner = meta.controller_of(existing)
        by = f"{owner.kind} {owner.name}" if owner is not None else "nobody"
        kind, name = existing.KIND.kind, existing.metadata.name
        going = "is still being removed" if existing.metadata.deletionTimestamp else f"is there and belongs to {by}"
        super().__init__(
            f"{kind} {name} {going}: wait for it to go, or remove it with "
            f"`kubectl delete {existing.KIND.singular} {name} -n {existing.metadata.namespace}`"
        )


class ClaimGoing(Exception):
    """A claim of the Unit is being deleted: what needs it waits for the one that comes after it."""

    def __init__(self, existing: volume_claim.PersistentVolumeClaim, *, instance: str) -> None:
        name, namespace = existing.metadata.name, existing.metadata.namespace
        super().__init__(
            f"instance {instance} waits for PersistentVolumeClaim {name}, which is being deleted, to go; "
            f"`kubectl describe pvc {name} -n {namespace}` shows what still uses it"
        )


async def make(
    api: client.Client, situation: observe.Situation, each: gate.Ready, *, revision: str, scheduler: str
) -> None:
    """Make one instance; what is there already is left as it is. Raises NameTaken.

    `scheduler` chooses its node on hosts; empty where there is only one.
    """
    subject = situation.unit
    body = manifest.pod(
        subject,
        ordinal=each.ordinal,
        cluster=each.cluster,
        address=each.address,
        rendered=each.rendered,
        revision=revision,
        scheduler=labels.CLUSTER_SCHEDULER if each.cluster in situation.foreign else scheduler,
    )
    first = _missing_claims(api, situation, each.ordinal)
    files = manifest.files(subject, ordinal=each.ordinal, rendered=each.rendered)
    if files is not None and not _is_current(situation, files):
        first.append(put_files(api, files, owner=subject))
    # The Pod comes last, so that nobody starts it before its files and claims are there.
    await _all(first)
    await _create(api, pod.Pod, body, owner=subject)


def lacks_claims(situation: observe.Situation, ordinal: int) -> bool:
    """Whether the Unit has to make claims of an instance; one that is being deleted is there until it is gone."""
    names = manifest.claim_names(situation.unit, ordinal=ordinal)
    return any(name not in situation.claims for name in names)


async def complete(api: client.Client, situation: observe.Situation, ordinal: int) -> None:
    """Make the claims again that an instance which does not run yet has lost."""
    # One of the name that is somebody else's will do: the Pod is there already, and uses it.
    with contextlib.suppress(NameTaken, ClaimGoing):
        await _all(_missing_claims(api, situation, ordinal))


async def put_files(api: client.Client, wanted: config.ConfigMap, *, owner: unit.Unit) -> None:
    """Create or change the ConfigMap with an instance's files. Raises NameTaken."""
    try:
        await api.create(wanted)
    except errors.AlreadyExists:
        existing = await api.get(config.ConfigMap, wanted.metadata.name, namespace=wanted.metadata.namespace)
        await _settle(api, existing, own=wanted.metadata.labels, owner=owner)
        patch: list[dict[str, Any]] = [
            {"op": "test", "path": "/metadata/uid", "value": existing.metadata.uid},
            {"op": "add", "path": "/data", "value": wanted.data},
            {"op": "add", "path": "/metadata/annotations", "value": existing.metadata.annotations
             | wanted.metadata.annotations},
        ]  # fmt: skip
        key = wanted.metadata
        await api.patch(config.ConfigMap, key.name, patch, namespace=key.namespace, type="json")


def _missing_claims(api: client.Client, situation: observe.Situation, ordinal: int) -> list[Coroutine[Any, Any, None]]:
    if not lacks_claims(situation, ordinal):
        return []
    return [
        _create(api, volume_claim.PersistentVolumeClaim, claim, owner=situation.unit)
        for claim in manifest.claims(situation.unit, ordinal=ordinal)
        if claim["metadata"]["name"] not in situation.claims
    ]


async def _all(work: list[Coroutine[Any, Any, None]]) -> None:
    for result in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


def _is_current(situation: observe.Situation, wanted: config.ConfigMap) -> bool:
    existing = situation.files.get(wanted.metadata.name)
    return existing is not None and not existing.metadata.deletionTimestamp and existing.data == wanted.data


async def _create(api: client.Client, kind: type[meta.Object], body: dict[str, Any], *, owner: unit.Unit) -> None:
    try:
        await api.create_raw(kind, body)
    except errors.AlreadyExists:
        name, namespace = body["metadata"]["name"], body["metadata"]["namespace"]
        existing = await api.find(kind, name, namespace=namespace)
        if existing is not None:
            own = {name: value for name, value in body["metadata"]["labels"].items() if name in _KEPT_LABELS}
            await _settle(api, existing, own=own, owner=owner)
        if isinstance(existing, volume_claim.PersistentVolumeClaim) and existing.metadata.deletionTimestamp:
            # The cache was behind.
            raise ClaimGoing(existing, instance=manifest.instance_name(owner, int(own[labels.ORDINAL]))) from None


async def _settle(api: client.Client, existing: meta.Object, *, own: Mapping[str, str], owner: unit.Unit) -> None:
    """Find that an object is the Unit's, or take it over when a Unit of this name left it behind."""
    if meta.controller_uid(existing) == owner.metadata.uid:
        return
    if not adoption.is_orphan_of(own, existing):
        raise NameTaken(existing)
    metadata = existing.metadata
    change = {
        "metadata": {
            "uid": metadata.uid,
            "resourceVersion": metadata.resourceVersion,
            "ownerReferences": [meta.to_dict(each) for each in adoption.references(existing, owner)],
        }
    }
    await api.patch(type(existing), metadata.name, change, namespace=metadata.namespace)
