"""Delete one object or a collection."""

from typing import Any

import msgspec

from boxfleet.api import kind as kinds
from boxfleet.apiserver import (
    admission,
    bodies,
    faults,
    objects,
    options,
    reading,
    registry,
    route,
    selectors,
    standard,
)
from boxfleet.store import errors

JsonObject = dict[str, Any]

_CONFLICT_TRIES = 20


class Deleting:
    """The deleting verbs of all kinds."""

    def __init__(self, registry: registry.Registry, admission: admission.Admission) -> None:
        self._registry = registry
        self._admission = admission

    async def delete(self, call: route.Call, kind: kinds.Kind) -> bytes:
        """Delete the named object: answers a Status when it is gone, the object while something holds it."""
        name = call.params["name"]
        wanted = options.for_delete(call, await self._body(call))
        return await self.delete_object(kind, namespace=call.params.get("namespace", ""), name=name, wanted=wanted)

    async def delete_collection(self, call: route.Call, kind: kinds.Kind) -> bytes:
        """Delete all objects that match; answers the list of them."""
        wanted = options.for_delete(call, await self._body(call))
        namespace = call.params.get("namespace", "")
        selection = selectors.parse(kind, labels=call.one("labelSelector"), fields=call.one("fieldSelector"))
        revision = self._registry.store.revision
        deleted = []
        for row in self._registry.presented(
            kind, self._registry.store.range(registry.prefix(kind, namespace=namespace))
        ):
            if not selection.matches(row.value):
                continue
            data = registry.decode(row.value)["metadata"]
            try:
                await self.delete_object(kind, namespace=data.get("namespace", ""), name=data["name"], wanted=wanted)
            except faults.Fault as fault:
                if fault.code != 404:
                    raise
            deleted.append(row.value)
        return reading.encode_list(kind, deleted, {"resourceVersion": str(revision)})

    async def delete_object(
        self,
        kind: kinds.Kind,
        *,
        namespace: str,
        name: str,
        wanted: options.DeleteOptions,
        evicting: bool = False,
    ) -> bytes:
        """Delete an object as the options say; raises Fault 403, 404 and 409.

        `evicting` a Pod, as far as its disruption budget lets it; raises Fault 429.
        """
        for _ in range(_CONFLICT_TRIES):
            row = self._registry.read(kind, namespace=namespace, name=name)
            old = registry.decode(row.value)
            self._check_preconditions(kind, old, wanted.preconditions)
            standard.check_delete(kind, name)
            self._admission.check_delete(kind, old)
            outcome = objects.delete(
                kind,
                old,
                now=self._registry.clock.now(),
                grace_seconds=wanted.gracePeriodSeconds,
                propagation=wanted.propagation,
            )
            value = row.value
            along = self._admission.along(kind, None if outcome.gone else outcome.obj, old) if outcome.changed else ()
            if evicting and outcome.changed:
                along = [*along, *self._admission.along_eviction(kind, old)]
            if outcome.changed and not wanted.dry_run:
                try:
                    value = await self._registry.put(
                        kind, outcome.obj, expected=row.revision, deleted=outcome.gone, along=along
                    )
                except errors.Conflict:
                    continue
            elif outcome.changed:
                self._admission.rehearse(along)
                value = msgspec.json.encode(outcome.obj)
            if outcome.gone and kind.grace is None:
                return msgspec.json.encode(faults.success(kind, name=name, uid=old["metadata"]["uid"]))
            return value
        raise faults.modified(kind, name)

    def _check_preconditions(self, kind: kinds.Kind, old: JsonObject, preconditions: options.Preconditions) -> None:
        name, uid, revision = (old["metadata"][field] for field in ("name", "uid", "resourceVersion"))
        if preconditions.uid is not None and preconditions.uid != uid:
            raise faults.precondition(
                kind,
                name,
                f"the UID in the precondition ({preconditions.uid}) does not match the UID in record ({uid}). "
                "The object might have been deleted and then recreated",
            )
        if preconditions.resourceVersion is not None and preconditions.resourceVersion != revision:
            raise faults.precondition(
                kind,
                name,
                f"the ResourceVersion in the precondition ({preconditions.resourceVersion}) does not match the "
                f"ResourceVersion in record ({revision}). The object might have been modified",
            )

    async def _body(self, call: route.Call) -> bytes:
        body = await bodies.read(call)
        return msgspec.json.encode(bodies.decode_as(call, body)) if body.strip() else b""
