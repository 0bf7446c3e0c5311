"""The table of all routes of all kinds, each with its access."""

import dataclasses
from collections.abc import Awaitable, Callable, Sequence

from boxfleet.api import kind as kinds
from boxfleet.apiserver import (
    compression,
    deleting,
    faults,
    negotiate,
    reading,
    registry,
    route,
    standard,
    subresources,
    versions,
    watching,
    writing,
)

# How often a read is begun anew because objects changed while others converted them.
_CONVERSIONS = 8

_Verb = Callable[[route.Call, kinds.Kind], Awaitable[bytes]]


class KindRoutes:
    """Makes the routes of kinds from the verbs."""

    def __init__(
        self,
        registry: registry.Registry,
        *,
        reading: reading.Reading,
        watching: watching.Watching,
        writing: writing.Writing,
        deleting: deleting.Deleting,
        subresources: subresources.Subresources,
    ) -> None:
        self._registry = registry
        self._reading = reading
        self._watching = watching
        self._writing = writing
        self._deleting = deleting
        self._parts = subresources

    def of_all(self, served: Sequence[kinds.Kind]) -> list[route.Route]:
        """The routes of all kinds."""
        return [entry for kind in served if kind.stored for entry in self.of(kind)]

    def of_asked(self, kind: kinds.Kind) -> list[route.Route]:
        """The routes of a kind whose objects somebody else converts: that is done before a verb runs."""
        return [dataclasses.replace(each, handle=self._converting(kind, each.handle)) for each in self.of(kind)]

    def of(self, kind: kinds.Kind) -> list[route.Route]:
        """The routes of one kind: collection, object, subresources."""
        root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
        everywhere = f"{root}/{kind.plural}"
        collection = f"{root}/namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else everywhere
        item = f"{collection}/{{name}}"
        write = self._writing
        table: list[tuple[str, str, str, str, route.Handler]] = [
            ("GET", collection, "list", "", self._list(kind)),
            ("POST", collection, "create", "", self._answer(kind, write.create, status=201)),
            ("DELETE", collection, "deletecollection", "", self._answer(kind, self._deleting.delete_collection)),
            ("GET", item, "get", "", self._answer(kind, self._reading.get, final=True)),
            ("PUT", item, "update", "", self._answer(kind, write.replace)),
            ("PATCH", item, "patch", "", self._answer(kind, write.patch)),
            ("DELETE", item, "delete", "", self._answer(kind, self._deleting.delete)),
        ]
        if kind.namespaced:
            table.append(("GET", everywhere, "list", "", self._list(kind)))
        if kind.status:
            table += [
                ("GET", f"{item}/status", "get", "status", self._answer(kind, self._reading.get, final=True)),
                ("PUT", f"{item}/status", "update", "status", self._answer(kind, self._replace_status)),
                ("PATCH", f"{item}/status", "patch", "status", self._answer(kind, self._patch_status)),
            ]
        if kind.scale is not None:
            parts = self._parts
            table += [
                ("GET", f"{item}/scale", "get", "scale", self._answer(kind, parts.get_scale, final=True)),
                ("PUT", f"{item}/scale", "update", "scale", self._answer(kind, parts.put_scale, final=True)),
                ("PATCH", f"{item}/scale", "patch", "scale", self._answer(kind, parts.patch_scale, final=True)),
            ]
        table += self._standard(kind, item)
        return [
            route.Route(
                method=method,
                path=path,
                access=route.Access(verb=verb, group=kind.group, resource=kind.plural, subresource=part),
                handle=handle,
            )
            for method, path, verb, part, handle in table
            if part or verb in kind.verbs
        ]

    def _standard(self, kind: kinds.Kind, item: str) -> list[tuple[str, str, str, str, route.Handler]]:
        """What only single standard kinds have."""
        parts = self._parts
        if kind.qualified == "pods":
            join, joining = parts.join, f"{item}/{standard.EPHEMERAL}"
            return [
                ("GET", joining, "get", standard.EPHEMERAL, self._answer(kind, self._reading.get, final=True)),
                ("PUT", joining, "update", standard.EPHEMERAL, self._answer(kind, join)),
                ("PATCH", joining, "patch", standard.EPHEMERAL, self._answer(kind, join)),
                (
                    "POST",
                    f"{item}/binding",
                    "create",
                    "binding",
                    self._answer(kind, parts.bind, status=201, final=True),
                ),
                (
                    "POST",
                    f"{item}/eviction",
                    "create",
                    "eviction",
                    self._answer(kind, parts.evict, status=201, final=True),
                ),
            ]
        if kind.qualified == "certificatesigningrequests.certificates.k8s.io":
            part = "approval"
            return [
                ("GET", f"{item}/{part}", "get", part, self._answer(kind, self._reading.get, final=True)),
                ("PUT", f"{item}/{part}", "update", part, self._answer(kind, parts.approve)),
                ("PATCH", f"{item}/{part}", "patch", part, self._answer(kind, parts.approve)),
            ]
        if kind.qualified == "namespaces":
            return [("PUT", f"{item}/finalize", "update", "finalize", self._answer(kind, parts.finalize))]
        return []

    def _answer(self, kind: kinds.Kind, verb: _Verb, *, status: int = 200, final: bool = False) -> route.Handler:
        """A handler from a verb. What it returns is an object still to be put into form, unless it is final."""

        async def handle(call: route.Call) -> route.Answer:
            if kind.warning:
                call.warnings.append(kind.warning)
            form = negotiate.accepted(call.headers.get("accept", ""))
            body = await verb(call, kind)
            if form.as_ and not final and not body.startswith(b'{"kind":"Status"'):
                body = self._reading.rendered(call, kind, body, form)
            answer = route.Answer(status=201 if call.created else status, body=body)
            # Of writes the client knows most of the answer already; Kubernetes does not compress those either.
            return await compression.packed(call, answer) if call.method == "GET" else answer

        return handle

    def _converting(self, kind: kinds.Kind, handle: route.Handler) -> route.Handler:
        async def converting(call: route.Call) -> route.Answer | None:
            if call.method != "POST":
                namespace, name = call.params.get("namespace", ""), call.params.get("name", "")
                await self._registry.convert(kind, namespace=namespace, name=name)
            for _ in range(_CONVERSIONS):
                try:
                    return await handle(call)
                except versions.Unconverted as missing:
                    if call.method != "GET":
                        # The body is read: the client must send it again.
                        raise faults.unavailable("the object changed meanwhile; try again") from None
                    await self._registry.convert_rows(kind, missing.rows)
            raise faults.unavailable("the objects change faster than they are converted; try again")

        return converting

    def _list(self, kind: kinds.Kind) -> route.Handler:
        def handle(call: route.Call) -> Awaitable[route.Answer | None]:
            # Not a coroutine, which would be one more of each watch that waits.
            if kind.warning:
                call.warnings.append(kind.warning)
            return self._watching.watch(call, kind) if call.flag("watch") else self._listed(call, kind)

        return handle

    async def _listed(self, call: route.Call, kind: kinds.Kind) -> route.Answer:
        return await compression.packed(call, route.Answer(body=await self._reading.list(call, kind)))

    async def _replace_status(self, call: route.Call, kind: kinds.Kind) -> bytes:
        return await self._writing.replace(call, kind, subresource="status")

    async def _patch_status(self, call: route.Call, kind: kinds.Kind) -> bytes:
        return await self._writing.patch(call, kind, subresource="status")
