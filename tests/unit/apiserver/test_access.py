"""Who is let in, and to what; every route is in one table."""

import pathlib
from typing import Any

import pytest

from boxfleet.apiserver import authn, authz, route
from boxfleet.testing import server

pytestmark = pytest.mark.anyio

# What an agent may do, route by route; everything else it may not.
_NODE_MAY = {
    ("get", "pods"), ("list", "pods"), ("watch", "pods"), ("delete", "pods"),
    ("update", "pods/status"), ("patch", "pods/status"),
    ("get", "nodes"), ("list", "nodes"), ("create", "nodes"), ("update", "nodes"), ("patch", "nodes"),
    ("update", "nodes/status"), ("patch", "nodes/status"),
    ("get", "configmaps"), ("list", "configmaps"), ("get", "secrets"), ("list", "secrets"),
    ("get", "namespaces"), ("list", "namespaces"),
    ("get", "persistentvolumeclaims"), ("list", "persistentvolumeclaims"),
    ("update", "persistentvolumeclaims"), ("patch", "persistentvolumeclaims"),
    ("update", "persistentvolumeclaims/status"), ("patch", "persistentvolumeclaims/status"),
    ("get", "addresses"), ("list", "addresses"), ("get", "addresspools"), ("list", "addresspools"),
    ("get", "leases"), ("list", "leases"), ("create", "leases"), ("update", "leases"), ("patch", "leases"),
    ("get", "events"), ("create", "events"), ("update", "events"), ("patch", "events"),
}  # fmt: skip


def _path(entry: route.Route) -> str:
    return entry.path.format_map(_Filled()) if "*" not in entry.path else "/openapi/v3/api/v1"


class _Filled(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return server.NODE if key == "name" else "default"


async def test_nothing_is_open_to_strangers(api: server.Api) -> None:
    for entry in api.app.routes:
        for token in ("", "wrong", server.ADMIN_TOKEN[:-1]):
            reply = await server.send(api.app, entry.method, _path(entry), token=token)
            assert (reply.status, reply.json["reason"]) == (401, "Unauthorized"), (entry.method, entry.path)
    for headers in ({"authorization": "Basic YTpi"}, {"authorization": f"Bearer  {server.ADMIN_TOKEN}x"}):
        assert (await server.send(api.app, "GET", "/api", token="", headers=headers)).status == 401


async def test_an_agent_may_do_what_the_table_says_and_no_more(api: server.Api) -> None:
    for entry in api.app.routes:
        access = entry.access
        if access.subresource == "tunnel":
            # A connection that stays open; its own tests are with the streams.
            continue
        resource = f"{access.resource}/{access.subresource}".rstrip("/")
        allowed = not access.resource or (access.verb, resource) in _NODE_MAY
        reply = await server.send(api.app, entry.method, _path(entry), {}, token=server.NODE_TOKEN)
        assert (reply.status != 403) == allowed, (entry.method, entry.path, reply.body)


async def test_an_agent_writes_its_own_node_only(api: server.Api) -> None:
    for path in ("/api/v1/nodes", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"):
        for name, status in ((server.NODE, 404), ("other", 403)):
            headers = {"content-type": "application/merge-patch+json"}
            reply = await server.send(api.app, "PATCH", f"{path}/{name}", {}, token=server.NODE_TOKEN, headers=headers)
            assert reply.status == status, path


async def test_refusals_are_worded_as_kubernetes_does(api: server.Api) -> None:
    reply = await server.send(
        api.app, "GET", "/apis/boxfleet.dev/v1/namespaces/default/boxes/a", token=server.NODE_TOKEN
    )
    assert reply.json["message"] == (
        'boxes.boxfleet.dev "a" is forbidden: User "system:node:node-1" cannot get resource "boxes" in API group '
        '"boxfleet.dev" in the namespace "default"'
    )
    reply = await server.send(api.app, "GET", "/secret/path", token=server.NODE_TOKEN)
    assert reply.json["message"] == 'forbidden: User "system:node:node-1" cannot get path "/secret/path"'


async def test_unknown_paths_and_methods(api: server.Api) -> None:
    reply = await server.send(api.app, "GET", "/api/v1/nonsense")
    assert (reply.status, reply.json["message"]) == (404, "the server could not find the requested resource")
    for path in ("/api/v1/namespaces/default/pods/a/b/c", "/apis/none", "/apis/none/v1", "//", "/api/v2"):
        assert (await server.send(api.app, "GET", path)).status == 404, path
    assert (await server.send(api.app, "POST", "/api/v1/pods")).status == 405
    assert (await server.send(api.app, "PUT", "/version")).status == 405


async def test_documents(api: server.Api) -> None:
    version = (await server.send(api.app, "GET", "/version")).json
    assert version["gitVersion"].startswith("v1.32.0")
    for path in ("/livez", "/readyz", "/healthz", "/livez/ping"):
        assert (await server.send(api.app, "GET", path)).body == b"ok"
    assert b"readyz check passed" in (await server.send(api.app, "GET", "/readyz?verbose")).body
    for path in ("/api", "/api/v1", "/apis", "/apis/boxfleet.dev", "/apis/boxfleet.dev/v1", "/openapi/v3/api/v1"):
        assert (await server.send(api.app, "GET", path)).status == 200, path
    index = (await server.send(api.app, "GET", "/openapi/v3")).json
    url = index["paths"]["apis/boxfleet.dev/v1"]["serverRelativeURL"]
    reply = await server.send(api.app, "GET", url)
    tag = dict(reply.headers)["etag"]
    assert "immutable" in dict(reply.headers)["cache-control"]
    assert (await server.send(api.app, "GET", url, headers={"if-none-match": tag})).status == 304


async def test_a_mistake_of_ours_is_a_500_without_its_details(tmp_path: pathlib.Path) -> None:
    async def fail(call: route.Call) -> None:
        raise ZeroDivisionError("secret")

    broken = route.Route(method="GET", path="/broken", access=route.Access(verb="get"), handle=fail)
    async with server.running(tmp_path, extra_routes=[broken]) as api:
        reply = await server.send(api.app, "GET", "/broken")
    assert (reply.status, reply.json["reason"]) == (500, "InternalError")
    assert b"secret" not in reply.body


def test_two_routes_for_one_path_are_a_mistake() -> None:
    async def handle(call: route.Call) -> Any:
        return None

    entry = route.Route(method="GET", path="/a/{b}", access=route.Access(verb="get"), handle=handle)
    with pytest.raises(ValueError, match="two routes"):
        route.Router([entry, entry])


async def test_groups_are_judged_not_names() -> None:
    judge = authz.GroupAuthorizer()
    wish = authz.Attributes(verb="get", resource="pods", namespace="default")
    assert await judge.allows(authn.User(name="x", groups=(authz.MASTERS,)), wish)
    assert not await judge.allows(authn.User(name="system:node:x"), wish)
    assert not await judge.allows(authn.User(name="admin", groups=(authz.NODES,)), wish)
