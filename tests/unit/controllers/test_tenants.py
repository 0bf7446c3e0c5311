"""Tenants: what is made for them, what they may use, and that people of one see and touch nothing of another."""

import asyncio
import pathlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from boxfleet.api import catalog, roles
from boxfleet.apiserver import route
from boxfleet.client import shared
from boxfleet.controllers.tenant import controller
from boxfleet.kit import clock
from boxfleet.testing import server

pytestmark = pytest.mark.anyio

TENANTS = "/apis/boxfleet.dev/v1/tenants"
SETS = "/apis/boxfleet.dev/v1/namespacesets"
MERGE = {"content-type": "application/merge-patch+json"}


@pytest.fixture
async def api(tmp_path: pathlib.Path, anyio_backend: str) -> AsyncIterator[server.Api]:
    async with server.running(tmp_path) as running, asyncio.TaskGroup() as group:
        part = running.part(roles.TENANT_CONTROLLER)
        caches = shared.Caches(part, clock=clock.SystemClock())
        found = controller.TenantController(part, caches, clock=clock.SystemClock())
        tasks = [group.create_task(caches.run())]
        await caches.synced()
        tasks.append(group.create_task(found.run()))
        try:
            yield running
        finally:
            for task in tasks:
                task.cancel()


async def send(
    api: server.Api, method: str, path: str, body: Any = None, *, user: str = "", groups: str = "", **headers: str
) -> server.Reply:
    """As the administrator, or as somebody else."""
    given = dict(MERGE) if method == "PATCH" else {}
    if user:
        given |= {"impersonate-user": user, "impersonate-group": groups or "system:authenticated"}
    return await server.send(api.app, method, path, body, headers=given | headers)


def member(name: str, role: str, kind: str = "User") -> dict[str, str]:
    return {"kind": kind, "name": name, "role": role}


async def tenant(api: server.Api, name: str, **spec: Any) -> None:
    reply = await send(api, "POST", TENANTS, {"metadata": {"name": name}, "spec": spec})
    assert reply.status == 201, reply.json
    await ready(api, name)


async def ready(api: server.Api, name: str, *, reason: str = "Provided") -> dict[str, Any]:
    """Wait until the status is about what was written last."""
    async with asyncio.timeout(10):
        while True:
            found: dict[str, Any] = (await send(api, "GET", f"{TENANTS}/{name}")).json
            status = found.get("status") or {}
            said = [each["reason"] for each in status.get("conditions") or ()]
            if status.get("observedGeneration") == found["metadata"]["generation"] and said == [reason]:
                return found
            await asyncio.sleep(0.01)


async def eventually(api: server.Api, path: str, status: int, **as_: str) -> server.Reply:
    async with asyncio.timeout(10):
        while (reply := await send(api, "GET", path, **as_)).status != status:
            await asyncio.sleep(0.01)
    return reply


def pod(name: str, **requests: str) -> dict[str, Any]:
    resources = {"requests": requests} if requests else {}
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "m", "image": "i", "resources": resources}]}}


async def test_what_is_made_and_taken_back(api: server.Api) -> None:
    await tenant(
        api,
        "acme",
        namespaces=[{"name": "acme-prod"}],
        members=[member("alice", "tenant-admin"), member("devs", "developer", "Group")],
        limits=[{"type": "Container", "default": {"memory": "64Mi"}}],
    )
    space = (await send(api, "GET", "/api/v1/namespaces/acme-prod")).json
    assert space["metadata"]["labels"]["boxfleet.dev/tenant"] == "acme"
    maps = "/api/v1/namespaces/acme-prod/configmaps"
    assert (await send(api, "POST", maps, {"metadata": {"name": "a"}}, user="bob")).status == 403
    assert (await send(api, "POST", maps, {"metadata": {"name": "a"}}, user="bob", groups="devs")).status == 201
    bindings = "/apis/rbac.authorization.k8s.io/v1/namespaces/acme-prod/rolebindings"
    assert (await send(api, "GET", bindings, user="bob", groups="devs")).status == 403
    assert (await send(api, "GET", bindings, user="alice")).status == 200
    limits = "/api/v1/namespaces/acme-prod/limitranges/tenant"
    assert (await send(api, "GET", limits)).json["spec"]["limits"][0]["default"] == {"memory": "64Mi"}
    # What somebody changes or deletes comes back.
    await send(api, "DELETE", limits)
    await eventually(api, limits, 200)
    # Members and limits that are no longer wanted go.
    change = {"spec": {"limits": None, "members": [member("alice", "viewer")]}}
    assert (await send(api, "PATCH", f"{TENANTS}/acme", change)).status == 200
    await eventually(api, limits, 404)
    await eventually(api, f"{bindings}/tenant:developer", 404)
    assert (await send(api, "POST", maps, {"metadata": {"name": "b"}}, user="alice")).status == 403
    assert (await send(api, "GET", maps, user="alice")).status == 200
    # The Namespace stays, with what is in it, and is nobody's.
    assert (await send(api, "DELETE", f"{TENANTS}/acme")).status == 200
    await eventually(api, f"{TENANTS}/acme", 404)
    space = (await send(api, "GET", "/api/v1/namespaces/acme-prod")).json
    assert "boxfleet.dev/tenant" not in space["metadata"]["labels"]
    assert (await send(api, "GET", f"{maps}/a")).status == 200
    assert (await send(api, "GET", maps, user="alice")).status == 403
    for kind in ("clusterroles", "clusterrolebindings"):
        listed = (await send(api, "GET", f"/apis/rbac.authorization.k8s.io/v1/{kind}")).json["items"]
        assert not [each for each in listed if each["metadata"]["name"].startswith("tenant:")]


async def test_namespaces_that_are_there(api: server.Api) -> None:
    for name in ("old", "mine"):
        await send(api, "POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    spec = {"namespaces": [{"name": "old"}, {"name": "mine", "adopt": True}, {"name": "new"}]}
    await send(api, "POST", TENANTS, {"metadata": {"name": "acme"}, "spec": spec | {"namespacePolicy": "Delete"}})
    found = await ready(api, "acme", reason="NamespaceTaken")
    assert found["status"]["namespaces"] == ["mine", "new"]
    assert found["status"]["conditions"][0]["message"] == (
        "Namespace old is there already: to take it over, set adopt: true beside its name"
    )
    other = {"metadata": {"name": "other"}, "spec": {"namespaces": [{"name": "mine", "adopt": True}]}}
    reply = await send(api, "POST", TENANTS, other)
    assert (reply.status, "a Namespace belongs to one tenant" in reply.json["message"]) == (422, True)
    # Deleted is only what was made for the tenant.
    await send(api, "PATCH", f"{TENANTS}/acme", {"spec": {"namespaces": []}})
    async with asyncio.timeout(10):
        while "deletionTimestamp" not in (await send(api, "GET", "/api/v1/namespaces/new")).json["metadata"]:
            await asyncio.sleep(0.01)
    for name in ("old", "mine"):
        data = (await send(api, "GET", f"/api/v1/namespaces/{name}")).json["metadata"]
        assert "deletionTimestamp" not in data
        assert "boxfleet.dev/tenant" not in data["labels"]


async def test_admins_make_namespaces_for_their_tenant_alone(api: server.Api) -> None:
    await tenant(
        api, "acme", members=[member("alice", "tenant-admin"), member("bob", "developer")], quota={"namespaces": 2}
    )
    await tenant(api, "beta", members=[member("eve", "tenant-admin")], prefix="b-")
    wish = {"spec": {"namespaces": ["acme-test"]}}
    assert (await send(api, "PATCH", f"{SETS}/acme", wish, user="bob")).status == 403
    assert (await send(api, "PATCH", f"{SETS}/acme", wish, user="eve")).status == 403
    assert (await send(api, "PATCH", f"{SETS}/acme", wish, user="alice")).status == 200
    maps = "/api/v1/namespaces/acme-test/configmaps"
    await eventually(api, maps, 200, user="bob")
    assert (await send(api, "PATCH", f"{SETS}/beta", {"spec": {"namespaces": ["b-1"]}}, user="eve")).status == 200
    for name, words in (("beta-x", "does not begin with acme-"), ("kube-system", "belongs to the platform")):
        reply = await send(api, "PATCH", f"{SETS}/acme", {"spec": {"namespaces": [name]}}, user="alice")
        assert (reply.status, words in reply.json["message"]) == (422, True), reply.json
    many = {"spec": {"namespaces": ["acme-1", "acme-2", "acme-3"]}}
    reply = await send(api, "PATCH", f"{SETS}/acme", many, user="alice")
    assert "exceeded quota: tenant/acme, requested: namespaces=2, used: namespaces=1, limited" in reply.json["message"]
    assert (await send(api, "GET", f"{TENANTS}/acme", user="bob")).json["status"]["namespaces"] == ["acme-test"]
    assert (await send(api, "PATCH", f"{TENANTS}/acme", {"spec": {"quota": {}}}, user="alice")).status == 403


async def test_one_quota_over_all_namespaces(api: server.Api) -> None:
    quota = {"cpu": "1", "memory": "1Gi", "instances": 10, "volumes": 1, "addresses": 1}
    names = [{"name": "acme-1"}, {"name": "acme-2"}]
    await send(api, "POST", "/api/v1/namespaces", {"metadata": {"name": "acme-1"}})
    small = {"cpu": "10m", "memory": "1Mi"}
    assert (await send(api, "POST", "/api/v1/namespaces/acme-1/pods", pod("before", **small))).status == 201
    names[0]["adopt"] = True  # type: ignore[assignment]
    await tenant(api, "acme", namespaces=names, quota=quota)

    async def used() -> dict[str, str]:
        found: dict[str, str] = (await send(api, "GET", f"{TENANTS}/acme")).json["status"]["used"]
        return found

    assert await used() == {"cpu": "10m", "memory": "1Mi", "instances": "1", "volumes": "0", "addresses": "0"}
    replies = await asyncio.gather(
        *(
            send(api, "POST", f"/api/v1/namespaces/acme-{1 + number % 2}/pods", pod(f"p{number}", **small))
            for number in range(16)
        )
    )
    assert sorted(reply.status for reply in replies) == [201] * 9 + [403] * 7
    message = next(reply.json["message"] for reply in replies if reply.status == 403)
    assert message.endswith(
        "exceeded quota: tenant/acme, requested: instances=1, used: instances=10, limited: instances=10"
    )
    assert (await used())["cpu"] == "100m"
    made = next(reply.json["metadata"] for reply in replies if reply.status == 201)
    await send(api, "DELETE", f"/api/v1/namespaces/{made['namespace']}/pods/{made['name']}", {"gracePeriodSeconds": 0})
    assert (await used())["instances"] == "9"
    reply = await send(api, "POST", "/api/v1/namespaces/acme-1/pods", pod("big", cpu="2", memory="1Mi"))
    assert "requested: cpu=2, used: cpu=90m, limited: cpu=1" in reply.json["message"]
    reply = await send(api, "POST", "/api/v1/namespaces/acme-1/pods", pod("silent", cpu="1m"))
    assert "failed quota: tenant/acme: must specify requests.memory for: m" in reply.json["message"]
    claim = {"metadata": {"name": "c"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}}
    replies = [
        await send(api, "POST", f"/api/v1/namespaces/acme-{number}/persistentvolumeclaims", claim) for number in (1, 2)
    ]
    assert [reply.status for reply in replies] == [201, 403]
    pool = {"metadata": {"name": "p"}, "spec": {"cidr": "10.9.0.0/24"}}
    assert (await send(api, "POST", "/apis/boxfleet.dev/v1/addresspools", pool)).status == 201
    statuses = []
    for number in (1, 2):
        spec = {"pool": "p", "namespace": f"acme-{number}", "instance": "x", "reserved": True}
        body = {"metadata": {"name": f"10.9.0.{number + 10}"}, "spec": spec}
        statuses.append((await send(api, "POST", "/apis/boxfleet.dev/v1/addresses", body)).status)
    assert statuses == [201, 403]
    assert (await used())["addresses"] == "1"


class _Filled(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "x"


# What members of a tenant may ask of the whole fleet, besides questions about themselves.
_EVERYBODY = {
    ("create", "selfsubjectaccessreviews"), ("create", "selfsubjectrulesreviews"), ("create", "selfsubjectreviews"),
}  # fmt: skip


@pytest.mark.parametrize("role", ["tenant-admin", "developer", "viewer"])
async def test_nothing_of_another_tenant_is_seen_or_touched(api: server.Api, role: str) -> None:
    for name in ("alpha", "beta"):
        await tenant(api, name, namespaces=[{"name": f"{name}-1"}], members=[member(f"of-{name}", role)])
    await send(api, "POST", "/api/v1/namespaces/alpha-1/secrets", {"metadata": {"name": "a"}})
    assert (await send(api, "GET", "/api/v1/namespaces/beta-1/configmaps", user="of-beta")).status == 200
    open_: set[tuple[str, str]] = set()
    for entry in api.app.routes:
        if not entry.access.resource:
            continue
        for space, name in (("alpha-1", "a"), ("not-there", "a")):
            path = entry.path.format_map(_Filled(namespace=space, name=name))
            if entry.access.resource == "namespaces":
                path = entry.path.format_map(_Filled(name=space))
            if entry.access.resource in ("tenants", "namespacesets"):
                path = entry.path.format_map(_Filled(name="alpha"))
            reply = await send(api, entry.method, path, user="of-beta")
            if reply.status != 403:
                open_.add((entry.access.verb, entry.access.resource))
            elif entry.method != route.WEBSOCKET:
                # Nothing shows whether it is there.
                assert 'User "of-beta" cannot' in reply.json["message"]
    assert open_ == _EVERYBODY
    # Lists and watches over all Namespaces, of every kind.
    for each in catalog.TYPES:
        if "list" in each.KIND.verbs:
            root = f"/apis/{each.KIND.group}/v1" if each.KIND.group else "/api/v1"
            for query in ("", "?watch=true"):
                reply = await send(api, "GET", f"{root}/{each.KIND.plural}{query}", user="of-beta")
                assert reply.status == 403, each


async def test_tenants_that_make_no_sense(api: server.Api) -> None:
    for spec, words in (
        ({"namespaces": [{"name": "kube-system"}]}, "belongs to the platform"),
        ({"namespaces": [{"name": "a"}, {"name": "a"}]}, "Duplicate value"),
        ({"members": [member("system:authenticated", "viewer", "Group")]}, "are not people's"),
        ({"members": [member("a", "viewer", "ServiceAccount")]}, "Required value: a ServiceAccount is in a Namespace"),
        ({"members": [member("a", "cluster-admin")]}, "cluster-admin"),
        ({"quota": {"gpus": 1}}, "Unsupported value"),
        ({"quota": {"instances": "1500m"}}, "must be an integer"),
        ({"limits": [{"type": "Pod", "default": {"cpu": "1"}}]}, "may not be specified when `type` is 'Pod'"),
    ):
        reply = await send(api, "POST", TENANTS, {"metadata": {"name": "a"}, "spec": spec})
        assert (reply.status, words in reply.json["message"]) == (422, True), reply.json
    reply = await send(api, "POST", SETS, {"metadata": {"name": "nobody"}, "spec": {}})
    assert (reply.status, "has the name of its Tenant" in reply.json["message"]) == (422, True)
