"""Every route against authorization: strangers, people without rights, and people with exactly the right."""

import asyncio
import pathlib
from typing import Any

import pytest

from boxfleet.apiserver import route
from boxfleet.testing import server

pytestmark = pytest.mark.anyio
RBAC = "/apis/rbac.authorization.k8s.io/v1"
# What everybody who is known may do, by the roles that are bound to all.
_EVERYBODY = {
    "selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews",
    "/version", "/api", "/api/v1", "/apis", "/livez", "/readyz", "/healthz",
    "/boxfleet/login",
}  # fmt: skip
# Routes that no test below touches, one in a line: method and path. It stays empty.
_UNTOUCHED = pathlib.Path(__file__).with_name("untouched_routes.txt")


def path_of(entry: route.Route) -> str:
    """A path that the route serves; it names what is not there."""
    segments = []
    for segment in entry.path.split("/"):
        if segment == "{namespace}":
            segments.append("default")
        elif segment.startswith("{"):
            segments.append("api/v1" if segment.endswith("*}") else "none")
        else:
            segments.append(segment)
    return "/".join(segments)


def verbs_of(entry: route.Route) -> list[tuple[str, str]]:
    """The verbs that a route stands for, each with a query that makes it so, and that spares what is there."""
    if entry.access.verb == "list":
        return [("list", ""), ("watch", "?watch=1&timeoutSeconds=1")]
    return [(entry.access.verb, "?dryRun=All" if entry.access.verb == "deletecollection" else "")]


def refusal(entry: route.Route, verb: str, who: str) -> str:
    """The words of Kubernetes."""
    access, path = entry.access, path_of(entry)
    if not access.resource:
        return f'forbidden: User "{who}" cannot {verb} path "{path}"'
    parts = [f"{access.resource}.{access.group}" if access.group else access.resource]
    if "{name}" in entry.path:
        parts.append('"none"')
    whole = f"{access.resource}/{access.subresource}" if access.subresource else access.resource
    namespace = "default" if "{namespace}" in entry.path else ""
    if access.resource == "namespaces" and "{name}" in entry.path:
        namespace = "none"
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    return (
        f'{" ".join(parts)} is forbidden: User "{who}" cannot {verb} resource "{whole}" '
        f'in API group "{access.group}" {where}'
    )


def is_for_everybody(entry: route.Route) -> bool:
    access = entry.access
    return access.resource in _EVERYBODY or (
        not access.resource and (entry.path in _EVERYBODY or entry.path.startswith(("/api/", "/apis/", "/openapi/")))
    )


_THINGS = {
    "metadata": {"name": "things.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "things", "kind": "Thing"},
        "versions": [
            {
                "name": "v1", "served": True, "storage": True, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}  # fmt: skip


async def defined(api: server.Api) -> None:
    """A kind of somebody's own, so that its routes are there, too."""
    where = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    assert (await server.send(api.app, "POST", where, _THINGS)).status == 201
    async with asyncio.timeout(60):
        while not any("/things/{name}/status" in entry.path for entry in api.app.routes):
            # Definitions are taken in with the next request.
            await server.send(api.app, "GET", "/apis")
            await asyncio.sleep(0)


async def test_no_route_is_left_out(api: server.Api) -> None:
    await defined(api)
    touched: set[tuple[str, str]] = set()
    numbers = iter(range(10**6))
    for entry in api.app.routes:
        path = path_of(entry)
        assert (await server.send(api.app, entry.method, path, token="")).status == 401, entry
        for verb, query in verbs_of(entry):
            who = f"user-{next(numbers)}"
            as_user = {"impersonate-user": who}
            if not is_for_everybody(entry):
                reply = await server.send(api.app, entry.method, path + query, headers=as_user)
                assert (reply.status, reply.json["message"]) == (403, refusal(entry, verb, who)), (entry, verb)
            await grant(api, who, entry, verb)
            reply = await server.send(api.app, entry.method, path + query, headers=as_user)
            assert passed(reply, entry), (entry.method, entry.path, verb, reply.body)
        touched.add((entry.method, entry.path))
    left = sorted({(entry.method, entry.path) for entry in api.app.routes} - touched)
    assert "".join(f"{method} {path}\n" for method, path in left) == _UNTOUCHED.read_text() == ""


def passed(reply: server.Reply, entry: route.Route) -> bool:
    """Whether authorization let a call through, whatever became of it afterwards."""
    if entry.access.subresource == "tunnel":
        # Only the node's own agent is served; the route's handler says so after authorization.
        return reply.status == 403 and "by its own agent only" in reply.json["message"]
    return reply.status not in (401, 403)


async def grant(api: server.Api, who: str, entry: route.Route, verb: str) -> None:
    """Give somebody the right to exactly what a route does, where it does it."""
    access = entry.access
    rule: dict[str, Any] = {"verbs": [verb]}
    if access.resource:
        whole = f"{access.resource}/{access.subresource}" if access.subresource else access.resource
        rule |= {"apiGroups": [access.group], "resources": [whole]}
        if "{name}" in entry.path:
            rule["resourceNames"] = ["none"]
    else:
        rule["nonResourceURLs"] = [path_of(entry)]
    where = f"{RBAC}/namespaces/default/" if "{namespace}" in entry.path else f"{RBAC}/cluster"
    role, binding = ("Role", "rolebindings") if "{namespace}" in entry.path else ("ClusterRole", "rolebindings")
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": who}
    made = {"metadata": {"name": who}, "rules": [rule]}
    bound = {"metadata": {"name": who}, "roleRef": reference, "subjects": [{"kind": "User", "name": who}]}
    assert (await server.send(api.app, "POST", f"{where}roles", made)).status == 201
    assert (await server.send(api.app, "POST", f"{where}{binding}", bound)).status == 201


async def test_paths_that_are_not_there_are_told_to_who_may_know(api: server.Api) -> None:
    nobody = {"impersonate-user": "nobody"}
    for method, verb in (("GET", "get"), ("POST", "post"), ("DELETE", "delete")):
        reply = await server.send(api.app, method, "/none", headers=nobody)
        assert (reply.status, reply.json["message"]) == (403, f'forbidden: User "nobody" cannot {verb} path "/none"')
    assert (await server.send(api.app, "GET", "/none")).status == 404


async def test_one_object_by_its_name_can_be_listed_and_watched(api: server.Api) -> None:
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"], "verbs": ["list", "watch"]}
    await server.send(api.app, "POST", f"{RBAC}/clusterroles", {"metadata": {"name": "r"}, "rules": [rule]})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"}
    bound = {"metadata": {"name": "r"}, "roleRef": reference, "subjects": [{"kind": "User", "name": "u"}]}
    await server.send(api.app, "POST", f"{RBAC}/clusterrolebindings", bound)
    path = "/api/v1/configmaps"
    for query, status in (
        ("fieldSelector=metadata.name%3Da", 200), ("fieldSelector=metadata.name%3D%3Da", 200),
        ("fieldSelector=metadata.namespace%3Dx,metadata.name%3Da", 200), ("", 403),
        ("fieldSelector=metadata.name%3Db", 403), ("fieldSelector=metadata.name!%3Da", 403),
        ("fieldSelector=metadata.namespace%3Dx%5C,metadata.name%3Da", 403),
        ("watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Db", 403),
    ):  # fmt: skip
        reply = await server.send(api.app, "GET", f"{path}?{query}", headers={"impersonate-user": "u"})
        assert reply.status == status, (query, reply.body)
