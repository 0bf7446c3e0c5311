"""ResourceQuotas and LimitRanges: what is refused, in Kubernetes' words, and that the count is never wrong."""

import asyncio
import contextlib
import pathlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from boxfleet.api import meta, resource_quota, roles
from boxfleet.client import shared
from boxfleet.controllers.quota import controller
from boxfleet.kit import clock
from boxfleet.testing import server

pytestmark = pytest.mark.anyio

QUOTAS = "/api/v1/namespaces/default/resourcequotas"
PODS = "/api/v1/namespaces/default/pods"
RANGES = "/api/v1/namespaces/default/limitranges"
CLAIMS = "/api/v1/namespaces/default/persistentvolumeclaims"
MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
async def counting(api: server.Api) -> AsyncIterator[controller.QuotaController]:
    async with running_controller(api) as found:
        yield found


@contextlib.asynccontextmanager
async def running_controller(api: server.Api) -> AsyncIterator[controller.QuotaController]:
    caches = shared.Caches(api.part(roles.QUOTA_CONTROLLER), clock=clock.SystemClock())
    found = controller.QuotaController(api.part(roles.QUOTA_CONTROLLER), caches)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(caches.run()), group.create_task(found.run())]
        try:
            yield found
        finally:
            for task in tasks:
                task.cancel()


async def post(api: server.Api, path: str, body: Any) -> server.Reply:
    return await server.send(api.app, "POST", path, body)


def pod(name: str, *, requests: Any = None, limits: Any = None, **spec: Any) -> dict[str, Any]:
    resources = {key: value for key, value in (("requests", requests), ("limits", limits)) if value}
    return {
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "main", "image": "i", "resources": resources}], **spec},
    }


async def quota(api: server.Api, name: str, hard: dict[str, str], **spec: Any) -> None:
    """Make a quota and wait until it is enforced."""
    reply = await post(api, QUOTAS, {"metadata": {"name": name}, "spec": {"hard": hard, **spec}})
    assert reply.status == 201, reply.json
    await until(api, name, hard=reply.json["spec"]["hard"])


async def until(api: server.Api, name: str, **said: Any) -> None:
    async with asyncio.timeout(10):
        while not said.items() <= (await status(api, name)).items():
            await asyncio.sleep(0.01)


async def status(api: server.Api, name: str) -> dict[str, Any]:
    found: dict[str, Any] = (await server.send(api.app, "GET", f"{QUOTAS}/{name}")).json.get("status") or {}
    return found


async def used(api: server.Api, name: str) -> dict[str, str]:
    found: dict[str, str] = (await status(api, name))["used"]
    return found


async def test_sixteen_at_once_never_exceed_it(api: server.Api, counting: object) -> None:
    await quota(api, "few", {"pods": "10"})
    replies = await asyncio.gather(*(post(api, PODS, pod(f"p-{number}")) for number in range(16)))
    assert sorted(reply.status for reply in replies) == [201] * 10 + [403] * 6
    refused = next(reply for reply in replies if reply.status == 403)
    name = refused.json["details"]["name"]
    assert refused.json["message"] == (
        f'pods "{name}" is forbidden: exceeded quota: few, requested: pods=1, used: pods=10, limited: pods=10'
    )
    assert await used(api, "few") == {"pods": "10"}
    made = [f"{PODS}/p-{number}" for number, reply in enumerate(replies) if reply.status == 201]
    # What goes, and what has ended, makes room at once.
    await server.send(api.app, "DELETE", made[0], {"gracePeriodSeconds": 0})
    assert await used(api, "few") == {"pods": "9"}
    await server.send(
        api.app,
        "PATCH",
        f"{made[1]}/status",
        {"status": {"phase": "Succeeded"}},
        headers={"content-type": "application/merge-patch+json"},
    )
    assert await used(api, "few") == {"pods": "8"}
    await server.send(api.app, "DELETE", made[1], {"gracePeriodSeconds": 0})
    assert await used(api, "few") == {"pods": "8"}
    replies = await asyncio.gather(*(post(api, PODS, pod(f"q-{number}")) for number in range(4)))
    assert sorted(reply.status for reply in replies) == [201, 201, 403, 403]
    # What is refused for another reason, or only tried, does not count.
    assert (await post(api, PODS, pod("p-1"))).status in (403, 409)
    await server.send(api.app, "DELETE", made[2], {"gracePeriodSeconds": 0})
    assert (await post(api, f"{PODS}?dryRun=All", pod("tried"))).status == 201
    assert await used(api, "few") == {"pods": "9"}
    assert (await post(api, PODS, {**pod("p-3"), "metadata": {"name": made[3].rpartition("/")[2]}})).status == 409
    assert await used(api, "few") == {"pods": "9"}


async def test_what_is_there_already_counts(api: server.Api, counting: object) -> None:
    for number in range(3):
        await post(api, PODS, pod(f"p-{number}", requests={"cpu": "250m", "memory": "1Gi"}, limits={"cpu": "1"}))
    hard = {"requests.cpu": "1", "memory": "3Gi", "limits.cpu": "3500m", "count/pods": "10", "configmaps": "1"}
    await quota(api, "some", hard)
    assert await used(api, "some") == {
        "requests.cpu": "750m", "memory": "3Gi", "limits.cpu": "3", "count/pods": "3", "configmaps": "0",
    }  # fmt: skip
    reply = await post(api, PODS, pod("more", requests={"cpu": "300m", "memory": "1"}, limits={"cpu": "500m"}))
    assert reply.json["message"] == (
        'pods "more" is forbidden: exceeded quota: some, requested: memory=1,requests.cpu=300m, '
        "used: memory=3Gi,requests.cpu=750m, limited: memory=3Gi,requests.cpu=1"
    )
    reply = await post(api, PODS, pod("silent"))
    assert reply.json["message"] == (
        'pods "silent" is forbidden: failed quota: some: must specify limits.cpu for: main; memory for: main; '
        "requests.cpu for: main"
    )
    assert (await post(api, MAPS, {"metadata": {"name": "a"}})).status == 201
    reply = await post(api, MAPS, {"metadata": {"generateName": "b-"}})
    assert (
        "exceeded quota: some, requested: configmaps=1, used: configmaps=1, limited: configmaps=1"
        in reply.body.decode()
    )
    # Limits may be lowered below what is used; then what is there stays, and nothing comes.
    headers = {"content-type": "application/merge-patch+json"}
    lower = {"spec": {"hard": {"requests.cpu": "100m"}}}
    assert (await server.send(api.app, "PATCH", f"{QUOTAS}/some", lower, headers=headers)).status == 200
    await until(api, "some", hard={**hard, "requests.cpu": "100m"})
    assert (await used(api, "some"))["requests.cpu"] == "750m"
    assert (await server.send(api.app, "DELETE", f"{PODS}/p-0", {"gracePeriodSeconds": 0})).status == 200
    assert (await used(api, "some"))["requests.cpu"] == "500m"


async def test_claims_and_counts_of_any_kind(api: server.Api, counting: object) -> None:
    hard = {
        "requests.storage": "3Gi",
        "persistentvolumeclaims": "5",
        "fast.storageclass.storage.k8s.io/requests.storage": "1Gi",
        "count/leases.coordination.k8s.io": "1",
        "count/boxes.boxfleet.dev": "0",
    }
    await quota(api, "q", hard)

    def claim(name: str, size: str, **spec: str) -> dict[str, Any]:
        return {"metadata": {"name": name}, "spec": {"resources": {"requests": {"storage": size}}, **spec}}

    assert (await post(api, CLAIMS, claim("a", "1Gi", storageClassName="fast"))).status == 201
    reply = await post(api, CLAIMS, claim("b", "1Gi", storageClassName="fast"))
    assert "requested: fast.storageclass.storage.k8s.io/requests.storage=1Gi" in reply.body.decode()
    assert (await post(api, CLAIMS, claim("b", "512Mi"))).status == 201
    headers = {"content-type": "application/merge-patch+json"}
    grown = {"spec": {"resources": {"requests": {"storage": "3Gi"}}}}
    reply = await server.send(api.app, "PATCH", f"{CLAIMS}/b", grown, headers=headers)
    assert "requested: requests.storage=2560Mi, used: requests.storage=1536Mi" in reply.body.decode()
    grown = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
    assert (await server.send(api.app, "PATCH", f"{CLAIMS}/b", grown, headers=headers)).status == 200
    assert (await used(api, "q"))["requests.storage"] == "3Gi"
    leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
    assert [(await post(api, leases, {"metadata": {"name": name}})).status for name in "ab"] == [201, 403]
    template = {"spec": {"containers": [{"name": "a", "image": "i"}]}}
    box = {"metadata": {"name": "a"}, "spec": {"units": {"a": {"template": template}}}}
    reply = await post(api, "/apis/boxfleet.dev/v1/namespaces/default/boxes", box)
    assert "exceeded quota: q, requested: count/boxes.boxfleet.dev=1" in reply.body.decode(), reply.json
    await server.send(api.app, "DELETE", f"{CLAIMS}/a")
    assert (await used(api, "q"))["persistentvolumeclaims"] == "1"


async def test_scopes(api: server.Api, counting: object) -> None:
    await quota(api, "best-effort", {"pods": "1"}, scopes=["BestEffort"])
    await quota(api, "jobs", {"pods": "1"}, scopes=["Terminating", "NotBestEffort"])
    high = [{"scopeName": "PriorityClass", "operator": "In", "values": ["system-cluster-critical"]}]
    await quota(api, "high", {"pods": "0"}, scopeSelector={"matchExpressions": high})
    assert [(await post(api, PODS, pod(name))).status for name in "ab"] == [201, 403]
    asks = {"cpu": "10m"}
    assert [(await post(api, PODS, pod(name, requests=asks))).status for name in "cd"] == [201, 201]
    replies = [await post(api, PODS, pod(name, requests=asks, activeDeadlineSeconds=60)) for name in "ef"]
    assert [reply.status for reply in replies] == [201, 403]
    reply = await post(api, PODS, pod("g", requests=asks, priorityClassName="system-cluster-critical"))
    assert "exceeded quota: high" in reply.body.decode()


async def test_a_quota_without_status_lets_nothing_in(api: server.Api) -> None:
    await post(api, QUOTAS, {"metadata": {"name": "new"}, "spec": {"hard": {"pods": "5"}}})
    reply = await post(api, PODS, pod("a"))
    assert reply.status == 403
    assert "status unknown for quota: new, resources: pods" in reply.body.decode()


async def test_what_went_wrong_is_counted_anew(
    api: server.Api, counting: controller.QuotaController, tmp_path: pathlib.Path
) -> None:
    await quota(api, "q", {"pods": "5"})
    await post(api, PODS, pod("a"))
    wrong = {"status": {"used": {"pods": "4"}}}
    headers = {"content-type": "application/merge-patch+json"}
    await server.send(api.app, "PATCH", f"{QUOTAS}/q/status", wrong, headers=headers)
    assert await used(api, "q") == {"pods": "4"}
    await counting.reconcile(meta.Key("default", "q"))
    assert await used(api, "q") == {"pods": "1"}


async def test_counting_anew_while_many_write_is_right_in_the_end(
    api: server.Api, counting: controller.QuotaController
) -> None:
    await quota(api, "q", {"pods": "20"})
    over = 0

    async def churn(number: int) -> None:
        nonlocal over
        for turn in range(8):
            name = f"p-{number}-{turn}"
            if (await post(api, PODS, pod(name))).status == 201 and turn % 2:
                await server.send(api.app, "DELETE", f"{PODS}/{name}", {"gracePeriodSeconds": 0})
            over = max(over, api.store.count("//pods/default/"))

    async def recount() -> None:
        for _ in range(10):
            with contextlib.suppress(Exception):
                await counting.reconcile(meta.Key("default", "q"))

    await asyncio.gather(*(churn(number) for number in range(16)), recount())
    assert over <= 20
    assert await used(api, "q") == {"pods": str(api.store.count("//pods/default/"))}


async def test_limits_fill_in_and_hold(api: server.Api) -> None:
    limits = [
        {
            "type": "Container",
            "min": {"cpu": "50m"},
            "max": {"cpu": "1", "memory": "1Gi"},
            "defaultRequest": {"cpu": "100m"},
            "maxLimitRequestRatio": {"cpu": "10"},
        },
        {"type": "Pod", "max": {"cpu": "1500m"}},
        {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "5Gi"}},
    ]
    reply = await post(api, RANGES, {"metadata": {"name": "l"}, "spec": {"limits": limits}})
    assert reply.status == 201, reply.json
    first = reply.json["spec"]["limits"][0]
    assert first["default"] == {"cpu": "1", "memory": "1Gi"}
    assert first["defaultRequest"] == {"cpu": "100m", "memory": "1Gi"}
    reply = await post(api, PODS, pod("a"))
    assert reply.status == 201, reply.json
    assert reply.json["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "100m", "memory": "1Gi"},
        "limits": {"cpu": "1", "memory": "1Gi"},
    }
    assert reply.json["status"]["qosClass"] == "Burstable"
    assert reply.json["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == (
        "LimitRanger plugin set: cpu, memory request for container main; cpu, memory limit for container main"
    )
    for asked, limited, words in (
        ("10m", "90m", "minimum cpu usage per Container is 50m, but request is 10m"),
        (
            "200m",
            "2",
            "[maximum cpu usage per Container is 1, but limit is 2, "
            "maximum cpu usage per Pod is 1500m, but limit is 2]",
        ),
        ("60m", "900m", "cpu max limit to request ratio per Container is 10, but provided ratio is 15.000000"),
    ):
        reply = await post(api, PODS, pod("b", requests={"cpu": asked}, limits={"cpu": limited}))
        assert (reply.status, reply.json["message"]) == (403, f'pods "b" is forbidden: {words}')
    claim = {"metadata": {"name": "c"}, "spec": {"resources": {"requests": {"storage": "6Gi"}}}}
    reply = await post(api, CLAIMS, claim)
    words = "maximum storage usage per PersistentVolumeClaim is 5Gi, but request is 6Gi"
    assert reply.json["message"] == f'persistentvolumeclaims "c" is forbidden: {words}'


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"hard": {"bogus": "1"}}, "must be a standard resource for quota"),
        ({"hard": {"pods": "-1"}}, "must be greater than or equal to 0"),
        ({"hard": {"pods": "500m"}}, "must be an integer"),
        ({"hard": {"pods": "1"}, "scopes": ["Bogus"]}, "unsupported scope"),
        ({"hard": {"pods": "1"}, "scopes": ["BestEffort", "NotBestEffort"]}, "conflicting scopes"),
        ({"hard": {"configmaps": "1"}, "scopes": ["BestEffort"]}, "unsupported scope applied to resource configmaps"),
    ],
)
async def test_quotas_that_make_no_sense(api: server.Api, spec: Any, words: str) -> None:
    reply = await post(api, QUOTAS, {"metadata": {"name": "q"}, "spec": spec})
    assert reply.status == 422
    assert words in reply.body.decode()


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({"type": "Bogus"}, "must be a standard limit type or fully qualified"),
        ({"type": "Pod", "default": {"cpu": "1"}}, "may not be specified when `type` is 'Pod'"),
        ({"type": "Container", "min": {"cpu": "2"}, "max": {"cpu": "1"}}, "min value 2 is greater than max value 1"),
        ({"type": "PersistentVolumeClaim"}, "either minimum or maximum storage value is required"),
    ],
)
async def test_limits_that_make_no_sense(api: server.Api, item: Any, words: str) -> None:
    reply = await post(api, RANGES, {"metadata": {"name": "q"}, "spec": {"limits": [item]}})
    assert reply.status == 422
    assert words in reply.body.decode()


async def test_what_is_shown(api: server.Api, counting: object) -> None:
    await quota(api, "q", {"pods": "5", "limits.cpu": "2"})
    form = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    table = (await server.send(api.app, "GET", QUOTAS, headers=form)).json
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Request", "Limit", "Age"]
    assert table["rows"][0]["cells"][:3] == ["q", "pods: 0/5", "limits.cpu: 0/2"]
    assert resource_quota.ResourceQuota.KIND.short_names == ("quota",)


async def test_kinds_of_others_are_counted(api: server.Api, counting: object) -> None:
    schema = {"openAPIV3Schema": {"type": "object"}}
    definition = {
        "metadata": {"name": "toys.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "toys", "singular": "toy", "kind": "Toy"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    assert (await post(api, definitions, definition)).status == 201
    toys = "/apis/example.com/v1/namespaces/default/toys"
    toy = {"apiVersion": "example.com/v1", "kind": "Toy"}
    async with asyncio.timeout(10):
        while (await post(api, toys, {**toy, "metadata": {"name": "a"}})).status != 201:
            await asyncio.sleep(0.01)
    await quota(api, "q", {"count/toys.example.com": "2", "count/none.example.com": "1"})
    assert await used(api, "q") == {"count/toys.example.com": "1", "count/none.example.com": "0"}
    statuses = [(await post(api, toys, {**toy, "metadata": {"name": name}})).status for name in "bc"]
    assert statuses == [201, 403]
