"""Keeps the status of definitions, and removes the objects of those that go.

Every server does it; writes are guarded by revisions.
"""

import asyncio
import contextlib
import dataclasses
from typing import Any

import structlog

from boxfleet.api import kind as kinds
from boxfleet.apiserver import deleting, faults, options, registry, standard, writing
from boxfleet.apiserver.custom import definition, naming
from boxfleet.kit import clock
from boxfleet.store import errors

JsonObject = dict[str, Any]

log = structlog.get_logger()

_PREFIX = registry.prefix(definition.KIND)
# Seconds between looks without a signal.
_PERIOD = 600.0
# Seconds between looks at the objects of a definition that goes; those that went bring the look sooner.
_AGAIN = 5.0
_NOT_FOUND = 404


class Conditions:
    """The loop over all definitions."""

    def __init__(self, known: registry.Registry, writing: writing.Writing, deleting: deleting.Deleting) -> None:
        self._registry = known
        self._writing = writing
        self._deleting = deleting
        self._ending: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Settle after every change of a definition, until the store closes."""
        store = self._registry.store
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    changes = store.watch(_PREFIX, after=store.revision)
                except errors.Closed:
                    break
                with changes:
                    await self._settle(group)
                    while not changes.closed:
                        await changes.take(timeout=_PERIOD)
                        await self._settle(group)
            for task in self._ending.values():
                task.cancel()

    async def _settle(self, group: asyncio.TaskGroup) -> None:
        """Make the status of every definition right, and begin what ends those that go."""
        known = [definition.Definition(registry.decode(row.value)) for row in self._registry.store.range(_PREFIX)]
        for one in known:
            try:
                if one.terminating and standard.DEFINITION_FINALIZER in (one.obj["metadata"].get("finalizers") or ()):
                    self._end(one, group)
                elif not one.terminating:
                    await self._name(one, [other for other in known if other.name != one.name])
            except (faults.Fault, errors.StoreError) as error:
                # The next change or period tries again.
                log.warning("a definition's status cannot be written", definition=one.name, error=str(error))

    async def _name(self, one: definition.Definition, others: list[definition.Definition]) -> None:
        beside = [other.accepted for other in others if other.group == one.group]
        beside += [_names_of(kind) for kind in self._built_in(one.group)]
        accepted, reason, message = naming.accept(one.names, one.accepted, beside)

        def change(obj: JsonObject) -> JsonObject:
            current = definition.Definition(obj)
            if current.terminating or current.names != one.names:
                return obj
            status = obj.setdefault("status", {})
            status["acceptedNames"] = accepted.written()
            now = clock.stamp(self._registry.clock.now())
            if reason:
                _set(status, "NamesAccepted", "False", reason, message, now)
            else:
                _set(status, "NamesAccepted", "True", "NoConflicts", "no conflicts found", now)
            if not reason and not current.is_true("Established"):
                text = "the initial names have been accepted"
                _set(status, "Established", "True", "InitialNamesAccepted", text, now)
            elif reason and current.condition("Established") is None:
                _set(status, "Established", "False", "NotAccepted", "not all names are accepted", now)
            return obj

        if (wanted := change(registry.decode(registry.encode(one.obj)))) != one.obj:
            del wanted
            await self._write(one.name, change)

    def _built_in(self, group: str) -> list[kinds.Kind]:
        return [
            kind for kind in self._registry.kinds if kind.group == group and self._registry.schemas.custom(kind) is None
        ]

    async def _write(self, name: str, change: Any, *, subresource: str = "status") -> None:
        with contextlib.suppress(_Gone):
            try:
                await self._writing.update(
                    definition.KIND, namespace="", name=name, change=change, subresource=subresource
                )
            except faults.Fault as fault:
                if fault.code == _NOT_FOUND:
                    raise _Gone from None
                raise

    def _end(self, one: definition.Definition, group: asyncio.TaskGroup) -> None:
        task = self._ending.get(one.name)
        if task is None or task.done():
            self._ending[one.name] = group.create_task(self._remove(one), name=f"end of {one.name}")

    async def _remove(self, one: definition.Definition) -> None:
        try:
            await self._empty(one)
        except (faults.Fault, errors.StoreError) as error:
            # The next change or period tries again.
            log.warning("a definition cannot be removed", definition=one.name, error=str(error))

    async def _empty(self, one: definition.Definition) -> None:
        """Delete all objects of a definition, then let it go."""
        store = self._registry.store
        kind = _stored_kind(one)
        prefix = registry.prefix(kind)
        try:
            changes = store.watch(prefix, after=store.revision)
        except errors.Closed:
            return
        with changes:
            await self._say_removing(one.name)
            while not changes.closed:
                changes.take_waiting()
                for row in store.range(prefix):
                    await self._delete(kind, registry.decode(row.value))
                if not store.count(prefix):
                    await self._let_go(one.name)
                    return
                await changes.take(timeout=_AGAIN)

    async def _delete(self, kind: kinds.Kind, obj: JsonObject) -> None:
        data = obj["metadata"]
        if "deletionTimestamp" in data:
            return
        try:
            await self._deleting.delete_object(
                kind, namespace=data.get("namespace", ""), name=data["name"], wanted=options.DeleteOptions()
            )
        except faults.Fault as fault:
            if fault.code != _NOT_FOUND:
                log.warning("an object cannot be removed", object=data["name"], error=fault.message)

    async def _say_removing(self, name: str) -> None:
        def change(obj: JsonObject) -> JsonObject:
            now = clock.stamp(self._registry.clock.now())
            text = "CustomResource deletion is in progress"
            _set(obj.setdefault("status", {}), "Terminating", "True", "InstanceDeletionInProgress", text, now)
            return obj

        await self._write(name, change)

    async def _let_go(self, name: str) -> None:
        def change(obj: JsonObject) -> JsonObject:
            held = obj["metadata"].get("finalizers") or []
            obj["metadata"]["finalizers"] = [one for one in held if one != standard.DEFINITION_FINALIZER]
            return obj

        await self._write(name, change, subresource="")


class _Gone(Exception):
    """The definition is no more."""


def _set(status: JsonObject, type_: str, truth: str, reason: str, message: str, now: str) -> None:
    conditions = status.setdefault("conditions", [])
    known = next((each for each in conditions if each.get("type") == type_), None)
    if known is None:
        known = {"type": type_}
        conditions.append(known)
    if known.get("status") != truth:
        known["lastTransitionTime"] = now
    known |= {"status": truth, "reason": reason, "message": message}


def _names_of(kind: kinds.Kind) -> definition.Names:
    return definition.Names(
        plural=kind.plural,
        singular=kind.singular,
        kind=kind.kind,
        list_kind=kind.listed,
        short_names=kind.short_names,
        categories=(),
    )


def _stored_kind(one: definition.Definition) -> kinds.Kind:
    """The kind of a definition's objects as they lie in the store: enough to delete them, whatever their version."""
    names = one.accepted if one.accepted.plural else dataclasses.replace(one.names)
    return kinds.Kind(
        group=one.group,
        version=one.storage,
        kind=names.kind,
        plural=one.names.plural,
        singular=names.singular,
        namespaced=one.obj["spec"]["scope"] == "Namespaced",
    )
