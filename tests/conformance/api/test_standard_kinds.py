"""What single standard kinds do beyond all others: Secrets, ServiceAccounts, Events, Leases, Nodes, Pods."""

from typing import Any

import pytest
from tests.conformance.api import spaces, wire

LEASES = "/apis/coordination.k8s.io/v1"


def test_secrets_take_text_and_give_base64(space: spaces.Space) -> None:
    made = space.create("s", "secrets", data={"a": "MQ==", "b": "Mg=="}, stringData={"b": "x", "c": "ä"})
    assert made["data"] == {"a": "MQ==", "b": "eA==", "c": "w6Q="}
    assert "stringData" not in made
    assert made["type"] == "Opaque"
    patched = space.api.patch(space.path("secrets", "s"), {"stringData": {"a": "y"}}).ok()
    assert patched["data"]["a"] == "eQ=="
    assert "stringData" not in patched


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"data": {"a b": "MQ=="}}, "data[a b]"),
        ({"type": "kubernetes.io/tls", "data": {}}, "data[tls.crt]"),
        (
            {"type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": "{"}},
            "data[.dockerconfigjson]",
        ),
        ({"type": "kubernetes.io/dockerconfigjson"}, "data[.dockerconfigjson]"),
    ],
    ids=str,
)
def test_secrets_that_are_refused(space: spaces.Space, content: dict[str, Any], field: str) -> None:
    reply = space.api.post(space.path("secrets"), {"metadata": {"name": "s"}, **content})
    reply.fails(422, "Invalid")
    assert field in [where for _, where in reply.causes()], reply.json


def test_secrets_with_no_base64(space: spaces.Space) -> None:
    reply = space.api.post(space.path("secrets"), {"metadata": {"name": "s"}, "data": {"a": "%"}})
    assert reply.status in (400, 422)


def test_the_type_of_a_secret_stays(space: spaces.Space) -> None:
    space.create("s", "secrets")
    reply = space.api.patch(space.path("secrets", "s"), {"type": "x.io/y"})
    reply.fails(422, "Invalid")
    assert ("FieldValueInvalid", "type") in reply.causes()


@pytest.mark.parametrize("key", ["a b", "..", "a/b", ""])
def test_keys_of_configmaps(space: spaces.Space, key: str) -> None:
    reply = space.api.post(space.path(), {"metadata": {"name": "a"}, "data": {key: "1"}})
    reply.fails(422, "Invalid")
    assert f"data[{key}]" in [field for _, field in reply.causes()]


def test_configmaps_have_a_largest_size(space: spaces.Space) -> None:
    reply = space.api.post(space.path(), {"metadata": {"name": "a"}, "data": {"k": "x" * (2**20 + 1)}})
    reply.fails(422, "Invalid")
    assert reply.causes()[0][0] == "FieldValueTooLong"
    both = {"metadata": {"name": "a"}, "data": {"k": "1"}, "binaryData": {"k": "MQ=="}}
    space.api.post(space.path(), both).fails(422, "Invalid")


def test_service_accounts(space: spaces.Space) -> None:
    made = space.create("s", "serviceaccounts", automountServiceAccountToken=False, imagePullSecrets=[{"name": "x"}])
    assert made["automountServiceAccountToken"] is False
    assert made["imagePullSecrets"] == [{"name": "x"}]
    space.api.post(space.path("serviceaccounts"), {"metadata": {"name": "A"}}).fails(422, "Invalid")


def event(name: str, namespace: str, **content: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": namespace},
        "reason": "Tested",
        "message": "m",
        "type": "Normal",
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:00:00Z",
        "count": 1,
        **content,
    }


def test_events(space: spaces.Space) -> None:
    made = space.api.post(space.path("events"), event("e", space.name)).ok(201)
    assert (made["reason"], made["count"], made["type"]) == ("Tested", 1, "Normal")
    patched = space.api.patch(space.path("events", "e"), {"count": 2}, kind="strategic-merge").ok()
    assert patched["count"] == 2
    wrong = event("f", "other")
    reply = space.api.post(space.path("events"), wrong)
    reply.fails(422, "Invalid")
    assert ("FieldValueInvalid", "involvedObject.namespace") in reply.causes()


def test_leases(space: spaces.Space) -> None:
    path = space.path("leases", root=LEASES)
    spec = {"holderIdentity": "me", "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:00.123456Z"}
    made = space.api.post(path, {"metadata": {"name": "l"}, "spec": spec}).ok(201)
    assert made["spec"] == spec
    # Who renews with an old revision has lost.
    stale = {**made, "spec": {**spec, "holderIdentity": "other"}}
    renewed = {**made, "spec": {**spec, "renewTime": "2026-01-01T00:00:10.000000Z"}}
    space.api.put(f"{path}/l", renewed).ok()
    space.api.put(f"{path}/l", stale).fails(409, "Conflict")
    for wrong in ({"leaseDurationSeconds": 0}, {"leaseTransitions": -1}):
        reply = space.api.patch(f"{path}/l", {"spec": wrong})
        reply.fails(422, "Invalid")
        assert [field for _, field in reply.causes()] == [f"spec.{next(iter(wrong))}"]


def test_nodes(api: wire.Api, space: spaces.Space) -> None:
    path = f"/api/v1/nodes/{space.name}"
    made = api.post("/api/v1/nodes", {"metadata": {"name": space.name}}).ok(201)
    assert "namespace" not in made["metadata"]
    capacity = {"cpu": "1500m", "memory": "1024Mi"}
    found = api.patch(f"{path}/status", {"status": {"capacity": capacity}}, kind="strategic-merge").ok()
    # Amounts come back in their shortest form.
    assert found["status"]["capacity"] == {"cpu": "1500m", "memory": "1Gi"}
    assert api.patch(path, {"spec": {"unschedulable": True}}).ok()["spec"]["unschedulable"] is True
    taints = [{"key": "k", "value": "v", "effect": "NoSchedule"}]
    assert api.patch(path, {"spec": {"taints": taints}}).ok()["spec"]["taints"] == taints
    reply = api.patch(path, {"spec": {"taints": [{"key": "k", "effect": "Odd"}]}})
    reply.fails(422, "Invalid")
    api.delete(path).ok()
    assert api.get(path).status == 404


def test_defaults_of_pods(space: spaces.Space) -> None:
    pod = space.pod("p")
    spec = pod["spec"]
    assert (spec["restartPolicy"], spec["dnsPolicy"], spec["schedulerName"]) == (
        "Always",
        "ClusterFirst",
        "default-scheduler",
    )
    assert spec["terminationGracePeriodSeconds"] == 30
    container = spec["containers"][0]
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert container["terminationMessagePath"] == "/dev/termination-log"
    assert pod["status"]["phase"] == "Pending"
    assert pod["status"]["qosClass"] == "BestEffort"


@pytest.mark.parametrize(
    ("spec", "cause"),
    [
        ({"containers": []}, ("FieldValueRequired", "spec.containers")),
        ({"containers": [{"name": "c"}]}, ("FieldValueRequired", "spec.containers[0].image")),
        ({"containers": [{"image": "x"}]}, ("FieldValueRequired", "spec.containers[0].name")),
        ({"containers": [{"name": "C", "image": "x"}]}, ("FieldValueInvalid", "spec.containers[0].name")),
        (
            {"containers": [{"name": "c", "image": "x"}, {"name": "c", "image": "x"}]},
            ("FieldValueDuplicate", "spec.containers[1].name"),
        ),
        (
            {"containers": [{"name": "c", "image": "x"}], "restartPolicy": "Odd"},
            ("FieldValueNotSupported", "spec.restartPolicy"),
        ),
        (
            {"containers": [{"name": "c", "image": "x", "ports": [{"containerPort": 70000}]}]},
            ("FieldValueInvalid", "spec.containers[0].ports[0].containerPort"),
        ),
        (
            {"containers": [{"name": "c", "image": "x", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]},
            ("FieldValueNotFound", "spec.containers[0].volumeMounts[0].name"),
        ),
        (
            {
                "containers": [
                    {"name": "c", "image": "x", "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}
                ]
            },
            ("FieldValueInvalid", "spec.containers[0].resources.requests"),
        ),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_pods_that_are_refused(space: spaces.Space, spec: dict[str, Any], cause: tuple[str, str]) -> None:
    reply = space.api.post(space.path("pods"), {"metadata": {"name": "p"}, "spec": spec})
    reply.fails(422, "Invalid")
    assert cause in reply.causes(), reply.json


@pytest.mark.parametrize("amount", ["x", "1.2.3", "1Q", "-1", ""])
def test_amounts_that_are_none(space: spaces.Space, amount: str) -> None:
    container = {"name": "c", "image": "x", "resources": {"requests": {"cpu": amount}}}
    reply = space.api.post(space.path("pods"), {"metadata": {"name": "p"}, "spec": {"containers": [container]}})
    assert reply.status in (400, 422), reply.body
