"""Subresources of standard kinds: scale, binding, eviction, ephemeral containers, and the end of a Namespace."""

import copy
import datetime
import functools
from collections.abc import Callable
from typing import Any

import msgspec

from boxfleet.api import kind as kinds
from boxfleet.api import names
from boxfleet.apiserver import (
    applied,
    deleting,
    faults,
    negotiate,
    objects,
    options,
    ownership,
    patching,
    registry,
    route,
    standard,
    writing,
)
from boxfleet.apiserver.apply import scaled
from boxfleet.kit import clock
from boxfleet.store import errors

JsonObject = dict[str, Any]

# How often a binding is made again on a newer state.
_CONFLICT_TRIES = 20

_SCALE = kinds.Kind(
    group="autoscaling",
    version="v1",
    kind="Scale",
    plural="scales",
    singular="scale",
    namespaced=True,
    model="autoscaling_v1.Scale",
)
_CREATED: JsonObject = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


class Subresources:
    """What can be done to a part of an object."""

    def __init__(self, registry: registry.Registry, writing: writing.Writing, deleting: deleting.Deleting) -> None:
        self._registry = registry
        self._writing = writing
        self._deleting = deleting
        self._ownership = ownership.Ownership(registry)

    async def get_scale(self, call: route.Call, kind: kinds.Kind) -> bytes:
        """The Scale (autoscaling/v1) of an object."""
        row = self._registry.read(kind, namespace=call.params.get("namespace", ""), name=call.params["name"])
        return msgspec.json.encode(_scale_of(kind, registry.decode(row.value)))

    async def put_scale(self, call: route.Call, kind: kinds.Kind) -> bytes:
        """Set the number of replicas from a whole Scale."""
        wanted = options.for_write(call, type_name="UpdateOptions")
        body = await self._writing.read_body(call)
        account = self._writing.account(call, kind, wanted, subresource="scale")
        return await self._set_scale(call, kind, lambda *_: body, wanted, account)

    async def patch_scale(self, call: route.Call, kind: kinds.Kind) -> bytes:
        """Set the number of replicas from a patch of the Scale."""
        if negotiate.content_type(call.headers.get("content-type", "")) in applied.MEDIA_TYPES:
            return await self._apply_scale(call, kind)
        wanted = options.for_write(call, type_name="PatchOptions")
        # A Scale is flat: a strategic merge of it is a merge.
        apply = await patching.read(call, _SCALE, schemas=self._registry.schemas)
        account = self._writing.account(call, kind, wanted, subresource="scale")
        return await self._set_scale(call, kind, lambda scale, _: apply(scale), wanted, account)

    async def _apply_scale(self, call: route.Call, kind: kinds.Kind) -> bytes:
        """Server-side apply of a Scale: in it, who owns replicas is who owns them in the object."""
        wanted = options.for_write(call, type_name="PatchOptions", apply=True)
        stated = await applied.read(call, _SCALE, schemas=self._registry.schemas, wanted=wanted, subresource="scale")
        applier = ownership.author(call, _SCALE, wanted, subresource="scale", apply=True)
        places = {
            each.api_version: scaled.place(each.scale.spec_replicas)
            for each in self._registry.kinds
            if (each.group, each.plural) == (kind.group, kind.plural) and each.scale is not None
        }
        after: list[ownership.Entry] = []

        def apply(scale: JsonObject, entries: list[ownership.Entry]) -> JsonObject:
            nonlocal after
            scale["metadata"]["managedFields"] = scaled.of_scale(entries, places)
            outcome = self._ownership.apply(_SCALE, scale, copy.deepcopy(stated), applier, force=wanted.force)
            now = clock.stamp(self._registry.clock.now())
            after = scaled.of_object(entries, outcome.entries, places, api_version=kind.api_version, now=now)
            return outcome.obj

        return await self._set_scale(call, kind, apply, wanted, lambda *_: after)

    async def bind(self, call: route.Call, kind: kinds.Kind) -> bytes:
        """Give a Pod its node (core/v1 Binding); once, and only to the Pod that was meant."""
        wanted = options.for_write(call, type_name="CreateOptions")
        body = await self._writing.read_body(call)
        name = call.params["name"]
        target = body.get("target")
        given = body.get("metadata") or {}
        node = target.get("name") if isinstance(target, dict) else None
        if not isinstance(node, str) or not node:
            raise faults.invalid(
                _binding(),
                name,
                [kinds.FieldError("target.name", "Required value: which node", kinds.Reason.REQUIRED)],
            )
        if not isinstance(given, dict) or given.get("name") not in (None, "", name):
            raise faults.bad_request(
                f"the name of the object ({given.get('name') if isinstance(given, dict) else given}) does not match "
                f"the name on the URL ({name})"
            )
        annotations = given.get("annotations")

        def change(pod: JsonObject) -> JsonObject:
            uid = pod["metadata"]["uid"]
            if given.get("uid") not in (None, "", uid):
                raise faults.conflict(
                    kind,
                    name,
                    f"Precondition failed: UID in precondition: {given['uid']}, UID in object meta: {uid}",
                )
            if "deletionTimestamp" in pod["metadata"]:
                raise faults.conflict(kind, name, f"pod {name} is being deleted, cannot be assigned to a host")
            bound = pod["spec"].get("nodeName")
            if bound:
                raise faults.conflict(kind, name, f'pod {name} is already assigned to node "{bound}"')
            if pod["spec"].get("schedulingGates"):
                raise faults.conflict(kind, name, f"pod {name} has non-empty .spec.schedulingGates")
            pod["spec"]["nodeName"] = node
            if isinstance(annotations, dict):
                pod["metadata"]["annotations"] = {**pod["metadata"].get("annotations", {}), **annotations}
            _set_scheduled(pod, self._registry.clock.now())
            return pod

        if annotations or names.subdomain(node) is not None:
            await self._change_whole(call, kind, change, dry_run=wanted.dry_run)
        else:
            await self._assign(call, kind, change, dry_run=wanted.dry_run)
        return msgspec.json.encode(_CREATED)

    async def evict(self, call: route.Call, kind: kinds.Kind) -> bytes:
        """Delete a Pod politely (policy/v1 Eviction)."""
        asked = options.for_write(call, type_name="CreateOptions")
        body = await self._writing.read_body(call)
        given = body.get("deleteOptions")
        wanted = options.for_delete(call, msgspec.json.encode(given) if given is not None else b"")
        if asked.dry_run:
            # Said of the eviction, it holds for the deletion.
            wanted.dryRun = ["All"]
        await self._deleting.delete_object(
            kind, namespace=call.params["namespace"], name=call.params["name"], wanted=wanted, evicting=True
        )
        return msgspec.json.encode(_CREATED)

    async def finalize(self, call: route.Call, kind: kinds.Kind) -> bytes:
        """Set a Namespace's ``spec.finalizers``; when none is left and it is being deleted, it goes."""
        wanted = options.for_write(call, type_name="UpdateOptions")
        body = await self._writing.read_body(call)
        self._writing.check_schema(kind, body, name=call.params["name"], wanted=wanted, warnings=call.warnings)
        return await self._writing.update(
            kind,
            namespace="",
            name=call.params["name"],
            change=lambda _: copy.deepcopy(body),
            subresource="finalize",
            dry_run=wanted.dry_run,
        )

    async def approve(self, call: route.Call, kind: kinds.Kind) -> bytes:
        """Set the conditions of a CertificateSigningRequest: ``kubectl certificate approve`` and ``deny``."""
        wanted = options.for_write(call, type_name="UpdateOptions")
        name = call.params["name"]
        if call.method == "PATCH":
            apply = await patching.read(call, kind, schemas=self._registry.schemas)
        else:
            body = await self._writing.read_body(call)

            def apply(_: JsonObject) -> JsonObject:
                return copy.deepcopy(body)

        def change(current: JsonObject) -> JsonObject:
            wished = apply(copy.deepcopy(current))
            self._writing.check_schema(kind, wished, name=name, wanted=wanted, warnings=call.warnings)
            conditions = (wished.get("status") or {}).get("conditions") or []
            now = clock.stamp(self._registry.clock.now())
            for each in conditions:
                each.setdefault("lastUpdateTime", now)
                each.setdefault("lastTransitionTime", now)
            status = (current.get("status") or {}) | {"conditions": conditions}
            return current | {"metadata": wished.get("metadata") or {}, "status": status}

        def admit(kind: kinds.Kind, new: JsonObject, old: JsonObject | None) -> None:
            self._writing.judge.check_approval(call.user, kind, new)

        return await self._writing.update(
            kind, namespace="", name=name, change=change, subresource="status", dry_run=wanted.dry_run, admit=admit
        )

    async def join(self, call: route.Call, kind: kinds.Kind) -> bytes:
        """Add ephemeral containers to a Pod: ``kubectl debug``. Whatever else the body says is not looked at."""
        patched = call.method == "PATCH"
        wanted = options.for_write(call, type_name="PatchOptions" if patched else "UpdateOptions")
        name = call.params["name"]
        if patched:
            apply = await patching.read(call, kind, schemas=self._registry.schemas)
        else:
            body = await self._writing.read_body(call)
            objects.check_type(kind, body)

            def apply(_: JsonObject) -> JsonObject:
                return copy.deepcopy(body)

        def change(current: JsonObject) -> JsonObject:
            wished = apply(copy.deepcopy(current))
            if not isinstance(wished, dict):
                raise faults.bad_request("the patch makes no object")
            self._writing.check_schema(kind, wished, name=name, wanted=wanted, warnings=call.warnings, patched=patched)
            given = wished.get("metadata") or {}
            if given.get("name", name) != name:
                raise faults.bad_request(
                    f"the name of the object ({given['name']}) does not match the name on the URL ({name})"
                )
            if uid := given.get("uid"):
                current["metadata"]["uid"] = uid
            if revision := given.get("resourceVersion"):
                current["metadata"]["resourceVersion"] = revision
            joining = (wished.get("spec") or {}).get("ephemeralContainers")
            current["spec"].pop("ephemeralContainers", None)
            if joining:
                current["spec"]["ephemeralContainers"] = joining
            return current

        return await self._writing.update(
            kind,
            namespace=call.params["namespace"],
            name=name,
            change=change,
            subresource=standard.EPHEMERAL,
            dry_run=wanted.dry_run,
            admit=functools.partial(self._writing.judge.check_write, call.user, subresource=standard.EPHEMERAL),
            account=self._writing.account(call, kind, wanted, subresource=standard.EPHEMERAL),
        )

    async def _set_scale(
        self,
        call: route.Call,
        kind: kinds.Kind,
        apply: Callable[[JsonObject, list[ownership.Entry]], Any],
        wanted: options.WriteOptions,
        account: ownership.Account,
    ) -> bytes:
        """Write what `apply` makes of the Scale and the object's entries."""
        layout = kind.scale or kinds.Scale()
        name = call.params["name"]

        def change(obj: JsonObject) -> JsonObject:
            scale = apply(_scale_of(kind, obj), obj["metadata"].get("managedFields") or [])
            replicas = _replicas_of(scale, name)
            for field in ("resourceVersion", "uid"):
                if given := (scale.get("metadata") or {}).get(field):
                    obj["metadata"][field] = given
            _put(obj, layout.spec_replicas, replicas)
            checked = self._registry.schemas.check(kind, obj)
            if checked.errors:
                raise faults.invalid(kind, name, checked.errors, obj=obj)
            return obj

        value = await self._writing.update(
            kind,
            namespace=call.params.get("namespace", ""),
            name=name,
            change=change,
            dry_run=wanted.dry_run,
            account=account,
        )
        return msgspec.json.encode(_scale_of(kind, registry.decode(value)))

    async def _change_whole(self, call: route.Call, kind: kinds.Kind, change: patching.Apply, *, dry_run: bool) -> None:
        await self._writing.update(
            kind,
            namespace=call.params["namespace"],
            name=call.params["name"],
            change=change,
            subresource="binding",
            dry_run=dry_run,
        )

    async def _assign(self, call: route.Call, kind: kinds.Kind, change: patching.Apply, *, dry_run: bool) -> None:
        """Write a binding that says nothing but its node.

        As in the real server: all else of the Pod was held against the rules when it was written, no quota counts
        where it runs, and who owns which fields stays as it is.
        """
        name = call.params["name"]
        for _ in range(_CONFLICT_TRIES):
            row = self._registry.read(kind, namespace=call.params["namespace"], name=name)
            pod = change(registry.decode(row.value))
            if dry_run:
                return
            try:
                await self._registry.put(kind, pod, expected=row.revision)
            except errors.Conflict:
                continue
            return
        raise faults.modified(kind, name)


def _scale_of(kind: kinds.Kind, obj: JsonObject) -> JsonObject:
    layout = kind.scale or kinds.Scale()
    data = obj["metadata"]
    selector = _find(obj, layout.selector)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            key: data[key]
            for key in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
            if key in data
        },
        "spec": {"replicas": _find(obj, layout.spec_replicas) or 0},
        "status": {
            "replicas": _find(obj, layout.status_replicas) or 0,
            **({"selector": selector} if selector else {}),
        },
    }


def _replicas_of(scale: Any, name: str) -> int:
    spec = scale.get("spec") if isinstance(scale, dict) else None
    replicas = (spec or {}).get("replicas", 0) if isinstance(spec, dict | None) else None
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
        raise faults.invalid(
            _SCALE,
            name,
            [
                kinds.FieldError(
                    "spec.replicas", f"Invalid value: {faults.shown(replicas)}: must be a number, 0 or more"
                )
            ],
        )
    if not isinstance(scale.get("metadata", {}), dict):
        raise faults.bad_request("metadata of the Scale is not an object")
    return replicas


def _set_scheduled(pod: JsonObject, now: datetime.datetime) -> None:
    status = pod.setdefault("status", {})
    conditions = [one for one in status.get("conditions") or [] if one.get("type") != "PodScheduled"]
    conditions.append({"type": "PodScheduled", "status": "True", "lastTransitionTime": clock.stamp(now)})
    status["conditions"] = conditions


def _find(obj: Any, path: str) -> Any:
    for step in path.strip(".").split("."):
        obj = obj.get(step) if isinstance(obj, dict) else None
    return obj


def _put(obj: JsonObject, path: str, value: object) -> None:
    *steps, last = path.strip(".").split(".")
    for step in steps:
        obj = obj.setdefault(step, {})
    obj[last] = value


def _binding() -> kinds.Kind:
    return kinds.Kind(group="", version="v1", kind="Binding", plural="bindings", singular="binding", namespaced=True)
