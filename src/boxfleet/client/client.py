"""Typed calls to one Kubernetes API: Boxfleet's own or a hub's."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import Any, Generic, Literal, cast

import msgspec

from boxfleet.api import meta
from boxfleet.client import errors, transport

PATCH_TYPES = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
}


_POLICY = "policy/v1"

# Objects cut to their metadata (meta.k8s.io/v1 PartialObjectMetadata), and lists of such.
_PARTIAL = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class Listing(msgspec.Struct, Generic[meta.T]):
    """Objects and the revision at which they were read."""

    items: list[meta.T]
    resource_version: str


class Change(msgspec.Struct, Generic[meta.T]):
    """One event of a watch: ADDED, MODIFIED, DELETED or BOOKMARK, and the object."""

    type: str
    object: meta.T


class _ListMeta(msgspec.Struct):
    resourceVersion: str = ""
    continue_: str = msgspec.field(name="continue", default="")


class _List(msgspec.Struct):
    items: list[msgspec.Raw] = []
    metadata: _ListMeta = msgspec.field(default_factory=_ListMeta)


class _Bookmark(msgspec.Struct):
    metadata: _ListMeta


class _WatchLine(msgspec.Struct):
    type: str
    object: msgspec.Raw


def path_of(
    kind: type[meta.Object], *, namespace: str | None = None, name: str | None = None, subresource: str = ""
) -> str:
    """The URL path of a collection, an object or a subresource."""
    info = kind.KIND
    parts = ["/apis" if info.group else "/api"]
    if info.group:
        parts.append(info.group)
    parts.append(info.version)
    if info.namespaced and namespace:
        parts += ["namespaces", namespace]
    parts.append(info.plural)
    if name is not None:
        parts.append(name)
    if subresource:
        parts.append(subresource)
    return "/".join(parts)


class Client:
    """Calls to one API server. Every method raises `errors.ApiError` subclasses."""

    def __init__(self, via: transport.Transport, *, older: Mapping[str, str] | None = None) -> None:
        """`older` has the versions in which the server has kinds that are read here in a newer one of the same form."""
        self._via = via
        self._older = older or {}

    async def get(self, kind: type[meta.T], name: str, *, namespace: str = "") -> meta.T:
        """Read one object."""
        return await self._typed(kind, "GET", self._path(kind, namespace=namespace, name=name))

    async def find(self, kind: type[meta.T], name: str, *, namespace: str = "") -> meta.T | None:
        """Read one object, or None when it is not there."""
        try:
            return await self.get(kind, name, namespace=namespace)
        except errors.NotFound:
            return None

    async def list(
        self, kind: type[meta.T], *, namespace: str = "", labels: str = "", fields: str = ""
    ) -> Listing[meta.T]:
        """Read all objects that match, in all namespaces when none is named."""
        query = _selectors(labels, fields)
        accept = _PARTIAL_LIST if kind.METADATA_ONLY else transport.JSON
        answer = await self._send("GET", self._path(kind, namespace=namespace), query=query, accept=accept)
        page = msgspec.json.decode(answer, type=_List)
        decoder = msgspec.json.Decoder(kind)
        return Listing([decoder.decode(item) for item in page.items], page.metadata.resourceVersion)

    async def create(self, obj: meta.T, *, namespace: str = "") -> meta.T:
        """Create an object; it goes to its own namespace unless one is given."""
        meta.stamp_kind(obj)
        path = self._path(type(obj), namespace=namespace or obj.metadata.namespace)
        return await self._typed(type(obj), "POST", path, body=obj)

    async def create_raw(self, kind: type[meta.T], body: dict[str, Any]) -> meta.T:
        """Create an object from plain JSON data, for what says more than our types do."""
        body = {"apiVersion": kind.KIND.api_version, "kind": kind.KIND.kind} | body
        path = self._path(kind, namespace=body["metadata"].get("namespace", ""))
        return await self._typed(kind, "POST", path, body=body)

    async def replace(self, obj: meta.T, *, subresource: str = "") -> meta.T:
        """Replace a whole object of our own kinds; refused when it changed since it was read.

        Standard kinds are patched instead: our types hold only a part of them.
        """
        meta.stamp_kind(obj)
        path = self._path(type(obj), namespace=obj.metadata.namespace, name=obj.metadata.name, subresource=subresource)
        return await self._typed(type(obj), "PUT", path, body=obj)

    async def patch(
        self,
        kind: type[meta.T],
        name: str,
        patch: dict[str, Any] | Sequence[dict[str, Any]],
        *,
        namespace: str = "",
        subresource: str = "",
        type: Literal["merge", "strategic", "json"] = "merge",
    ) -> meta.T:
        """Change parts of an object."""
        path = self._path(kind, namespace=namespace, name=name, subresource=subresource)
        return await self._typed(kind, "PATCH", path, body=patch, content_type=PATCH_TYPES[type])

    async def put_condition(self, subject: meta.Object, condition: meta.Condition) -> None:
        """Say one thing of an object of a standard kind, whatever its status says besides; not of a successor."""
        change = {
            "metadata": {"uid": subject.metadata.uid},
            "status": {"conditions": [msgspec.to_builtins(condition)]},
        }
        key = subject.key
        await self.patch(
            type(subject), key.name, change, namespace=key.namespace, subresource="status", type="strategic"
        )

    async def delete(
        self,
        kind: type[meta.Object],
        name: str,
        *,
        namespace: str = "",
        grace_seconds: int | None = None,
        uid: str = "",
        propagation: Literal["", "Background", "Foreground", "Orphan"] = "",
    ) -> None:
        """Ask for an object to go; `uid` guards against deleting a successor. Gone already is NotFound."""
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        if uid:
            options["preconditions"] = {"uid": uid}
        if propagation:
            options["propagationPolicy"] = propagation
        path = self._path(kind, namespace=namespace, name=name)
        await self._send("DELETE", path, body=msgspec.json.encode(options))

    async def bind(self, *, namespace: str, pod: str, uid: str, node: str) -> None:
        """Give a Pod its node, once (``pods/binding``)."""
        body = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod, "namespace": namespace, "uid": uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/binding"
        await self._send("POST", path, body=msgspec.json.encode(body))

    async def evict(self, *, namespace: str, pod: str, uid: str) -> None:
        """Ask a Pod to leave its node (``pods/eviction``). Unavailable: its disruption budget holds it back for now."""
        body = {
            "apiVersion": self._older.get(_POLICY, _POLICY),
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": namespace},
            "deleteOptions": {"preconditions": {"uid": uid}},
        }
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction"
        await self._send("POST", path, body=msgspec.json.encode(body))

    async def watch(
        self, kind: type[meta.T], *, resource_version: str, namespace: str = "", labels: str = "", fields: str = ""
    ) -> AsyncIterator[Change[meta.T]]:
        """Changes after a revision, until the server ends the answer; raises Expired when it is too old."""
        query = _selectors(labels, fields) | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
        }
        decoder = msgspec.json.Decoder(kind)
        line_decoder = msgspec.json.Decoder(_WatchLine)
        answer = self._via.lines(self._path(kind, namespace=namespace), query=query, accept=_accept(kind))
        async with contextlib.aclosing(answer) as lines:
            async for line in lines:
                event = line_decoder.decode(line)
                if event.type == "ERROR":
                    status = msgspec.json.decode(event.object)
                    raise errors.from_status(int(status.get("code") or 500), status)
                if event.type == "BOOKMARK":
                    # It has nothing but its revision, also where the kind demands more; a real server writes a null
                    # for the time of creation.
                    mark = msgspec.json.decode(event.object, type=_Bookmark).metadata
                    bare = meta.Object(metadata=meta.ObjectMeta(resourceVersion=mark.resourceVersion))
                    yield Change(event.type, cast(meta.T, bare))
                else:
                    yield Change(event.type, decoder.decode(event.object))

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        """Send plain JSON data and read plain JSON data, for what no type describes."""
        encoded = b"" if body is None else msgspec.json.encode(body)
        answer = await self._send(method, path, query=query, body=encoded, content_type=content_type)
        return msgspec.json.decode(answer, type=dict[str, Any])

    def lines(self, path: str, *, query: dict[str, str]) -> AsyncGenerator[bytes, None]:
        """GET an answer of lines that no type describes."""
        return self._via.lines(path, query=query)

    async def close(self) -> None:
        """Let go of connections."""
        await self._via.close()

    def _path(
        self, kind: type[meta.Object], *, namespace: str | None = None, name: str | None = None, subresource: str = ""
    ) -> str:
        path = path_of(kind, namespace=namespace, name=name, subresource=subresource)
        version = kind.KIND.api_version
        return path.replace(version, self._older[version], 1) if version in self._older else path

    async def _typed(
        self, kind: type[meta.T], method: str, path: str, *, body: object = None, content_type: str = "application/json"
    ) -> meta.T:
        encoded = b"" if body is None else msgspec.json.encode(body)
        answer = await self._send(method, path, body=encoded, content_type=content_type, accept=_accept(kind))
        return msgspec.json.decode(answer, type=kind)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: bytes = b"",
        content_type: str = "application/json",
        accept: str = transport.JSON,
    ) -> bytes:
        answer = await self._via.request(
            method, path, query=query or {}, body=body, content_type=content_type, accept=accept
        )
        if answer.status >= 400:
            raise errors.from_body(answer.status, answer.body)
        return answer.body


def _accept(kind: type[meta.Object]) -> str:
    return _PARTIAL if kind.METADATA_ONLY else transport.JSON


def _selectors(labels: str, fields: str) -> dict[str, str]:
    query = {}
    if labels:
        query["labelSelector"] = labels
    if fields:
        query["fieldSelector"] = fields
    return query
