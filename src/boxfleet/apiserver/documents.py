"""Paths that are no objects: versions, discovery, OpenAPI."""

import asyncio
import platform
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from boxfleet.api import kind as kinds
from boxfleet.apiserver import compression, discovery, faults, openapi, openapi_v2, route, schema

# The Kubernetes version whose API this is.
VERSION = "v1.32.0"
# What is served beside groups and their versions.
_OTHERS = ("/api", "/apis", "/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3", "/readyz", "/version")


class Documents:
    """Answers about the server itself."""

    def __init__(self, served: Sequence[kinds.Kind], schemas: schema.Schemas, *, build: str) -> None:
        """`served` is looked at with every call: kinds come and go."""
        self._kinds = served
        self._openapi = openapi.Documents(served, schemas, version=VERSION)
        self._openapi_v2_documents = openapi_v2.Documents(self._openapi)
        self._build = build

    def routes(self) -> list[route.Route]:
        """All paths."""
        table: list[tuple[str, Callable[[route.Call], Awaitable[route.Answer]]]] = [
            ("/version", self._version),
            ("/api", self._core),
            ("/apis", self._groups),
            ("/apis/{group}", self._group),
            ("/openapi/v2", self._openapi_v2),
            ("/openapi/v3", self._openapi_index),
            ("/openapi/v3/{rest*}", self._openapi_document),
            ("/", self._index),
            ("/api/v1", self._resources),
            ("/apis/{group}/{version}", self._resources),
        ]
        return [
            route.Route(method="GET", path=path, access=route.Access(verb="get"), handle=handle)
            for path, handle in table
        ]

    async def _version(self, call: route.Call) -> route.Answer:
        major, minor, _ = VERSION.removeprefix("v").split(".")
        return _json(
            {
                "major": major,
                "minor": minor,
                "gitVersion": f"{VERSION}+boxfleet-{self._build}",
                "gitCommit": "",
                "gitTreeState": "",
                "buildDate": "",
                "goVersion": "",
                "compiler": platform.python_implementation(),
                "platform": f"linux/{platform.machine()}",
            }
        )

    async def _index(self, call: route.Call) -> route.Answer:
        groups = {kind.group for kind in self._kinds if kind.group}
        paths = {*_OTHERS, *(f"/apis/{group}" for group in groups), *(_root(kind) for kind in self._kinds)}
        return _json({"paths": sorted(paths)})

    async def _core(self, call: route.Call) -> route.Answer:
        return self._aggregated(call, core=True) or _json(discovery.api_versions())

    async def _groups(self, call: route.Call) -> route.Answer:
        return self._aggregated(call, core=False) or _json(discovery.group_list(self._kinds))

    def _aggregated(self, call: route.Call, *, core: bool) -> route.Answer | None:
        version = discovery.wanted_version(call.headers.get("accept", ""))
        if not version:
            return None
        body = msgspec.json.encode(discovery.aggregated(self._kinds, core=core, version=version))
        tag = discovery.etag(body)
        headers = [("etag", tag), ("vary", "Accept"), ("cache-control", "public")]
        if call.headers.get("if-none-match") == tag:
            return route.Answer(status=304, headers=headers)
        return route.Answer(body=body, content_type=discovery.content_type(version), headers=headers)

    async def _group(self, call: route.Call) -> route.Answer:
        found = discovery.group(self._kinds, call.params["group"])
        if found is None:
            raise faults.no_such_path()
        return _json(found)

    async def _resources(self, call: route.Call) -> route.Answer:
        group, version = call.params.get("group", ""), call.params.get("version", "v1")
        found = discovery.resource_list(self._kinds, group=group, version=version)
        if found is None:
            raise faults.no_such_path()
        return _json(found)

    async def _openapi_v2(self, call: route.Call) -> route.Answer:
        media = openapi_v2.accepted(call.headers.get("accept", ""))
        found = await asyncio.to_thread(self._openapi_v2_documents.document, protobuf=media in openapi_v2.PROTOBUF)
        headers = [("etag", f'"{found.hash}"'), ("vary", "Accept")]
        if call.headers.get("if-none-match") == f'"{found.hash}"':
            return route.Answer(status=304, headers=headers)
        return await compression.packed(call, route.Answer(body=found.body, content_type=media, headers=headers))

    async def _openapi_index(self, call: route.Call) -> route.Answer:
        return route.Answer(body=self._openapi.index())

    async def _openapi_document(self, call: route.Call) -> route.Answer:
        found = self._openapi.document(call.params["rest"])
        if found is None:
            raise faults.no_such_path()
        headers = [("etag", f'"{found.hash}"')]
        if call.one("hash") == found.hash:
            # The hash is part of the address, so this very document never changes.
            headers.append(("cache-control", "public, immutable, max-age=31536000"))
        if call.headers.get("if-none-match") == f'"{found.hash}"':
            return route.Answer(status=304, headers=headers)
        return await compression.packed(call, route.Answer(body=found.body, headers=headers))


def _root(kind: kinds.Kind) -> str:
    """Where the resources of a kind's version are."""
    return f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"


def _json(document: object) -> route.Answer:
    return route.Answer(body=msgspec.json.encode(document))
