"""Who is let in, and to what; every route is in one table."""

import pathlib
from typing import Any

import pytest

from boxfleet.api import labels, roles, usage
from boxfleet.apiserver import authn, authz, route
from boxfleet.apiserver.access import rights
from boxfleet.apiserver.identity import issuer_documents
from boxfleet.testing import server

pytestmark = pytest.mark.anyio

# What an agent may do, route by route; everything else it may not.
_NODE_MAY = {
    ("get", "pods"), ("list", "pods"), ("watch", "pods"), ("delete", "pods"),
    ("update", "pods/status"), ("patch", "pods/status"),
    ("get", "nodes"), ("create", "nodes"), ("update", "nodes"), ("patch", "nodes"),
    ("update", "nodes/status"), ("patch", "nodes/status"),
    ("get", "serviceaccounts"), ("list", "serviceaccounts"),
    ("get", "configmaps"), ("list", "configmaps"), ("get", "secrets"), ("list", "secrets"),
    ("get", "serviceaccounts"), ("list", "serviceaccounts"),
    ("get", "persistentvolumeclaims"), ("list", "persistentvolumeclaims"),
    ("update", "persistentvolumeclaims"), ("patch", "persistentvolumeclaims"),
    ("update", "persistentvolumeclaims/status"), ("patch", "persistentvolumeclaims/status"),
    ("get", "addresses"), ("list", "addresses"), ("get", "addresspools"), ("list", "addresspools"),
    ("get", "serviceaccounts"), ("list", "serviceaccounts"),
    ("get", "leases"), ("list", "leases"), ("create", "leases"), ("update", "leases"), ("patch", "leases"),
    ("create", "selfsubjectaccessreviews"), ("create", "selfsubjectrulesreviews"), ("create", "selfsubjectreviews"),
    # For a Pod that is bound to it.
    ("create", "serviceaccounts/token"),
    # For a new certificate of its own.
    ("get", "certificatesigningrequests"), ("create", "certificatesigningrequests"),
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


# The name of the test's Pods is the node's, since a path is made for any kind.
async def _pod(api: server.Api, name: str = server.NODE, *, node: str = server.NODE, namespace: str = "default") -> str:
    path = f"/api/v1/namespaces/{namespace}/pods"
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": f"data-{name}"}}]
    spec = {"nodeName": node, "containers": [{"name": "a", "image": "i"}], "volumes": volumes}
    reply = await server.send(api.app, "POST", path, {"metadata": {"name": name}, "spec": spec})
    assert reply.status == 201
    return f"{path}/{name}"


async def test_an_agent_may_do_what_the_table_says_and_no_more(api: server.Api) -> None:
    await _pod(api)
    for entry in api.app.routes:
        access = entry.access
        if access.subresource == "tunnel":
            # A connection that stays open; its own tests are with the streams.
            continue
        resource = f"{access.resource}/{access.subresource}".rstrip("/")
        if access.resource:
            # What nodes use is for people.
            allowed = (access.verb, resource) in _NODE_MAY and access.group != usage.GROUP
        else:
            # Figures and single checks of health are for monitoring; the index of all paths is not part of discovery;
            # the authority is shown to servers that join, since agents have it.
            closed = ("/metrics", "/", roles.AUTHORITY_PATH, *issuer_documents.PATHS)
            allowed = entry.path not in closed and "{check}" not in entry.path
        path = _path(entry)
        if resource == "pods" and access.verb == "list":
            path += f"?fieldSelector=spec.nodeName%3D{server.NODE}"
        elif resource == "leases" and access.verb == "list":
            path = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
        elif resource in ("configmaps", "secrets", "serviceaccounts"):
            allowed = allowed and "{namespace}" in entry.path
        reply = await server.send(api.app, entry.method, path, {}, token=server.NODE_TOKEN)
        assert (reply.status != 403) == allowed, (entry.method, entry.path, reply.body)


async def _status(api: server.Api, method: str, path: str, body: Any = None) -> int:
    merge = {"content-type": "application/merge-patch+json"} if method == "PATCH" else {}
    reply = await server.send(api.app, method, path, body, token=server.NODE_TOKEN, headers=merge)
    if reply.status == 403:
        assert reply.json["reason"] == "Forbidden"
    return reply.status


async def test_an_agent_has_to_do_with_pods_of_its_node_only(api: server.Api) -> None:
    mine, other = await _pod(api, "mine"), await _pod(api, "other", node="node-2")
    for method, path, body in (
        ("GET", "", None), ("DELETE", "", None), ("PATCH", "/status", {"status": {"message": "hello"}}),
    ):  # fmt: skip
        assert await _status(api, method, other + path, body) == 403
        assert await _status(api, method, mine + path, body) == 200
    pods = "/api/v1/pods"
    for query in ("", "?fieldSelector=spec.nodeName%3Dnode-2", f"?fieldSelector=spec.nodeName!%3D{server.NODE}"):
        assert await _status(api, "GET", pods + query) == 403
        assert await _status(api, "GET", f"{pods}?watch=1&{query[1:]}") == 403
    assert await _status(api, "GET", f"{pods}?fieldSelector=spec.nodeName%3D{server.NODE}") == 200
    # It can find out that a Pod is no more.
    assert await _status(api, "GET", f"{other}-gone") == 404
    for path in (f"{mine}/binding", f"{mine}/eviction", f"{mine}/exec?command=sh&stdout=1"):
        assert await _status(api, "POST", path, {}) == 403


async def test_an_agent_reads_secrets_beside_its_pods_only(api: server.Api) -> None:
    for name in ("here", "there"):
        await server.send(api.app, "POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        secret = {"metadata": {"name": "s"}, "stringData": {"a": "b"}}
        await server.send(api.app, "POST", f"/api/v1/namespaces/{name}/secrets", secret)
    await _pod(api, "mine", namespace="here")
    await _pod(api, "other", namespace="there", node="node-2")
    for path, here in (("", 200), ("/s", 200), ("/none", 404)):
        assert await _status(api, "GET", f"/api/v1/namespaces/here/secrets{path}") == here
        assert await _status(api, "GET", f"/api/v1/namespaces/there/secrets{path}") == 403
    assert await _status(api, "GET", "/api/v1/namespaces/there/secrets?watch=1") == 403
    assert await _status(api, "GET", "/api/v1/secrets") == 403


async def test_an_agent_changes_claims_on_its_node_only(api: server.Api) -> None:
    await _pod(api, "mine")
    claims = "/api/v1/namespaces/default/persistentvolumeclaims"
    chosen = "volume.kubernetes.io/selected-node"
    for name, marks in (
        ("data-mine", {}),
        ("data-other", {}),
        ("kept", {chosen: server.NODE}),
        ("away", {chosen: "x"}),
    ):
        size = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        made = await server.send(
            api.app, "POST", claims, {"metadata": {"name": name, "annotations": marks}, "spec": size}
        )
        assert made.status == 201, made.body
    for name, status in (("data-mine", 200), ("data-other", 403), ("kept", 200), ("away", 403), ("none", 404)):
        assert await _status(api, "PATCH", f"{claims}/{name}/status", {"status": {"phase": "Bound"}}) == status, name
    for change in (
        {"annotations": {chosen: "node-2"}}, {"annotations": {"a": "b"}}, {"labels": {"a": "b"}},
        {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "u"}]},
    ):  # fmt: skip
        assert await _status(api, "PATCH", f"{claims}/data-mine", {"metadata": change}) == 403, change
    change = {"annotations": {chosen: server.NODE}, "finalizers": ["boxfleet.dev/volume"]}
    assert await _status(api, "PATCH", f"{claims}/data-mine", {"metadata": change}) == 200


async def test_an_agent_says_of_itself_and_its_pods_what_it_is_asked_for(api: server.Api) -> None:
    pod = await _pod(api, "mine")
    for field in (
        {"labels": {"a": "b"}},
        {"annotations": {"boxfleet.dev/address": "10.88.0.9"}},
        {"finalizers": ["a/b"]},
    ):
        assert await _status(api, "PATCH", f"{pod}/status", {"metadata": field}) == 403, field
    nodes, leases = "/api/v1/nodes", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
    for path in (nodes, leases):
        assert await _status(api, "POST", path, {"metadata": {"name": "node-2"}}) == 403
        assert await _status(api, "POST", path, {"metadata": {"generateName": server.NODE}}) == 403
    attractive = {"metadata": {"name": server.NODE, "labels": {"zone": "vault"}}}
    assert await _status(api, "POST", nodes, attractive) == 403
    marks = {"kubernetes.io/hostname": "h", "boxfleet.dev/cluster": "local"}
    taint = [{"key": "new", "effect": "NoSchedule"}]
    node = {"metadata": {"name": server.NODE, "labels": marks}, "spec": {"taints": taint}}
    assert await _status(api, "POST", nodes, node) == 201
    for change in (
        {"metadata": {"labels": {"zone": "vault"}}}, {"metadata": {"labels": {"boxfleet.dev/cluster": "other"}}},
        {"spec": {"taints": None}}, {"spec": {"unschedulable": True}},
    ):  # fmt: skip
        for part in ("", "/status"):
            refused = await _status(api, "PATCH", f"{nodes}/{server.NODE}{part}", change)
            # Through the status nothing of the spec is even looked at.
            assert refused == (200 if part and "spec" in change else 403), (change, part)
    for own in ("kubernetes.io/hostname", "host.boxfleet.dev/os.id", "local.host.boxfleet.dev/rack", labels.ZONE):
        change = {"metadata": {"labels": {own: "other"}}}
        assert await _status(api, "PATCH", f"{nodes}/{server.NODE}", change) == 200
    change = {"metadata": {"labels": {"other.host.boxfleet.dev/rack": "vault"}}}
    assert await _status(api, "PATCH", f"{nodes}/{server.NODE}", change) == 403


async def test_a_pod_gets_its_node_by_binding_alone(api: server.Api) -> None:
    path = await _pod(api, "free", node="")
    found = (await server.send(api.app, "GET", path)).json
    found["spec"]["nodeName"] = "n"
    reply = await server.send(api.app, "PUT", path, found)
    assert (reply.status, reply.json["details"]["causes"][0]["field"]) == (422, "spec.nodeName")
    for kind in ("merge-patch", "strategic-merge-patch"):
        headers = {"content-type": f"application/{kind}+json"}
        assert (await server.send(api.app, "PATCH", path, {"spec": {"nodeName": "n"}}, headers=headers)).status == 422
    assert (await server.send(api.app, "POST", f"{path}/binding", {"target": {"name": "n"}})).status == 201


async def test_an_agent_sees_which_servers_there_are_and_touches_none(api: server.Api) -> None:
    leases = "/apis/coordination.k8s.io/v1/{}leases"
    announced = leases.format("namespaces/kube-system/")
    lease = {"metadata": {"name": "apiserver-1"}}
    assert (await server.send(api.app, "POST", announced, lease)).status == 201
    assert await _status(api, "GET", announced) == 200
    for elsewhere in ("", "namespaces/kube-node-lease/", "namespaces/default/"):
        assert await _status(api, "GET", leases.format(elsewhere)) == 403
    for method in ("GET", "DELETE", "PATCH"):
        body = {"metadata": {"annotations": {"a": "b"}}} if method == "PATCH" else None
        assert await _status(api, method, f"{announced}/apiserver-1", body) == 403
    assert await _status(api, "POST", announced, {"metadata": {"name": "apiserver-2"}}) == 403
    assert await _status(api, "DELETE", announced) == 403


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


async def test_groups_are_judged_not_names(api: server.Api) -> None:
    judge = rights.Rights(api.app.registry, node_reads=()).authorizer
    wish = authz.Attributes(verb="get", resource="pods", namespace="default")
    assert judge.decide(authn.User(name="x", groups=(authz.MASTERS,)), wish).allowed
    assert not judge.decide(authn.User(name="system:node:x"), wish).allowed
    assert not judge.decide(authn.User(name="admin", groups=(authz.NODES,)), wish).allowed
