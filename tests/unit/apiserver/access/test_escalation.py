"""Nobody gives what he has not."""

import pytest
from tests.unit.apiserver.access import bed

from boxfleet.testing import server

pytestmark = pytest.mark.anyio
ROLES = bed.rule("roles clusterroles rolebindings clusterrolebindings", "create update patch get", group=bed.GROUP)
PODS = bed.rule("pods", "get list")


async def test_roles_hold_no_more_than_their_authors(api: server.Api) -> None:
    await bed.give(api, "jane", ROLES, PODS)
    for path in ("clusterroles", "namespaces/default/roles"):
        assert (await bed.call(api, "jane", "POST", path, bed.role("a", bed.rule("pods", "get")))).status == 201
        reply = await bed.call(api, "jane", "POST", path, bed.role("b", bed.rule("pods secrets", "get delete")))
        kind = path.rpartition("/")[2]
        assert reply.status == 403
        assert reply.json["message"] == (
            f'{kind}.rbac.authorization.k8s.io "b" is forbidden: user "jane" (groups=["system:authenticated"]) is '
            "attempting to grant RBAC permissions not currently held:\n"
            '{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}\n'
            '{APIGroups:[""], Resources:["secrets"], Verbs:["get" "delete"]}'
        )
        more = {"rules": [bed.rule("secrets", "get")]}
        for media, body in (("merge-patch+json", more), ("strategic-merge-patch+json", more)):
            assert (await bed.call(api, "jane", "PATCH", f"{path}/a", body, media=media)).status == 403
        applied = bed.role("a", bed.rule("nodes", "get"), apiVersion=f"{bed.GROUP}/v1", kind=_KINDS[kind])
        query = f"{path}/a?fieldManager=me&force=true"
        assert (await bed.call(api, "jane", "PATCH", query, applied, media="apply-patch+yaml")).status == 403
        found = (await bed.call(api, "jane", "GET", f"{path}/a")).json
        found["rules"] = more["rules"]
        assert (await bed.call(api, "jane", "PUT", f"{path}/a", found)).status == 403
        # What is not about rights may change, also of roles that hold more.
        await bed.made(api, path, bed.role("strong", bed.rule("*", "*")))
        label = {"metadata": {"labels": {"a": "b"}}}
        assert (await bed.call(api, "jane", "PATCH", f"{path}/strong", label, media="merge-patch+json")).status == 200


_KINDS = {"clusterroles": "ClusterRole", "roles": "Role"}


async def test_a_right_in_one_namespace_is_given_there_only(api: server.Api) -> None:
    await bed.made(api, "namespaces/default/roles", bed.role("r", ROLES, PODS))
    await bed.made(api, "namespaces/default/rolebindings", bed.binding("r", "r", user="jane", kind="Role"))
    assert (await bed.call(api, "jane", "POST", "namespaces/default/roles", bed.role("a", PODS))).status == 201
    assert (await bed.call(api, "jane", "POST", "namespaces/kube-system/roles", bed.role("a", PODS))).status == 403


async def test_the_verb_escalate_lifts_it(api: server.Api) -> None:
    lifted = bed.rule("roles clusterroles", "escalate", group=bed.GROUP, names="a")
    await bed.give(api, "jane", ROLES, lifted)
    strong = bed.rule("*", "*", group="*")
    assert (await bed.call(api, "jane", "POST", "clusterroles", bed.role("a", strong))).status == 201
    assert (await bed.call(api, "jane", "POST", "clusterroles", bed.role("b", strong))).status == 403


async def test_gathered_roles_are_for_who_has_everything(api: server.Api) -> None:
    rule = {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}
    await bed.give(api, "jane", ROLES)
    await bed.give(api, "joe", bed.rule("*", "*", group="*"), {"nonResourceURLs": ["*"], "verbs": ["*"]})
    for who, status in (("jane", 403), ("joe", 201)):
        reply = await bed.call(api, who, "POST", "clusterroles", bed.role(f"g-{who}", aggregationRule=rule))
        assert reply.status == status
    assert (
        "must have cluster-admin privileges"
        in (await bed.call(api, "jane", "POST", "clusterroles", bed.role("g", aggregationRule=rule))).json["message"]
    )


async def test_bindings_give_no_more_than_their_authors_have(api: server.Api) -> None:
    await bed.give(api, "jane", ROLES, PODS)
    await bed.made(api, "clusterroles", bed.role("weak", bed.rule("pods", "get")))
    await bed.made(api, "clusterroles", bed.role("strong", bed.rule("secrets", "get")))
    for path in ("clusterrolebindings", "namespaces/default/rolebindings"):
        assert (await bed.call(api, "jane", "POST", path, bed.binding("a", "weak", user="x"))).status == 201
        reply = await bed.call(api, "jane", "POST", path, bed.binding("b", "strong", user="jane"))
        assert reply.status == 403
        assert reply.json["message"].endswith('{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}')
        reply = await bed.call(api, "jane", "POST", path, bed.binding("b", "none", user="jane"))
        assert (reply.status, reply.json["message"]) == (404, f'clusterroles.{bed.GROUP} "none" not found')
        # Nor may one join those who are bound.
        await bed.made(api, path, bed.binding("c", "strong", user="x"))
        change = {"subjects": [{"kind": "User", "name": "jane", "apiGroup": bed.GROUP}]}
        assert (await bed.call(api, "jane", "PATCH", f"{path}/c", change, media="merge-patch+json")).status == 403
        label = {"metadata": {"labels": {"a": "b"}}}
        assert (await bed.call(api, "jane", "PATCH", f"{path}/c", label, media="merge-patch+json")).status == 200


async def test_the_verb_bind_lifts_it(api: server.Api) -> None:
    await bed.give(api, "jane", ROLES, bed.rule("clusterroles", "bind", group=bed.GROUP, names="strong"))
    await bed.made(api, "clusterroles", bed.role("strong", bed.rule("secrets", "get")))
    await bed.made(api, "clusterroles", bed.role("other", bed.rule("secrets", "get")))
    for to, status in (("strong", 201), ("none", 404), ("other", 403)):
        reply = await bed.call(api, "jane", "POST", "clusterrolebindings", bed.binding(f"b-{to}", to, user="x"))
        assert reply.status == status


async def test_apply_creates_for_who_may_create(api: server.Api) -> None:
    await bed.give(api, "jane", bed.rule("configmaps", "patch"))
    path = "/api/v1/namespaces/default/configmaps/a?fieldManager=me"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    reply = await bed.call(api, "jane", "PATCH", path, body, media="apply-patch+yaml")
    assert (reply.status, reply.json["message"]) == (
        403,
        'configmaps "a" is forbidden: User "jane" cannot create resource "configmaps" in API group "" '
        'in the namespace "default"',
    )
    assert (await bed.call(api, "", "PATCH", path, body, media="apply-patch+yaml")).status == 201
    assert (await bed.call(api, "jane", "PATCH", path, body, media="apply-patch+yaml")).status == 200
