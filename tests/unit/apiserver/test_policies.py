"""Kinds that steer Pods from outside: PriorityClass, PodDisruptionBudget, HorizontalPodAutoscaler, StorageClass."""

import asyncio
from typing import Any

import pytest

from boxfleet.testing import server

pytestmark = pytest.mark.anyio

PODS = "/api/v1/namespaces/default/pods"
CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses"
BUDGETS = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
SCALERS = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
SCALERS_V1 = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers"
STORAGE = "/apis/storage.k8s.io/v1/storageclasses"
MERGE = {"content-type": "application/merge-patch+json"}


async def post(api: server.Api, path: str, body: Any) -> server.Reply:
    return await server.send(api.app, "POST", path, body)


async def patch(api: server.Api, path: str, body: Any) -> server.Reply:
    return await server.send(api.app, "PATCH", path, body, headers=MERGE)


def pod(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "m", "image": "i"}], **spec},
    }


async def test_priority_comes_from_the_class(api: server.Api) -> None:
    reply = await post(api, PODS, pod("a", priorityClassName="high"))
    assert (reply.status, reply.json["message"]) == (
        403,
        'pods "a" is forbidden: no PriorityClass with name high was found',
    )
    high = {"metadata": {"name": "high"}, "value": 1000, "preemptionPolicy": "Never"}
    assert (await post(api, CLASSES, high)).status == 201
    spec = (await post(api, PODS, pod("a", priorityClassName="high"))).json["spec"]
    assert (spec["priority"], spec["preemptionPolicy"]) == (1000, "Never")
    assert (await post(api, PODS, pod("b"))).json["spec"]["priority"] == 0
    usual = {"metadata": {"name": "usual"}, "value": 7, "globalDefault": True}
    assert (await post(api, CLASSES, usual)).status == 201
    spec = (await post(api, PODS, pod("c", priority=99))).json["spec"]
    assert (spec["priority"], spec["priorityClassName"]) == (7, "usual")
    reply = await post(api, CLASSES, {"metadata": {"name": "other"}, "value": 1, "globalDefault": True})
    assert "PriorityClass usual is already marked as default" in reply.json["message"]
    for body, words in (
        ({"metadata": {"name": "system-mine"}, "value": 1}, "reserved for system use only"),
        ({"metadata": {"name": "x"}, "value": 1_000_000_001}, "maximum allowed value of a user defined priority"),
    ):
        reply = await post(api, CLASSES, body)
        assert (reply.status, words in reply.json["message"]) == (422, True)
    reply = await patch(api, f"{CLASSES}/high", {"value": 5})
    assert "may not be changed in an update" in reply.json["message"]


async def ready(api: server.Api, name: str) -> None:
    body = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
    assert (await patch(api, f"{PODS}/{name}/status", body)).status == 200


async def test_evictions_keep_to_the_budget_however_many_come_at_once(api: server.Api) -> None:
    for number in range(6):
        await post(api, PODS, pod(f"p-{number}"))
        await ready(api, f"p-{number}")
    spec = {"minAvailable": 4, "selector": {"matchLabels": {"app": "web"}}}
    assert (await post(api, BUDGETS, {"metadata": {"name": "web"}, "spec": spec})).status == 201
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p-0"}}
    reply = await post(api, f"{PODS}/p-0/eviction", eviction)
    assert reply.status == 429
    assert "still being processed by the server" in reply.json["details"]["causes"][0]["message"]
    status = {"disruptionsAllowed": 2, "currentHealthy": 6, "desiredHealthy": 4, "expectedPods": 6}
    await patch(api, f"{BUDGETS}/web/status", {"status": {**status, "observedGeneration": 1}})

    async def evict(name: str, query: str = "") -> server.Reply:
        return await post(api, f"{PODS}/{name}/eviction{query}", {**eviction, "metadata": {"name": name}})

    assert (await evict("p-0", "?dryRun=All")).status == 201
    replies = await asyncio.gather(*(evict(f"p-{number}") for number in range(6)))
    assert sorted(reply.status for reply in replies) == [201, 201, 429, 429, 429, 429]
    refused = next(reply.json for reply in replies if reply.status == 429)
    assert refused["reason"] == "TooManyRequests"
    assert refused["message"] == "Cannot evict pod as it would violate the pod's disruption budget."
    assert refused["details"]["causes"] == [
        {"reason": "DisruptionBudget", "message": "The disruption budget web needs 4 healthy pods and has 6 currently"}
    ]
    said = (await server.send(api.app, "GET", f"{BUDGETS}/web")).json["status"]
    assert said["disruptionsAllowed"] == 0
    assert len(said["disruptedPods"]) == 2
    # What does not run is no loss.
    await post(api, PODS, pod("pending"))
    assert (await evict("pending")).status == 201
    assert (await post(api, BUDGETS, {"metadata": {"name": "two"}, "spec": spec})).status == 201
    left = next(f"p-{number}" for number, reply in enumerate(replies) if reply.status == 429)
    reply = await evict(left)
    assert (reply.status, "more than one PodDisruptionBudget" in reply.json["message"]) == (500, True)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"minAvailable": 1, "maxUnavailable": 1}, "cannot be both set"),
        ({"minAvailable": -1}, "must be greater than or equal to 0"),
        ({"maxUnavailable": "many"}, "a valid percent string must be"),
        ({"maxUnavailable": "101%"}, "must not be greater than 100%"),
    ],
)
async def test_budgets_that_make_no_sense(api: server.Api, spec: Any, words: str) -> None:
    reply = await post(api, BUDGETS, {"metadata": {"name": "b"}, "spec": spec})
    assert (reply.status, words in reply.json["message"]) == (422, True), reply.json


async def test_autoscalers_in_both_versions(api: server.Api) -> None:
    target = {"apiVersion": "boxfleet.dev/v1", "kind": "Unit", "name": "web"}
    spec = {"scaleTargetRef": target, "maxReplicas": 5, "targetCPUUtilizationPercentage": 70}
    reply = await post(api, SCALERS_V1, {"metadata": {"name": "web"}, "spec": spec})
    assert reply.status == 201, reply.json
    assert reply.json["spec"] == {**spec, "minReplicas": 1}
    assert "warning" not in dict(reply.headers)
    newer = (await server.send(api.app, "GET", f"{SCALERS}/web")).json
    assert newer["apiVersion"] == "autoscaling/v2"
    target_of = {"type": "Utilization", "averageUtilization": 70}
    assert newer["spec"]["metrics"] == [{"type": "Resource", "resource": {"name": "cpu", "target": target_of}}]
    # What the older version cannot say is not lost through it.
    more = {
        "type": "Pods",
        "pods": {"metric": {"name": "queue"}, "target": {"type": "AverageValue", "averageValue": "3"}},
    }
    await patch(api, f"{SCALERS}/web", {"spec": {"metrics": [more, *newer["spec"]["metrics"]]}})
    assert (await patch(api, f"{SCALERS_V1}/web", {"spec": {"maxReplicas": 9}})).status == 200
    newer = (await server.send(api.app, "GET", f"{SCALERS}/web")).json
    assert newer["spec"]["maxReplicas"] == 9
    assert [each["type"] for each in newer["spec"]["metrics"]] == ["Pods", "Resource"]
    reply = await post(api, SCALERS, {"metadata": {"name": "x"}, "spec": {"scaleTargetRef": target, "maxReplicas": 0}})
    assert "must be greater than 0" in reply.json["message"]
    form = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    table = (await server.send(api.app, "GET", SCALERS, headers=form)).json
    assert table["rows"][0]["cells"][:6] == [
        "web", "Unit/web", "queue: <unknown>/3, cpu: <unknown>/70%", "1", 9, 0,
    ]  # fmt: skip


async def test_storage_classes(api: server.Api) -> None:
    reply = await post(api, STORAGE, {"metadata": {"name": "fast"}, "provisioner": "example.com/disk"})
    assert (reply.status, reply.json["volumeBindingMode"]) == (201, "Immediate")
    reply = await patch(api, f"{STORAGE}/fast", {"provisioner": "example.com/other"})
    assert (reply.status, "updates to provisioner are forbidden." in reply.json["message"]) == (422, True)
    assert (await post(api, STORAGE, {"metadata": {"name": "none"}})).status == 422
