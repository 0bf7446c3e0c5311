"""Putting Boxfleet into a Kubernetes cluster, and taking it out again."""

import asyncio
import dataclasses
import re
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from boxfleet.app import hub_objects
from boxfleet.client import client, errors

Json = dict[str, Any]

# Where each kind is that an installation is made of.
_PLURALS = {
    "Namespace": "namespaces",
    "CustomResourceDefinition": "customresourcedefinitions",
    "ServiceAccount": "serviceaccounts",
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "Role": "roles",
    "RoleBinding": "rolebindings",
    "Deployment": "deployments",
}
_APPLY = "application/apply-patch+yaml"
# Members of metadata that a server writes.
_BOOKKEEPING = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid")
# The first version of Kubernetes whose definitions name selectable fields.
_SELECTABLE = (1, 31)
# Seconds between looks at what takes its time.
_LOOK = 0.2


class HubError(Exception):
    """The cluster cannot be a hub, or not be left; the text says why and what to do."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What became of one object: created, configured, unchanged or removed."""

    kind: str
    name: str
    result: str


Told = Callable[[Step], None]
Work = Callable[[], Coroutine[Any, Any, None]]


async def wanted(api: client.Client, *, image: str, replicas: int) -> list[Json]:
    """What an installation is made of on this cluster. Raises ApiError, and HubError on Boxfleet's own server."""
    version = await api.call("GET", "/version")
    if "boxfleet" in str(version.get("gitVersion")):
        raise HubError("this is Boxfleet's own API server, which has its kinds by itself: nothing is to be installed")
    selectable = (_number(version.get("major")), _number(version.get("minor"))) >= _SELECTABLE
    return hub_objects.all_of(image=image, replicas=replicas, selectable=selectable)


async def lacking(api: client.Client, objects: Iterable[Json], verbs: Sequence[str]) -> list[str]:
    """The rights that are missing for these objects, in words: ``create customresourcedefinitions``."""
    found: list[str] = []
    for group, resource, namespace in sorted({_right_of(each) for each in objects}):
        for verb in verbs:
            asked = {"group": group, "resource": resource, "namespace": namespace, "verb": verb}
            review = {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": asked},
            }
            answer = await api.call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body=review)
            if not answer["status"]["allowed"]:
                where = f" in namespace {namespace}" if namespace else ""
                found.append(f"{verb} {resource}{'.' + group if group else ''}{where}")
    return found


async def install(
    api: client.Client, objects: Sequence[Json], *, dry_run: bool, force: bool, patience: float, told: Told
) -> None:
    """Apply everything in its order and wait until the kinds are served; a dry run says what would become of it.

    `force` takes fields over that somebody else manages. Raises ApiError and HubError.
    """
    for each in objects:
        told(Step(kind=each["kind"], name=_name(each), result=await _apply(api, each, dry_run=dry_run, force=force)))
        if each["kind"] == "CustomResourceDefinition" and not dry_run:
            await _served(api, each, patience)


async def uninstall(
    api: client.Client, objects: Sequence[Json], *, keep_data: bool, patience: float, told: Told
) -> None:
    """Take everything away, what was made first last. Raises ApiError and HubError.

    With `keep_data` the kinds with all their objects stay, and the Namespace. Without, objects go first, while the
    controllers are still there to let go of what belongs to them.
    """
    if not keep_data:
        await _empty(api, patience, told)
    for each in reversed(objects):
        if keep_data and each["kind"] in ("CustomResourceDefinition", "Namespace"):
            continue
        if await _delete(api, _path(each)):
            told(Step(kind=each["kind"], name=_name(each), result="removed"))
    if not keep_data:
        for each in reversed(objects):
            await _gone(api, _path(each), f"{each['kind']} {_name(each)}", patience)


async def _apply(api: client.Client, obj: Json, *, dry_run: bool, force: bool) -> str:
    path = _path(obj)
    before = await _find(api, path)
    query = {"fieldManager": hub_objects.MANAGER} | ({"force": "true"} if force else {})
    if dry_run:
        query["dryRun"] = "All"
    try:
        after = await api.call("PATCH", path, query=query, body=obj, content_type=_APPLY)
    except errors.NotFound:
        if dry_run and before is None:
            # Its Namespace is not there yet.
            return "created"
        raise
    except errors.Conflict as fault:
        words = f"{obj['kind']} {_name(obj)}: {fault.message}. Take these fields over with --force-conflicts"
        raise HubError(words) from None
    if before is None:
        return "created"
    return "unchanged" if _plain(before) == _plain(after) else "configured"


async def _served(api: client.Client, definition: Json, patience: float) -> None:
    name = _name(definition)
    try:
        async with asyncio.timeout(patience):
            while True:
                found = await api.call("GET", _path(definition))
                said = {each["type"]: each for each in (found.get("status") or {}).get("conditions") or ()}
                if (said.get("NamesAccepted") or {}).get("status") == "False":
                    raise HubError(f"cannot serve {name}: {said['NamesAccepted'].get('message')}")
                if (said.get("Established") or {}).get("status") == "True":
                    return
                await asyncio.sleep(_LOOK)
    except TimeoutError:
        raise HubError(f"{name} is not served after {patience:.0f} s: kubectl describe crd {name}") from None


async def _empty(api: client.Client, patience: float, told: Told) -> None:
    """Delete all objects of our kinds, and wait until those that something is still to be done for are gone."""
    left: list[str] = []
    kinds = hub_objects.own_kinds()
    try:
        async with asyncio.timeout(patience):
            asked: set[str] = set()
            while True:
                left = []
                for each in kinds:
                    try:
                        listed = (await api.list(each)).items
                    except errors.NotFound:
                        continue
                    for found in listed:
                        name = f"{each.KIND.kind} {found.key}"
                        left.append(name)
                        if name not in asked and not found.metadata.deletionTimestamp:
                            asked.add(name)
                            await _delete(
                                api, client.path_of(each, namespace=found.metadata.namespace, name=found.metadata.name)
                            )
                            told(Step(kind=each.KIND.kind, name=str(found.key), result="removed"))
                if not left:
                    return
                await asyncio.sleep(_LOOK)
    except TimeoutError:
        raise HubError(
            f"still there after {patience:.0f} s: {', '.join(left[:5])}; nothing else was removed. Controllers must "
            "run to let go of them (kubectl -n boxfleet-system get pods), or take their finalizers away by hand"
        ) from None


async def _gone(api: client.Client, path: str, what: str, patience: float) -> None:
    try:
        async with asyncio.timeout(patience):
            while True:
                if await _find(api, path) is None:
                    return
                await asyncio.sleep(_LOOK)
    except TimeoutError:
        raise HubError(f"{what} is being deleted, and still there after {patience:.0f} s") from None


async def _find(api: client.Client, path: str) -> Json | None:
    try:
        return await api.call("GET", path)
    except errors.NotFound:
        return None


async def _delete(api: client.Client, path: str) -> bool:
    try:
        await api.call("DELETE", path)
    except errors.NotFound:
        return False
    return True


def _path(obj: Json) -> str:
    version, namespace = obj["apiVersion"], obj["metadata"].get("namespace", "")
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    inside = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}{inside}/{_PLURALS[obj['kind']]}/{obj['metadata']['name']}"


def _right_of(obj: Json) -> tuple[str, str, str]:
    group = obj["apiVersion"].rpartition("/")[0]
    return (group, _PLURALS[obj["kind"]], obj["metadata"].get("namespace", ""))


def _name(obj: Json) -> str:
    return str(obj["metadata"]["name"])


def _plain(obj: Json) -> Json:
    """What somebody wants of an object, without what the server writes."""
    metadata = {key: value for key, value in obj["metadata"].items() if key not in _BOOKKEEPING}
    return {key: value for key, value in obj.items() if key != "status"} | {"metadata": metadata}


def _number(text: object) -> int:
    """``20+`` is 20, as some clusters say it."""
    found = re.match(r"\d+", str(text or ""))
    return int(found.group()) if found else 0
