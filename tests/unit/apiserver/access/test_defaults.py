"""Default roles, and roles that are gathered from others."""

import asyncio
import pathlib
from typing import Any

import pytest
from tests.unit.apiserver.access import bed

from boxfleet.api import rbac, rbac_objects, roles
from boxfleet.apiserver import authn, authz, schema
from boxfleet.apiserver.access import defaults, reconciling, rights
from boxfleet.testing import server

pytestmark = pytest.mark.anyio
SCHEMAS = schema.Schemas([rbac.ClusterRole, rbac.ClusterRoleBinding])
ALL = [*defaults.objects(node_rules=()), *roles.objects()]


@pytest.mark.parametrize("obj", ALL, ids=lambda obj: f"{obj['kind']} {obj['metadata']['name']}")
def test_default_objects_are_valid(obj: dict[str, Any]) -> None:
    kind = rbac.ClusterRole.KIND if obj["kind"] == "ClusterRole" else rbac.ClusterRoleBinding.KIND
    checked = SCHEMAS.check(kind, obj)
    assert not checked.errors
    assert not checked.unknown
    assert kind.validate(obj, None) == []


def test_names_are_said_once() -> None:
    names = [(each["kind"], each["metadata"]["name"]) for each in ALL]
    assert len(set(names)) == len(names)


async def may(api: server.Api, role: str, verb: str, resource: str, group: str = "") -> bool:
    """What somebody may do in `default` who has a role there."""
    reply = await bed.call(api, "", "POST", "namespaces/default/rolebindings", bed.binding(role, role, user=role))
    assert reply.status in (201, 409)
    resource, _, part = resource.partition("/")
    wish = {"verb": verb, "resource": resource, "subresource": part, "group": group, "namespace": "default"}
    spec = {"user": role, "resourceAttributes": wish}
    asked = await bed.call(api, "", "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": spec})
    return bool(asked.json["status"]["allowed"])


async def test_what_people_may(api: server.Api) -> None:
    own = "boxfleet.dev"
    for role, verb, resource, group, allowed in (
        ("viewer", "get", "boxes", own, True), ("viewer", "watch", "pods", "", True),
        ("viewer", "get", "pods/log", "", True), ("viewer", "get", "secrets", "", False),
        ("viewer", "create", "boxes", own, False), ("viewer", "create", "pods/exec", "", False),
        ("developer", "create", "boxes", own, True), ("developer", "update", "units/scale", own, True),
        ("developer", "create", "pods/exec", "", True), ("developer", "get", "secrets", "", True),
        ("developer", "create", "rolebindings", bed.GROUP, False), ("developer", "update", "units/status", own, False),
        ("developer", "create", "placements", own, False), ("developer", "create", "addresses", own, False),
        ("tenant-admin", "create", "rolebindings", bed.GROUP, True), ("tenant-admin", "delete", "boxes", own, True),
        ("tenant-admin", "create", "clusterroles", bed.GROUP, False), ("tenant-admin", "update", "nodes", "", False),
        ("auditor", "list", "rolebindings", bed.GROUP, True), ("auditor", "get", "boxes", own, True),
        ("auditor", "get", "secrets", "", False), ("auditor", "create", "pods/exec", "", False),
        ("platform-admin", "delete", "clusters", own, True), ("platform-admin", "get", "secrets", "", True),
        ("platform-admin", "impersonate", "users", "", False), ("platform-admin", "bind", "roles", bed.GROUP, False),
        ("platform-admin", "escalate", "clusterroles", bed.GROUP, False),
    ):  # fmt: skip
        assert await may(api, role, verb, resource, group) == allowed, (role, verb, resource)


async def test_boxfleets_parts_have_the_least_that_they_need(api: server.Api) -> None:
    judge = rights.Rights(api.app.registry, node_reads=()).authorizer
    for user, verb, resource, group, allowed in (
        (roles.CONTROLLERS, "create", "pods", "", True), (roles.CONTROLLERS, "get", "secrets", "", False),
        (roles.CONTROLLERS, "create", "pods/exec", "", False),
        (roles.CONTROLLERS, "delete", "boxes", "boxfleet.dev", False),
        (roles.SCHEDULER, "create", "pods/binding", "", True), (roles.SCHEDULER, "delete", "pods", "", True),
        (roles.SCHEDULER, "update", "units", "boxfleet.dev", False),
        (roles.GARBAGE_COLLECTOR, "delete", "boxes", "boxfleet.dev", True),
        (roles.GARBAGE_COLLECTOR, "create", "pods", "", False),
        (roles.NAMESPACE_CONTROLLER, "update", "namespaces/finalize", "", True),
        (roles.NAMESPACE_CONTROLLER, "create", "pods", "", False),
    ):  # fmt: skip
        name, _, part = resource.partition("/")
        wish = authz.Attributes(verb=verb, group=group, resource=name, subresource=part, namespace="default")
        assert judge.decide(authn.User(name=user), wish).allowed == allowed, (user, verb, resource)


async def until(api: server.Api, name: str, wanted: list[dict[str, Any]]) -> None:
    async with asyncio.timeout(10):
        while (await bed.call(api, "", "GET", f"clusterroles/{name}")).json.get("rules", []) != wanted:
            await asyncio.sleep(0)


async def test_gathered_roles_follow_their_parts(api: server.Api) -> None:
    a, b = bed.rule("a", "get"), bed.rule("b", "get")
    expression = {"matchExpressions": [{"key": "part", "operator": "In", "values": ["x", "y"]}]}
    rule = {"clusterRoleSelectors": [{"matchLabels": {"of": "all"}}, expression]}
    await bed.made(api, "clusterroles", bed.role("all", b, aggregationRule=rule))
    # What one writes there by hand does not stay.
    await until(api, "all", [])
    one, two = bed.role("one", a), bed.role("two", b, a)
    one["metadata"]["labels"], two["metadata"]["labels"] = {"of": "all"}, {"part": "y"}
    await bed.made(api, "clusterroles", two)
    await until(api, "all", [b, a])
    await bed.made(api, "clusterroles", one)
    await until(api, "all", [a, b])
    change = {"metadata": {"labels": {"of": None}}}
    await bed.call(api, "", "PATCH", "clusterroles/one", change, media="merge-patch+json")
    await until(api, "all", [b, a])
    await bed.call(api, "", "DELETE", "clusterroles/two")
    await until(api, "all", [])


async def test_kinds_of_others_join_by_label(api: server.Api) -> None:
    role = bed.role("mine", bed.rule("things", "create", group="example.com"))
    role["metadata"]["labels"] = {"rbac.authorization.k8s.io/aggregate-to-edit": "true"}
    await bed.made(api, "clusterroles", role)
    for name, allowed in (("developer", True), ("tenant-admin", True), ("edit", True), ("viewer", False)):
        async with asyncio.timeout(10):
            while await may(api, name, "create", "things", "example.com") != allowed:
                await asyncio.sleep(0)


async def test_a_start_puts_back_what_is_missing(tmp_path: pathlib.Path) -> None:
    async with server.running(tmp_path) as api:
        paths = ("clusterroles/system:discovery", "clusterroles/boxfleet:edit", "clusterroles/viewer")
        before = [(await bed.call(api, "", "GET", path)).json for path in paths]
        merge = "merge-patch+json"
        own = bed.rule("own", "get")
        await bed.call(api, "", "PATCH", paths[0], {"rules": [own]}, media=merge)
        await bed.call(api, "", "DELETE", paths[1])
        await bed.call(api, "", "PATCH", "clusterrolebindings/system:discovery", {"subjects": None}, media=merge)
        kept = {"metadata": {"annotations": {rbac_objects.AUTOUPDATE: "false"}}}
        await bed.call(api, "", "PATCH", "clusterroles/system:monitoring", kept | {"rules": []}, media=merge)
        again = {"apiGroup": bed.GROUP, "kind": "ClusterRole", "name": "view"}
        other = bed.binding("system:monitoring", "view", user="x") | {"roleRef": again}
        await bed.call(api, "", "DELETE", "clusterrolebindings/system:monitoring")
        await bed.made(api, "clusterrolebindings", other)
    async with server.running(tmp_path) as api:
        discovery, edit, viewer = [(await bed.call(api, "", "GET", path)).json for path in paths]
        assert discovery["rules"] == [own, *before[0]["rules"]]
        assert edit["rules"] == before[1]["rules"]
        assert viewer == before[2]
        bound = (await bed.call(api, "", "GET", "clusterrolebindings/system:discovery")).json
        assert [each["name"] for each in bound["subjects"]] == ["system:authenticated"]
        assert (await bed.call(api, "", "GET", "clusterroles/system:monitoring")).json.get("rules") in (None, [])
        # A binding to another role is made anew: its reference cannot change.
        bound = (await bed.call(api, "", "GET", "clusterrolebindings/system:monitoring")).json
        assert bound["roleRef"]["name"] == "system:monitoring"
        revision = api.store.revision
    async with server.running(tmp_path) as api:
        assert api.store.revision == revision


def test_what_people_add_stays() -> None:
    wanted = rbac_objects.aggregated_role("r", ("view",), into=("x",))
    old = rbac_objects.aggregated_role("r", ("own",)) | {"rules": [bed.rule("a", "get")]}
    old["metadata"]["labels"] = {"mine": "yes"}
    found = reconciling.completed(old, wanted)
    selectors = found["aggregationRule"]["clusterRoleSelectors"]
    assert [next(iter(each["matchLabels"])).rpartition("-")[2] for each in selectors] == ["own", "view"]
    assert found["metadata"]["labels"]["mine"] == "yes"
    assert found["metadata"]["labels"].keys() >= wanted["metadata"]["labels"].keys()
    assert found["rules"] == old["rules"]
