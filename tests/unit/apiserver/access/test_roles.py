"""Decisions by roles and bindings, and the index below them."""

import pathlib
from typing import Any

import pytest

from boxfleet.apiserver import authn, authz
from boxfleet.apiserver.access import index, roles
from boxfleet.store import settings as store_settings
from boxfleet.testing import server

pytestmark = pytest.mark.anyio
RBAC = "/apis/rbac.authorization.k8s.io/v1"
READ = {"apiGroups": [""], "resources": ["pods", "*/log"], "verbs": ["get", "list"]}


async def put(api: server.Api, where: str, name: str, **fields: Any) -> None:
    reply = await server.send(api.app, "POST", f"{RBAC}/{where}", {"metadata": {"name": name}, **fields})
    assert reply.status == 201, reply.body


def to(kind: str, name: str, *subjects: tuple[str, str]) -> dict[str, Any]:
    return {
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
        "subjects": [
            {"kind": sort, "name": who, **({"namespace": "default"} if sort == "ServiceAccount" else {})}
            for sort, who in subjects
        ],
    }


def decide(
    judge: roles.RoleAuthorizer, who: str, verb: str, resource: str, *groups: str, **more: str
) -> authz.Decision:
    resource, _, part = resource.partition("/")
    wish = authz.Attributes(verb=verb, resource=resource, subresource=part, **more)
    return judge.decide(authn.User(name=who, groups=groups), wish)


async def test_users_groups_and_service_accounts_have_what_is_bound(api: server.Api) -> None:
    judge = roles.RoleAuthorizer(index.Index(api.store))
    assert not decide(judge, "jane", "get", "pods", namespace="default").allowed
    await put(api, "namespaces/default/roles", "reader", rules=[READ])
    given = to("Role", "reader", ("User", "jane"), ("Group", "ops"), ("ServiceAccount", "bot"))
    await put(api, "namespaces/default/rolebindings", "reads", **given)
    found = decide(judge, "jane", "get", "pods", namespace="default")
    assert found.allowed
    assert found.reason == 'RBAC: allowed by RoleBinding "reads/default" of Role "reader" to User "jane"'
    assert decide(judge, "x", "list", "pods", "ops", namespace="default").allowed
    account = decide(judge, "system:serviceaccount:default:bot", "get", "units/log", namespace="default")
    assert account.reason.endswith('to ServiceAccount "bot/default"')
    for who, verb, resource, more in (
        ("jane", "get", "pods", {}),
        ("jane", "get", "pods", {"namespace": "kube-system"}),
        ("jane", "watch", "pods", {"namespace": "default"}),
        ("jane", "get", "secrets", {"namespace": "default"}),
        ("jane", "get", "pods/exec", {"namespace": "default"}),
        ("jane", "get", "pods", {"namespace": "default", "group": "apps"}),
        ("ops", "get", "pods", {"namespace": "default"}),
        ("system:serviceaccount:default:other", "get", "pods", {"namespace": "default"}),
    ):
        assert not decide(judge, who, verb, resource, **more).allowed, (who, verb, resource)
    await server.send(api.app, "DELETE", f"{RBAC}/namespaces/default/rolebindings/reads")
    assert not decide(judge, "jane", "get", "pods", namespace="default").allowed


async def test_cluster_roles_count_where_they_are_bound(api: server.Api) -> None:
    judge = roles.RoleAuthorizer(index.Index(api.store))
    paths = {"nonResourceURLs": ["/logs/*", "/x"], "verbs": ["get"]}
    named = {"apiGroups": [""], "resources": ["nodes"], "resourceNames": ["n1"], "verbs": ["get"]}
    await put(api, "clusterroles", "r", rules=[READ, paths, named])
    await put(api, "namespaces/default/rolebindings", "here", **to("ClusterRole", "r", ("User", "jane")))
    await put(api, "clusterrolebindings", "all", **to("ClusterRole", "r", ("User", "joe")))
    assert decide(judge, "jane", "get", "pods", namespace="default").allowed
    assert not decide(judge, "jane", "get", "pods", namespace="kube-system").allowed
    for more in ({"namespace": "default"}, {"namespace": "kube-system"}, {}):
        assert decide(judge, "joe", "get", "pods", **more).allowed
    assert decide(judge, "joe", "get", "nodes", name="n1").allowed
    assert not decide(judge, "joe", "get", "nodes", name="n2").allowed
    assert not decide(judge, "joe", "get", "nodes").allowed
    for path, allowed in (("/logs/a/b", True), ("/x", True), ("/x/y", False), ("/logs", False)):
        wish = authz.Attributes(verb="get", path=path)
        assert judge.decide(authn.User(name="joe"), wish).allowed == allowed, path
        # A path is nowhere: a binding in a namespace does not give it.
        assert not judge.decide(authn.User(name="jane"), wish).allowed


async def test_a_role_that_is_not_there_is_named(api: server.Api) -> None:
    await put(api, "namespaces/default/rolebindings", "a", **to("Role", "none", ("User", "jane")))
    reply = await server.send(api.app, "GET", "/api/v1/namespaces/default/pods", headers={"impersonate-user": "jane"})
    assert reply.status == 403
    assert reply.json["message"] == (
        'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default": '
        'RBAC: role.rbac.authorization.k8s.io "none" not found'
    )


async def test_every_change_counts_at_once(api: server.Api) -> None:
    judge = roles.RoleAuthorizer(index.Index(api.store))
    await put(api, "clusterroles", "r", rules=[READ])
    await put(api, "clusterrolebindings", "b", **to("ClusterRole", "r", ("User", "jane")))
    merge = {"content-type": "application/merge-patch+json"}
    for verb in ("get", "delete", "patch", "get"):
        change = {"rules": [READ | {"verbs": [verb]}]}
        await server.send(api.app, "PATCH", f"{RBAC}/clusterroles/r", change, headers=merge)
        assert decide(judge, "jane", verb, "pods").allowed
        assert not decide(judge, "jane", "update", "pods").allowed
    subjects = {"subjects": [{"kind": "User", "name": "joe"}]}
    await server.send(api.app, "PATCH", f"{RBAC}/clusterrolebindings/b", subjects, headers=merge)
    assert not decide(judge, "jane", "get", "pods").allowed
    assert decide(judge, "joe", "get", "pods").allowed
    await server.send(api.app, "DELETE", f"{RBAC}/clusterroles/r")
    assert not decide(judge, "joe", "get", "pods").allowed


async def test_an_index_left_behind_reads_everything_anew(tmp_path: pathlib.Path) -> None:
    async with server.running(tmp_path, settings=store_settings.Settings(watch_backlog=2)) as api:
        judge = roles.RoleAuthorizer(index.Index(api.store))
        await put(api, "clusterroles", "r", rules=[READ])
        await put(api, "clusterrolebindings", "b", **to("ClusterRole", "r", ("User", "jane")))
        for number in range(4):
            await put(api, "clusterroles", f"more-{number}", rules=[READ])
        assert decide(judge, "jane", "get", "pods").allowed
        api.store.end_watches()
        assert decide(judge, "jane", "get", "pods").allowed
    # After the end what was known still counts.
    assert decide(judge, "jane", "get", "pods").allowed


async def test_what_cannot_be_read_gives_nothing(api: server.Api) -> None:
    judge = roles.RoleAuthorizer(index.Index(api.store))
    await put(api, "clusterroles", "r", rules=[READ])
    await put(api, "clusterroles", "s", rules=[READ])
    for name in ("r", "s"):
        await put(api, "clusterrolebindings", name, **to("ClusterRole", name, ("User", name)))
    for key in (f"{index.PREFIX}clusterroles//r", f"{index.PREFIX}clusterrolebindings//b"):
        row = api.store.get(key)
        await api.store.write(key, lambda _: b'{"rules": 7}', expected=row.revision if row is not None else 0)
    assert not decide(judge, "r", "get", "pods").allowed
    assert decide(judge, "s", "get", "pods").allowed
    assert decide(roles.RoleAuthorizer(index.Index(api.store)), "s", "get", "pods").allowed


async def test_answers_do_not_pile_up(api: server.Api) -> None:
    judge = roles.RoleAuthorizer(index.Index(api.store))
    for number in range(5000):
        assert not decide(judge, "jane", "get", f"r{number}", namespace="default").allowed
        assert not decide(judge, "jane", "get", "pods", namespace=f"n{number}").allowed
    known = judge._users["jane", ()]
    assert len(known.everywhere.answers) <= 4096
    assert not known.within
