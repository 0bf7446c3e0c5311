"""Create, replace and patch."""

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import msgspec

from boxfleet.api import kind as kinds
from boxfleet.apiserver import (
    admission,
    applied,
    authn,
    bodies,
    faults,
    metadata,
    negotiate,
    objects,
    options,
    ownership,
    patching,
    registry,
    route,
    standard,
)
from boxfleet.apiserver.apply import managers
from boxfleet.kit import ids
from boxfleet.store import errors, rows

JsonObject = dict[str, Any]

# Refuses by Fault what the caller may not write: kind, wanted object, stored one.
Admit = Callable[[kinds.Kind, JsonObject, JsonObject | None], None]


class Judge(Protocol):
    """Refuses by Fault 403 what a user may not write, beyond what the route of a request asks for."""

    def check_write(
        self, user: authn.User, kind: kinds.Kind, new: JsonObject, old: JsonObject | None, *, subresource: str = ""
    ) -> None:
        """Look at the wanted object and the stored one."""

    def check_create(self, user: authn.User, kind: kinds.Kind, *, namespace: str, name: str) -> None:
        """For a request that turns out to create an object."""

    def check_approval(self, user: authn.User, kind: kinds.Kind, request: JsonObject) -> None:
        """For a CertificateSigningRequest that is approved or denied."""


# Generated names that are tried before giving up.
_NAME_TRIES = 8
# Namespaces that are remembered; one more, and all are looked at anew.
_OPEN = 10_000
# How often a patch is made again on a newer state.
_CONFLICT_TRIES = 20


class Writing:
    """The writing verbs of all kinds."""

    def __init__(self, registry: registry.Registry, admission: admission.Admission, *, judge: Judge) -> None:
        self._registry = registry
        self.judge = judge
        self._admission = admission
        self._ownership = ownership.Ownership(registry)
        # Of Namespaces the state in which something may be created in them.
        self._open: dict[str, rows.Row] = {}

    async def create(self, call: route.Call, kind: kinds.Kind) -> bytes:
        """Create the object in the body; returns it as stored."""
        wanted = options.for_write(call, type_name="CreateOptions")
        obj = bodies.decode_as(call, await bodies.read(call))
        _judge_duplicates(call, kind, wanted)
        return await self.create_object(
            kind,
            obj,
            namespace=call.params.get("namespace", ""),
            wanted=wanted,
            warnings=call.warnings,
            admit=functools.partial(self.judge.check_write, call.user),
            owned=functools.partial(self._ownership.created, kind, author=ownership.author(call, kind, wanted)),
        )

    async def create_object(
        self,
        kind: kinds.Kind,
        obj: JsonObject,
        *,
        namespace: str,
        wanted: options.WriteOptions = options.WriteOptions(),  # noqa: B008
        warnings: list[str] | None = None,
        admit: Admit | None = None,
        owned: Callable[[JsonObject], list[ownership.Entry]] | None = None,
    ) -> bytes:
        """Create an object from plain JSON data; `admit` has the last word on it, `owned` says who owns its fields."""
        objects.check_type(kind, obj)
        self.check_schema(kind, obj, name="", wanted=wanted, warnings=warnings)
        obj = objects.prepare_create(kind, obj, namespace=namespace, now=self._registry.clock.now(), uid=ids.new_uid())
        data = obj["metadata"]
        name, prefix = data["name"], data.get("generateName", "")
        generated = not name and bool(prefix)
        if not name and not generated:
            raise faults.invalid(
                kind,
                "",
                [
                    kinds.FieldError(
                        "metadata.name", "Required value: name or generateName is required", kinds.Reason.REQUIRED
                    )
                ],
            )
        for _ in range(_NAME_TRIES if generated else 1):
            if generated:
                name = self._generate_name(kind, obj, prefix)
            self._admission.default(kind, obj, None)
            self.check_rules(kind, obj, None)
            if admit is not None:
                admit(kind, obj, None)
            self._check_namespace(kind, namespace, name)
            entries = owned(obj) if owned is not None else []
            if entries:
                obj["metadata"]["managedFields"] = entries
            along = self._admission.along(kind, obj, None)
            if wanted.dry_run:
                self._admission.rehearse(along)
                if self._registry.store.get(registry.key(kind, namespace=namespace, name=name)) is None:
                    del obj["metadata"]["resourceVersion"]
                    return msgspec.json.encode(obj)
                continue
            try:
                return await self._registry.put(kind, obj, expected=0, along=along)
            except errors.Conflict:
                continue
        raise faults.name_exhausted(kind, prefix) if generated else faults.already_exists(kind, name)

    async def replace(self, call: route.Call, kind: kinds.Kind, *, subresource: str = "") -> bytes:
        """Replace the object (or its status) by the body."""
        wanted = options.for_write(call, type_name="UpdateOptions")
        text = await bodies.read(call)
        body = bodies.decode_as(call, text)
        _judge_duplicates(call, kind, wanted)
        objects.check_type(kind, body)
        name = call.params["name"]
        given = body.get("metadata") or {}
        if isinstance(given, dict) and not given.get("name"):
            raise _nameless(name)
        if not kind.strategic and not subresource and isinstance(given, dict) and not given.get("resourceVersion"):
            # Custom resources are never overwritten unseen.
            self._registry.read(kind, namespace=call.params.get("namespace", ""), name=name)
            raise faults.invalid(
                kind,
                name,
                [kinds.FieldError("metadata.resourceVersion", "Invalid value: 0: must be specified for an update")],
            )

        unused = [body]

        def change(current: JsonObject) -> JsonObject:
            if unused:
                wished = unused.pop()
            else:
                wished = bodies.decode_as(call, text)
                objects.check_type(kind, wished)
            if subresource == "status":
                wished = _with_status_of(current, wished)
            self.check_schema(kind, wished, name=name, wanted=wanted, warnings=call.warnings)
            return wished

        return await self._update(call, kind, change, subresource=subresource, wanted=wanted)

    async def patch(self, call: route.Call, kind: kinds.Kind, *, subresource: str = "") -> bytes:
        """Patch the object (or its status) by the body."""
        if negotiate.content_type(call.headers.get("content-type", "")) in applied.MEDIA_TYPES:
            return await self._apply(call, kind, subresource=subresource)
        wanted = options.for_write(call, type_name="PatchOptions")
        name = call.params["name"]
        apply = await patching.read(call, kind, schemas=self._registry.schemas)
        _judge_duplicates(call, kind, wanted, patched=True)

        def change(current: JsonObject) -> JsonObject:
            entries = current["metadata"].get("managedFields", [])
            patched = apply(current)
            if not isinstance(patched, dict) or not isinstance(data := patched.get("metadata") or {}, dict):
                raise faults.bad_request("the patch makes no object")
            if not data.get("name"):
                raise _nameless(name)
            _check_uid(kind, name, data, current["metadata"])
            if data.get("managedFields") is entries:
                # The server's own account, with which the patch has nothing to do: left out it stays as it is, and need
                # not be checked.
                del data["managedFields"]
            wished: JsonObject = patched
            objects.check_type(kind, wished)
            if subresource == "status":
                wished = _with_status_of(current, wished)
            self.check_schema(kind, wished, name=name, wanted=wanted, warnings=call.warnings, patched=True)
            return wished

        return await self._update(call, kind, change, subresource=subresource, wanted=wanted)

    async def _apply(self, call: route.Call, kind: kinds.Kind, *, subresource: str) -> bytes:
        """Server-side apply; makes the object when it is not there."""
        wanted = options.for_write(call, type_name="PatchOptions", apply=True)
        stated = await applied.read(call, kind, schemas=self._registry.schemas, wanted=wanted, subresource=subresource)
        fresh = _copies(stated)
        applier = ownership.author(call, kind, wanted, subresource=subresource, apply=True)
        name, namespace = call.params["name"], call.params.get("namespace", "")
        outcome = None

        def change(current: JsonObject) -> JsonObject:
            nonlocal outcome
            wish = fresh()
            _check_uid(kind, name, wish["metadata"], current.get("metadata") or {})
            outcome = self._ownership.apply(kind, current, wish, applier, force=wanted.force)
            self.check_schema(kind, outcome.obj, name=name, wanted=wanted, warnings=call.warnings, patched=True)
            return outcome.obj

        def entries(*_: object) -> list[ownership.Entry]:
            assert outcome is not None
            return outcome.entries

        for _ in range(_CONFLICT_TRIES):
            if subresource or self._registry.store.get(registry.key(kind, namespace=namespace, name=name)):
                return await self._update(call, kind, change, subresource=subresource, wanted=wanted, account=entries)
            if stated["metadata"].get("resourceVersion"):
                # Only an object that is there has one.
                raise faults.modified(kind, name)
            self.judge.check_create(call.user, kind, namespace=namespace, name=name)
            try:
                made = await self.create_object(
                    kind,
                    change({}),
                    namespace=namespace,
                    wanted=wanted,
                    warnings=call.warnings,
                    admit=functools.partial(self.judge.check_write, call.user),
                    owned=entries,
                )
            except faults.Fault as fault:
                if fault.reason != "AlreadyExists":
                    raise
                continue
            call.created = True
            return made
        raise faults.modified(kind, name)

    def account(
        self, call: route.Call, kind: kinds.Kind, wanted: options.WriteOptions, *, subresource: str
    ) -> ownership.Account:
        """The account of an update that a request makes."""
        return self._ownership.updates(kind, ownership.author(call, kind, wanted, subresource=subresource))

    def _update(
        self,
        call: route.Call,
        kind: kinds.Kind,
        change: patching.Apply,
        *,
        subresource: str,
        wanted: options.WriteOptions,
        account: ownership.Account | None = None,
    ) -> Coroutine[Any, Any, bytes]:
        """Change the object that a call names, as far as its caller may."""
        return self.update(
            kind,
            namespace=call.params.get("namespace", ""),
            name=call.params["name"],
            change=change,
            subresource=subresource,
            dry_run=wanted.dry_run,
            admit=functools.partial(self.judge.check_write, call.user, subresource=subresource),
            account=account
            or self._ownership.updates(kind, ownership.author(call, kind, wanted, subresource=subresource)),
            sparing=True,
        )

    async def update(
        self,
        kind: kinds.Kind,
        *,
        namespace: str,
        name: str,
        change: patching.Apply,
        subresource: str = "",
        dry_run: bool = False,
        admit: Admit | None = None,
        account: ownership.Account | None = None,
        sparing: bool = False,
    ) -> bytes:
        """Change a stored object, again on a newer state when another write came first.

        `change` gets a copy of the stored object, which it may use up, and returns the wanted one. A sparing one leaves
        what it gets as it is, but for members of metadata, so that no copy is needed; what it returns may share parts
        with that. A resourceVersion in it that is not the stored one is a conflict; an update that changes nothing
        writes nothing. Without `account` who owns which fields stays as it is.
        """
        for _ in range(_CONFLICT_TRIES):
            row = self._registry.read(kind, namespace=namespace, name=name)
            old = registry.decode(row.value)
            # To decode once more is faster than to copy.
            own = {**old, "metadata": dict(old["metadata"])} if sparing else registry.decode(row.value)
            wished = change(own)
            entries = old["metadata"].pop("managedFields", [])
            said = (wished.get("metadata") or {}).get("managedFields")
            given = managers.from_client(said) if said is not None and said != entries else None
            new = objects.prepare_update(kind, wished, old, subresource=subresource)
            if subresource != "status":
                self._admission.default(kind, new, old)
            self.check_rules(kind, new, old, subresource=subresource)
            if admit is not None:
                admit(kind, new, old)
            after = account(old, entries, new, given) if account is not None else entries
            if new == old and managers.same(after, entries):
                return row.value
            if after:
                new["metadata"]["managedFields"] = after
            # The last finalizer is gone, and nothing else holds it.
            gone = "deletionTimestamp" in old["metadata"] and not objects.held(kind, new)
            along = self._admission.along(kind, None if gone else new, old)
            if dry_run:
                self._admission.rehearse(along)
                return msgspec.json.encode(new)
            try:
                return await self._registry.put(kind, new, expected=row.revision, deleted=gone, along=along)
            except errors.Conflict:
                # A pinned resourceVersion shows itself as a conflict on the next look.
                continue
        raise faults.modified(kind, name)

    async def read_body(self, call: route.Call) -> JsonObject:
        """The object in the body as JSON data; raises Fault 400, 413 and 415."""
        return bodies.decode_as(call, await bodies.read(call))

    def check_schema(
        self,
        kind: kinds.Kind,
        obj: JsonObject,
        *,
        name: str,
        wanted: options.WriteOptions,
        warnings: list[str] | None,
        patched: bool = False,
    ) -> None:
        """Hold an object against its schema and prune it in place; raises Fault 400 (strict) and 422.

        Without a name messages have the object's own.
        """
        checked = self._registry.schemas.check(kind, obj)
        if checked.unknown and wanted.validation == "Strict":
            listed = ", ".join(f"unknown field {faults.shown(path)}" for path in checked.unknown)
            if patched:
                raise _patch_not_strict(kind, name, listed)
            raise _not_strict(kind, listed)
        if checked.unknown and wanted.validation == "Warn" and warnings is not None:
            texts = [f'unknown field "{path}"' for path in checked.unknown]
            # A patch that is made again must not warn again.
            warnings.extend(text for text in texts if text not in warnings)
        if checked.errors:
            name = name or _early_name(obj)
            raise faults.invalid(kind, name, standard.without_values(kind, checked.errors), obj=obj)
        if checked.prunable:
            self._registry.schemas.prune(kind, obj)

    def check_rules(self, kind: kinds.Kind, new: JsonObject, old: JsonObject | None, *, subresource: str = "") -> None:
        """Hold a prepared object against the rules of metadata and of its kind; raises Fault 422."""
        found = metadata.validate(kind, new, stored=old is not None)
        if old is not None:
            if "deletionTimestamp" in old["metadata"]:
                found += objects.finalizer_errors(new, old)
            found += standard.update_errors(kind, new, old, subresource=subresource)
        found += kind.validate(new, old)
        if not found and subresource != "status":
            found = self._admission.write_errors(kind, new, old)
        if found:
            raise faults.invalid(kind, new["metadata"]["name"], found, obj=new)
        if subresource != "status":
            self._admission.check_write(kind, new, old)

    def _generate_name(self, kind: kinds.Kind, obj: JsonObject, prefix: str) -> str:
        name: str = prefix[: metadata.GENERATED_PREFIX_LIMIT] + ids.name_suffix()
        obj["metadata"]["name"] = name
        name_faults = metadata.name_faults(kind, name)
        if name_faults:
            errors_ = [
                kinds.FieldError("metadata.generateName", f"Invalid value: {faults.shown(prefix)}: {text}")
                for text in name_faults
            ]
            raise faults.invalid(kind, "", errors_)
        return name

    def _check_namespace(self, kind: kinds.Kind, namespace: str, name: str) -> None:
        """Nothing is created in a Namespace that is not there or on its way out; raises Fault 404 and 403."""
        if not kind.namespaced:
            return
        known = self._open.get(namespace)
        if known is not None and self._registry.store.get(known.key) is known:
            return
        spaces = self._registry.kind("namespaces")
        if spaces is None:
            return
        row = self._registry.read(spaces, namespace="", name=namespace)
        space = registry.decode(row.value)
        if "deletionTimestamp" in space["metadata"]:
            raise faults.forbidden(
                kind,
                name,
                f"unable to create new content in namespace {namespace} because it is being terminated",
                causes=[
                    {
                        "reason": "NamespaceTerminating",
                        "message": f"namespace {namespace} is being terminated",
                        "field": "metadata.namespace",
                    }
                ],
            )
        if len(self._open) >= _OPEN:
            self._open.clear()
        self._open[namespace] = row


def _check_uid(kind: kinds.Kind, name: str, patched: JsonObject, current: JsonObject) -> None:
    """A patch may name the uid in the metadata of an object that is there and not change it; raises Fault 422."""
    uid = patched.get("uid")
    if uid not in (None, "", current.get("uid")):
        text = f"Invalid value: {faults.shown(uid)}: field is immutable"
        raise faults.invalid(kind, name, [kinds.FieldError("metadata.uid", text)])


def _copies(obj: JsonObject) -> Callable[[], JsonObject]:
    """Copies of an object for each attempt at a write, which uses its copy up; the first one is the object itself."""
    text = msgspec.json.encode(obj)
    whole = [obj]
    return lambda: whole.pop() if whole else registry.decode(text)


def _judge_duplicates(
    call: route.Call, kind: kinds.Kind, wanted: options.WriteOptions, *, patched: bool = False
) -> None:
    """A field that is said twice is refused or warned of; raises Fault 400, and 422 when a patch says so."""
    if not call.duplicates:
        return
    texts = [f'duplicate field "{path}"' for path in call.duplicates]
    if wanted.validation == "Strict":
        listed = ", ".join(texts)
        raise _patch_not_strict(kind, call.params["name"], listed) if patched else _not_strict(kind, listed)
    if wanted.validation == "Warn":
        call.warnings.extend(texts)


def _nameless(name: str) -> faults.Fault:
    return faults.bad_request(f"the name of the object ({name} based on URL) was undeterminable: name must be provided")


def _patch_not_strict(kind: kinds.Kind, name: str, listed: str) -> faults.Fault:
    return faults.invalid(kind, name, [kinds.FieldError("patch", f"Invalid value: strict decoding error: {listed}")])


def _not_strict(kind: kinds.Kind, listed: str) -> faults.Fault:
    return faults.bad_request(
        f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: strict decoding error: {listed}'
    )


def _with_status_of(current: JsonObject, wished: JsonObject) -> JsonObject:
    """What is said of anything but metadata and status through the status subresource is not even looked at."""
    rest = {key: value for key, value in current.items() if key not in ("metadata", "status")}
    return rest | {key: wished[key] for key in ("metadata", "status") if key in wished}


async def ensure_namespaces(writing: Writing, kind: kinds.Kind) -> None:
    """Make the namespaces that are always there."""
    for name in standard.SYSTEM_NAMESPACES:
        try:
            await writing.create_object(kind, {"metadata": {"name": name}}, namespace="")
        except faults.Fault as fault:
            if fault.reason != "AlreadyExists":
                raise


def _early_name(obj: JsonObject) -> str:
    """The name for messages, before anything is known to be well-formed."""
    data = obj.get("metadata")
    name = data.get("name") if isinstance(data, dict) else ""
    return name if isinstance(name, str) else ""
