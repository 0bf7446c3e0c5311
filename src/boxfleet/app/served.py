"""Which kinds the running server serves, and where: by its discovery, so that own kinds count as built-in ones do."""

import asyncio
import dataclasses
import difflib
import time
from typing import Any

from boxfleet.api import meta
from boxfleet.client import client as clients
from boxfleet.client import errors

_DEFINITIONS = ("apiextensions.k8s.io", "CustomResourceDefinition")
# Seconds for the server to serve a kind that was just defined, and between looks.
_PATIENCE = 30.0
_LOOK = 0.1


class NotServedError(Exception):
    """The server does not serve a kind; the text says what it serves instead."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """Where the server keeps the objects of a kind."""

    root: str
    plural: str
    namespaced: bool

    def path(self, *, namespace: str, name: str = "") -> str:
        """The URL path of an object, or of the collection when no object is named."""
        place = ["namespaces", namespace] if self.namespaced else []
        return "/".join([self.root, *place, self.plural, *([name] if name else [])])


def known(kind: type[meta.Object]) -> Resource:
    """Where a kind is kept that we have a type of."""
    return Resource(root=_root(kind.KIND.api_version), plural=kind.KIND.plural, namespaced=kind.KIND.namespaced)


async def find(api: clients.Client, api_version: str, kind: str) -> Resource:
    """Where the server keeps a kind; raises NotServedError."""
    for each in await _resources(api, _root(api_version)):
        if each.get("kind") == kind:
            return Resource(
                root=_root(api_version), plural=str(each["name"]), namespaced=each.get("namespaced") is True
            )
    raise NotServedError(f"Boxfleet does not serve {api_version} {kind}; {await _instead(api, kind)}")


def is_definition(body: dict[str, Any]) -> bool:
    """Whether an object defines a kind."""
    return (group_of(str(body["apiVersion"])), body["kind"]) == _DEFINITIONS


def defined_by(body: dict[str, Any]) -> set[tuple[str, str]]:
    """The versions (`group/version`) and the kind that a definition makes; empty for one without sense."""
    spec = body.get("spec")
    spec = spec if isinstance(spec, dict) else {}
    names, versions = spec.get("names"), spec.get("versions")
    if not isinstance(names, dict) or not isinstance(versions, list):
        return set()
    return {
        (f"{spec.get('group')}/{each.get('name')}", str(names.get("kind")))
        for each in versions
        if isinstance(each, dict)
    }


async def wait(api: clients.Client, definition: str, api_version: str, kind: str) -> Resource:
    """Where a kind is kept, as soon as its definition (by name) is Established; raises NotServedError."""
    end = time.monotonic() + _PATIENCE
    while True:
        path = f"/apis/{_DEFINITIONS[0]}/v1/customresourcedefinitions/{definition}"
        conditions = ((await api.call("GET", path)).get("status") or {}).get("conditions") or []
        said = {each.get("type"): each for each in conditions}
        if said.get("NamesAccepted", {}).get("status") == "False":
            raise NotServedError(f"{kind} is not served: {said['NamesAccepted'].get('message', '')}")
        try:
            if said.get("Established", {}).get("status") == "True":
                return await find(api, api_version, kind)
        except NotServedError:
            if time.monotonic() > end:
                raise
        if time.monotonic() > end:
            raise NotServedError(f"{kind} is not served after {_PATIENCE:g} s: kubectl describe crd {definition}")
        await asyncio.sleep(_LOOK)


def group_of(api_version: str) -> str:
    """The group in `group/version`; empty for the core's `v1`."""
    return api_version.rpartition("/")[0]


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


async def _resources(api: clients.Client, root: str) -> list[dict[str, Any]]:
    """What is served under a version, subresources left out."""
    try:
        found = (await api.call("GET", root)).get("resources") or []
    except errors.NotFound:
        return []
    return [each for each in found if "/" not in each["name"]]


async def _instead(api: clients.Client, kind: str) -> str:
    """What somebody who named an unknown kind may have meant."""
    served: dict[str, list[str]] = {}
    groups = (await api.call("GET", "/apis")).get("groups") or []
    for version in ["v1", *(each["groupVersion"] for group in groups for each in group["versions"])]:
        for each in await _resources(api, _root(version)):
            served.setdefault(each["kind"], []).append(version)
    lower = {each.lower(): each for each in served}
    near = [lower[each] for each in difflib.get_close_matches(kind.lower(), lower, cutoff=0.75)]
    if not near:
        return "kubectl api-resources lists what it serves"
    if near[0] == kind:
        near = near[:1]
    return "did you mean " + " or ".join(f"{served[each][0]} {each}" for each in near) + "?"
