"""pods/ephemeralcontainers: containers join a Pod that is there, and nothing else changes by that door."""

import copy
from typing import Any

import pytest

from boxfleet.testing import server

pytestmark = pytest.mark.anyio
PODS = "/api/v1/namespaces/default/pods"
JOIN = f"{PODS}/p/ephemeralcontainers"
STRATEGIC = {"content-type": "application/strategic-merge-patch+json"}
LOOK = {"name": "look", "image": "tools:1", "stdin": True, "tty": True, "targetContainerName": "main"}


@pytest.fixture
async def pod(api: server.Api) -> dict[str, Any]:
    body = {
        "metadata": {"name": "p"},
        "spec": {
            "containers": [{"name": "main", "image": "x:1"}],
            "initContainers": [{"name": "first", "image": "x:1"}],
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
    }
    made: dict[str, Any] = (await server.send(api.app, "POST", PODS, body)).json
    return made


async def patch(api: server.Api, *containers: dict[str, Any], query: str = "", **more: Any) -> server.Reply:
    body = {"spec": {"ephemeralContainers": list(containers)}, **more}
    return await server.send(api.app, "PATCH", JOIN + query, body, headers=STRATEGIC)


def messages(reply: server.Reply) -> dict[str, str]:
    assert reply.status == 422, reply.body
    return {cause["field"]: cause["message"] for cause in reply.json["details"]["causes"]}


async def test_they_join_one_after_the_other_with_defaults(api: server.Api, pod: dict[str, Any]) -> None:
    reply = await patch(api, LOOK)
    assert reply.status == 200, reply.body
    [joined] = reply.json["spec"]["ephemeralContainers"]
    assert joined == LOOK | {
        "imagePullPolicy": "IfNotPresent",
        "resources": {},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    }
    reply = await patch(api, {"name": "again", "image": "tools"})
    assert [each["name"] for each in reply.json["spec"]["ephemeralContainers"]] == ["look", "again"]
    read = (await server.send(api.app, "GET", JOIN)).json
    assert read == (await server.send(api.app, "GET", f"{PODS}/p")).json == reply.json
    assert (await patch(api, LOOK)).json == reply.json


async def test_a_whole_pod_may_be_put_and_nothing_else_of_it_counts(api: server.Api, pod: dict[str, Any]) -> None:
    wished = copy.deepcopy(pod)
    wished["metadata"]["labels"] = {"no": "way"}
    wished["spec"]["containers"][0]["image"] = "other:1"
    wished["spec"]["nodeName"] = "elsewhere"
    wished["status"] = {"phase": "Failed"}
    wished["spec"]["ephemeralContainers"] = [LOOK]
    reply = await server.send(api.app, "PUT", JOIN, wished)
    assert reply.status == 200, reply.body
    found = reply.json
    assert "labels" not in found["metadata"]
    assert found["spec"].pop("ephemeralContainers")[0]["name"] == "look"
    assert found["spec"] == pod["spec"]
    assert found["status"] == pod["status"]
    assert (await server.send(api.app, "PUT", JOIN, wished)).status == 409
    del wished["metadata"]["resourceVersion"]
    wished["metadata"]["uid"] = "another"
    assert (await server.send(api.app, "PUT", JOIN, wished)).status == 409
    wished["metadata"] = {"name": "q"}
    assert (await server.send(api.app, "PUT", JOIN, wished)).status == 400


async def test_what_has_joined_stays_as_it_came(api: server.Api, pod: dict[str, Any]) -> None:
    assert (await patch(api, LOOK)).status == 200
    where = "spec.ephemeralContainers"
    reply = await patch(api, {"name": "look", "image": "other:1"})
    assert 'existing ephemeral containers "look" may not be changed' in messages(reply)[where]
    reply = await server.send(api.app, "PUT", JOIN, pod | {"metadata": {"name": "p"}})
    assert 'existing ephemeral containers "look" may not be removed' in messages(reply)[where]
    reply = await server.send(
        api.app, "PATCH", JOIN, [{"op": "remove", "path": "/spec/ephemeralContainers"}],
        headers={"content-type": "application/json-patch+json"},
    )  # fmt: skip
    assert 'existing ephemeral containers "look" may not be removed' in messages(reply)[where]


async def test_there_is_no_other_door(api: server.Api, pod: dict[str, Any]) -> None:
    body = {"spec": {"ephemeralContainers": [LOOK]}}
    where = "spec.ephemeralContainers"
    for path in (f"{PODS}/p", f"{PODS}/p/status"):
        reply = await server.send(api.app, "PATCH", path, body, headers=STRATEGIC)
        if path.endswith("/status"):
            assert "ephemeralContainers" not in reply.json["spec"]
        else:
            assert "pods/ephemeralcontainers" in messages(reply)[where]
    new = {"metadata": {"name": "n"}, "spec": {**pod["spec"], **body["spec"]}}
    assert "cannot be set on create" in messages(await server.send(api.app, "POST", PODS, new))[where]
    # What has joined does not stand in the way of ordinary changes.
    assert (await patch(api, LOOK)).status == 200
    image = {"spec": {"containers": [{"name": "main", "image": "x:2"}]}}
    reply = await server.send(api.app, "PATCH", f"{PODS}/p", image, headers=STRATEGIC)
    assert reply.status == 200, reply.body
    assert reply.json["spec"]["ephemeralContainers"][0]["name"] == "look"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ports", [{"containerPort": 80}]),
        ("livenessProbe", {"exec": {"command": ["x"]}}),
        ("readinessProbe", {"exec": {"command": ["x"]}}),
        ("startupProbe", {"exec": {"command": ["x"]}}),
        ("lifecycle", {"preStop": {"exec": {"command": ["x"]}}}),
        ("resources", {"limits": {"cpu": "1"}}),
        ("restartPolicy", "Always"),
        ("resizePolicy", [{"resourceName": "cpu", "restartPolicy": "NotRequired"}]),
    ],
)
async def test_what_they_may_not_have(api: server.Api, pod: dict[str, Any], field: str, value: Any) -> None:
    found = messages(await patch(api, LOOK | {field: value}))
    assert found[f"spec.ephemeralContainers[0].{field}"] == "Forbidden: cannot be set for an Ephemeral Container"


async def test_names_targets_and_volumes_are_looked_at(api: server.Api, pod: dict[str, Any]) -> None:
    at = "spec.ephemeralContainers[0]"
    for container, field, words in (
        (LOOK | {"name": "main"}, "name", "Duplicate value"),
        (LOOK | {"name": "first"}, "name", "Duplicate value"),
        (LOOK | {"name": "Not A Name"}, "name", "Invalid value"),
        ({"name": "look"}, "image", "Required value"),
        (LOOK | {"targetContainerName": "none"}, "targetContainerName", "Not found"),
        (LOOK | {"volumeMounts": [{"name": "none", "mountPath": "/x"}]}, "volumeMounts[0].name", "Not found"),
        (
            LOOK | {"volumeMounts": [{"name": "data", "mountPath": "/x", "subPath": "y"}]},
            "volumeMounts[0].subPath", "cannot be set for an Ephemeral Container",
        ),
    ):  # fmt: skip
        assert words in messages(await patch(api, container))[f"{at}.{field}"], container
    mounted = LOOK | {"volumeMounts": [{"name": "data", "mountPath": "/x"}], "targetContainerName": "first"}
    assert (await patch(api, mounted, query="?dryRun=All")).status == 200
    assert "ephemeralContainers" not in (await server.send(api.app, "GET", JOIN)).json["spec"]
    reply = await patch(api, LOOK | {"nonsense": 1}, query="?fieldValidation=Strict")
    assert "nonsense" in reply.json["message"]
    nobody = f"{PODS}/none/ephemeralcontainers"
    assert (await server.send(api.app, "PATCH", nobody, {}, headers=STRATEGIC)).status == 404


async def test_a_template_has_none(api: server.Api) -> None:
    template = {"spec": {"containers": [{"name": "main", "image": "x:1"}], "ephemeralContainers": [LOOK]}}
    unit = {
        "apiVersion": "boxfleet.dev/v1", "kind": "Box", "metadata": {"name": "b"},
        "spec": {"units": {"one": {"template": template}}},
    }  # fmt: skip
    reply = await server.send(api.app, "POST", "/apis/boxfleet.dev/v1/namespaces/default/boxes", unit)
    assert "ephemeral containers not allowed in pod template" in reply.json["message"]


async def test_who_may_change_pods_may_not_yet_join_them(api: server.Api, pod: dict[str, Any]) -> None:
    role = {
        "metadata": {"name": "changer"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "patch", "update"]}],
    }
    rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
    assert (await server.send(api.app, "POST", f"{rbac}/roles", role)).status == 201
    binding = {
        "metadata": {"name": "changer"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "changer"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "eve"}],
    }
    assert (await server.send(api.app, "POST", f"{rbac}/rolebindings", binding)).status == 201
    body = {"spec": {"ephemeralContainers": [LOOK]}}
    as_eve = STRATEGIC | {"impersonate-user": "eve"}
    reply = await server.send(api.app, "PATCH", JOIN, body, headers=as_eve)
    assert (reply.status, 'cannot patch resource "pods/ephemeralcontainers"' in reply.json["message"]) == (403, True)
    assert (await server.send(api.app, "PATCH", f"{PODS}/p", body, headers=as_eve)).status == 422


async def test_who_owns_their_fields_is_remembered(api: server.Api, pod: dict[str, Any]) -> None:
    apply = {"content-type": "application/apply-patch+yaml"}
    label = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"a": "b"}}}
    reply = await server.send(api.app, "PATCH", f"{PODS}/p?fieldManager=one", label, headers=apply)
    assert reply.status == 200, reply.body
    reply = await patch(api, LOOK, query="?fieldManager=debugger")
    entry = next(each for each in reply.json["metadata"]["managedFields"] if each["manager"] == "debugger")
    assert entry["subresource"] == "ephemeralcontainers"
    assert 'k:{"name":"look"}' in entry["fieldsV1"]["f:spec"]["f:ephemeralContainers"]
