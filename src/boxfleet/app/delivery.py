"""Delivering manifests: checked as a whole, applied in order, waited for."""

import asyncio
import dataclasses
import datetime
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any

from boxfleet.api import box, config, meta, namespace, pod, unit
from boxfleet.app import manifests, served
from boxfleet.app import world as world_reader
from boxfleet.client import client as clients
from boxfleet.client import errors
from boxfleet.kit import ids
from boxfleet.planning import applying, delivery, health, memories

Say = Callable[[str], None]

# Kinds that become Ready.
_AWAITED = (box.Box, unit.Unit, pod.Pod)
# Seconds between looks at what was delivered.
_LOOK = 0.25


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How the delivered objects are: whether all is well, the parts of the report, and what they were read from."""

    done: bool = False
    parts: list[health.Part] = dataclasses.field(default_factory=list)
    world: health.World = dataclasses.field(default_factory=health.World)


class Refused(Exception):
    """The API refuses something; nothing was changed unless the text says so."""


async def resolved(api: clients.Client, bundle: manifests.Bundle) -> manifests.Bundle:
    """The bundle with the place of every object that the server serves, definitions of kinds first. Raises Refused.

    Objects of kinds that the bundle itself defines have no place yet.
    """
    made_here = {kind for each in bundle.manifests if served.is_definition(each.body) for kind in _defines(each)}
    found, faults = [], []
    for each in bundle.manifests:
        if each.resource is None and (each.api_version, each.kind_name) not in made_here:
            try:
                found.append(each.at(await served.find(api, each.api_version, each.kind_name)))
            except served.NotServedError as error:
                faults.append(f"{each.origin}: {error}")
        else:
            found.append(each)
    if faults:
        raise Refused("\n".join(faults))
    found.sort(key=lambda each: not served.is_definition(each.body))
    return dataclasses.replace(bundle, manifests=found)


def _defines(definition: manifests.Manifest) -> set[tuple[str, str]]:
    return served.defined_by(definition.body)


async def check(api: clients.Client, bundle: manifests.Bundle) -> None:
    """Let the API judge a bundle that is `resolved`, without keeping it. Raises Refused with every fault of each."""
    made_here = {each.name for each in bundle.manifests if each.kind is namespace.Namespace}
    faults = []
    for each in bundle.manifests:
        if each.resource is None or each.namespace in made_here:
            # Its namespace or its kind is not there yet; the real thing is judged when it is.
            continue
        try:
            await _apply(api, each, dry=True)
        except errors.Unavailable:
            raise
        except (errors.ApiError, ValueError) as error:
            faults.append(f"{each.origin}, {each}:\n" + _words(error))
    if faults:
        raise Refused("\n".join(faults))


async def apply(api: clients.Client, bundle: manifests.Bundle, *, say: Say) -> None:
    """Create what is missing and change what differs, for a bundle that is `resolved`. Raises Refused."""
    defined = {
        kind: each.name for each in bundle.manifests if served.is_definition(each.body) for kind in _defines(each)
    }
    for found in bundle.manifests:
        each = found
        try:
            if each.resource is None:
                definition = defined[each.api_version, each.kind_name]
                each = each.at(await served.wait(api, definition, each.api_version, each.kind_name))
            say(f"{each} {await _apply(api, each, dry=False)}")
        except errors.Unavailable:
            raise
        except (errors.ApiError, ValueError, served.NotServedError) as error:
            raise Refused(f"{each.origin}, {each}:\n{_words(error)}\nwhat came before it was applied") from None


async def _apply(api: clients.Client, wanted: manifests.Manifest, *, dry: bool) -> str:
    """Create or change one object; `created`, `configured` or `unchanged`."""
    query = {"fieldValidation": "Strict", "fieldManager": "boxfleet"} | ({"dryRun": "All"} if dry else {})
    assert wanted.resource is not None
    one = wanted.resource.path(namespace=wanted.namespace, name=wanted.name)
    for _ in range(5):
        try:
            present: dict[str, Any] | None = await api.call("GET", one)
        except errors.NotFound:
            present = None
        body = applying.remembered(wanted.body)
        if wanted.kind is config.Secret:
            # Made values are kept out of the annotation, and a value that is there stays.
            existing = set((present or {}).get("data") or {})
            body = delivery.with_generated(body, existing=existing, random_text=ids.new_token)
        try:
            if present is None:
                await api.call("POST", wanted.resource.path(namespace=wanted.namespace), query=query, body=body)
                return "created"
            change = applying.patch(body, present)
            if not change:
                return "unchanged"
            now = await api.call("PATCH", one, query=query, body=change, content_type=clients.PATCH_TYPES["merge"])
            # The server may have filled defaults into what was said before, and fills them in again.
            same = now["metadata"]["resourceVersion"] == present["metadata"]["resourceVersion"]
            return "unchanged" if same else "configured"
        except (errors.AlreadyExists, errors.Conflict) as error:
            # Somebody else was quicker: look again.
            last = error
    raise last


def _words(error: Exception) -> str:
    """What the API says, a line for each field."""
    if isinstance(error, errors.ApiError):
        causes = error.details.get("causes") or []
        if causes:
            return "\n".join(f"  {each.get('field') or 'object'}: {each.get('message', '')}" for each in causes)
        return f"  {error.message}"
    return f"  {error}"


async def progress(
    api: clients.Client, bundle: manifests.Bundle, *, timeout: float, since: datetime.datetime
) -> AsyncGenerator[Look, None]:
    """How the delivered objects are, again and again until all are well or the time is over.

    What is said of instances that started before `since` is taken for a memory of the time before.
    """
    awaited = [each for each in bundle.manifests if each.kind in _AWAITED]
    end = time.monotonic() + timeout
    while True:
        try:
            world = memories.without(await world_reader.read(api), since=since)
        except errors.Unavailable:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(_LOOK)
            continue
        now = datetime.datetime.now(datetime.UTC)
        parts = [part for each in awaited if (part := _part(each, world, now)) is not None]
        done = all(part.level is health.Level.WELL for part in parts)
        yield Look(done=done, parts=parts, world=world)
        if done or time.monotonic() > end:
            return
        await asyncio.sleep(_LOOK)


def _part(wanted: manifests.Manifest, world: health.World, now: datetime.datetime) -> health.Part | None:
    key = meta.Key(wanted.namespace, wanted.name)
    for one in world.boxes:
        if wanted.kind is box.Box and one.key == key:
            mine = [
                each for each in world.units if each.spec.box == key.name and each.metadata.namespace == key.namespace
            ]
            return health.of_box(one, mine, world, now=now)
    for other in world.units:
        if wanted.kind is unit.Unit and other.key == key:
            return health.of_unit(other, world, now=now)
    for alone in world.pods:
        if wanted.kind is pod.Pod and alone.key == key:
            return health.of_pod(alone, world.events, now=now)
    missing = health.Trouble(subject=str(wanted), reason="Gone", message="it is not there any more")
    return health.Part(
        kind=wanted.kind_name.lower(), name=str(key), level=health.Level.BAD, summary="is not there", troubles=[missing]
    )
