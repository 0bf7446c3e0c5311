"""Server-side apply and the account of managers, as a client sees them."""

from typing import Any

import msgspec
import pytest
import yaml

from boxfleet.apiserver import bodies, yaml_bodies
from boxfleet.testing import server

pytestmark = pytest.mark.anyio

MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
UNITS = "/apis/boxfleet.dev/v1/namespaces/default/units"
APPLY = {"content-type": "application/apply-patch+yaml"}
MERGE = {"content-type": "application/merge-patch+json"}
JSON_PATCH = {"content-type": "application/json-patch+json"}
Json = dict[str, Any]


def config(data: Json | None = None, **metadata: Any) -> Json:
    body: Json = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", **metadata}}
    return body | ({"data": data} if data is not None else {})


def a_pod(**container: Any) -> Json:
    spec = {"containers": [{"name": "c", "image": "x:1", **container}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}


async def apply(
    api: server.Api, body: Any, *, manager: str = "me", query: str = "", path: str = f"{MAPS}/a"
) -> server.Reply:
    sent = body if isinstance(body, bytes) else yaml.safe_dump(body).encode()
    return await server.send(api.app, "PATCH", f"{path}?fieldManager={manager}{query}", sent, headers=APPLY)


async def applied(api: server.Api, body: Any, **more: Any) -> Json:
    reply = await apply(api, body, **more)
    assert reply.status in (200, 201), reply.body
    obj: Json = reply.json
    return obj


async def stored(api: server.Api, path: str = f"{MAPS}/a") -> Json:
    obj: Json = (await server.send(api.app, "GET", path)).json
    return obj


def managers_of(obj: Json) -> list[tuple[str, str, str]]:
    listed = obj["metadata"].get("managedFields", [])
    return [(one["manager"], one["operation"], one.get("subresource", "")) for one in listed]


async def test_apply_makes_what_is_not_there(api: server.Api) -> None:
    reply = await apply(api, config({"k": "v"}))
    assert reply.status == 201
    obj = reply.json
    [entry] = obj["metadata"]["managedFields"]
    assert entry == {
        "manager": "me", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "time": entry["time"],
        "fieldsV1": {"f:data": {"f:k": {}}},
    }  # fmt: skip
    assert entry["time"] == obj["metadata"]["creationTimestamp"]
    assert await stored(api) == obj


async def test_an_apply_that_changes_nothing_writes_nothing(api: server.Api) -> None:
    obj = await applied(api, config({"k": "v"}, labels={"a": "b"}))
    revision = api.store.revision
    reply = await apply(api, config({"k": "v"}, labels={"a": "b"}))
    assert reply.status == 200
    assert reply.json == obj
    assert api.store.revision == revision


async def test_json_is_taken_too(api: server.Api) -> None:
    for media in ("application/apply-patch+yaml", "application/apply-patch+json"):
        body = msgspec.json.encode(config({"k": "v"}))
        reply = await server.send(api.app, "PATCH", f"{MAPS}/a?fieldManager=me", body, headers={"content-type": media})
        assert reply.status in (200, 201), reply.body


async def test_a_conflict_says_with_whom_about_what(api: server.Api) -> None:
    await server.send(api.app, "POST", f"{MAPS}?fieldManager=kubectl-client-side-apply", config({"k": "v", "l": "w"}))
    reply = await apply(api, config({"k": "other"}))
    assert (reply.status, reply.json["reason"]) == (409, "Conflict")
    assert reply.json["message"] == (
        'Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using v1: .data.k'
    )
    assert reply.json["details"]["causes"] == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "kubectl-client-side-apply" using v1',
            "field": ".data.k",
        }
    ]
    reply = await apply(api, config({"k": "x", "l": "y"}))
    assert reply.json["message"] == (
        'Apply failed with 2 conflicts: conflicts with "kubectl-client-side-apply" using v1:\n- .data.k\n- .data.l'
    )
    obj = await applied(api, config({"k": "other"}), query="&force=true")
    assert obj["data"] == {"k": "other", "l": "w"}
    assert managers_of(obj) == [("me", "Apply", ""), ("kubectl-client-side-apply", "Update", "")]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"{", 400, "error decoding YAML"),
        (b"", 400, "not an object"),
        (b"- a", 400, "not an object"),
        (b"a: [", 400, "error decoding YAML"),
        (b"a: &x b\nc: *x", 400, "aliases are not taken"),
        (b"a: !!python/object:os.system {}", 400, "is missing"),
        (b"a: !odd b", 400, "is not understood"),
        (b"a: .inf", 400, "no number in JSON"),
        (b"? [a]\n: b", 400, "a key must be a text"),
        (b"a: " + b"[" * 2000 + b"]" * 2000, 400, "nested"),
        (b"kind: ConfigMap\nmetadata: {name: a}", 400, "Object 'apiVersion' is missing"),
        (b"apiVersion: v1\nmetadata: {name: a}", 400, "Object 'kind' is missing"),
        (config() | {"apiVersion": "v2"}, 400, "Specified patch version: v2, expected: v1"),
        (config() | {"kind": "Secret"}, 400, "cannot be handled as ConfigMap"),
        ({"apiVersion": "v1", "kind": "ConfigMap"}, 400, "name must be provided"),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": []}, 400, "metadata"),
        (config(name="b"), 400, "does not match the name on the URL"),
        (config(namespace="other"), 400, "does not match the namespace"),
        (config(managedFields=[]), 400, "metadata.managedFields must be nil"),
        (
            config() | {"bogus": 1},
            400,
            "failed to create typed patch object (a; v1, Kind=ConfigMap): .bogus: field not declared in schema",
        ),
        (config({"k": 1}), 422, "must be a string"),
        (config(finalizers=["a/b", "a/b"]), 400, 'duplicate entries for key [="a/b"]'),
        (config(resourceVersion="5"), 409, "has been modified"),
        (config(uid="5"), 422, "field is immutable"),
    ],
)
async def test_bad_applies_are_the_clients_fault(api: server.Api, body: Any, status: int, message: str) -> None:
    reply = await apply(api, body)
    assert reply.status == status, reply.body
    assert message in reply.json["message"]
    assert (await server.send(api.app, "GET", MAPS)).json["items"] == []


async def test_options_of_an_apply(api: server.Api) -> None:
    body = yaml.safe_dump(config()).encode()
    reply = await server.send(api.app, "PATCH", f"{MAPS}/a", body, headers=APPLY)
    assert reply.status == 422
    assert reply.json["message"] == (
        'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'
    )
    reply = await server.send(api.app, "PATCH", f"{MAPS}/a?force=true", {}, headers=MERGE)
    assert reply.json["message"] == (
        'PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch'
    )
    for manager in ("x" * 129, "a%0Ab"):
        reply = await apply(api, config(), manager=manager)
        assert reply.json["details"]["causes"][0]["field"] == "fieldManager"
    assert (await apply(api, config(), query="&force=odd")).status == 400


async def test_keys_said_twice_in_yaml(api: server.Api) -> None:
    body = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: v, k: w}\n"
    reply = await apply(api, body, query="&fieldValidation=Strict")
    assert reply.status == 400
    assert 'key "data.k" already set in map' in reply.json["message"]
    reply = await apply(api, body)
    assert ("warning", '299 - "key \\"data.k\\" already set in map"') in reply.headers
    assert reply.json["data"] == {"k": "w"}


async def test_dry_run_stores_nothing(api: server.Api) -> None:
    reply = await apply(api, config({"k": "v"}), query="&dryRun=All")
    assert reply.status == 201
    assert "resourceVersion" not in reply.json["metadata"]
    assert (await server.send(api.app, "GET", f"{MAPS}/a")).status == 404
    await applied(api, config({"k": "v"}))
    revision = api.store.revision
    assert (await applied(api, config({"k": "w"}), query="&dryRun=All"))["data"] == {"k": "w"}
    assert (await apply(api, config({"k": "w"}), manager="other", query="&dryRun=All")).status == 409
    assert api.store.revision == revision


async def test_preconditions_of_an_apply(api: server.Api) -> None:
    obj = await applied(api, config({"k": "v"}))
    old = obj["metadata"]["resourceVersion"]
    await applied(api, config({"k": "w"}, resourceVersion=old, uid=obj["metadata"]["uid"]))
    assert (await apply(api, config({"k": "x"}, resourceVersion=old))).status == 409
    assert (await apply(api, config({"k": "x"}, uid="another"))).status == 422


async def test_a_part_of_a_pod_may_be_applied(api: server.Api) -> None:
    await server.send(api.app, "POST", f"{PODS}?fieldManager=kubectl-run", a_pod(ports=[{"containerPort": 80}]))
    part = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "x:2"}]},
    }
    reply = await apply(api, part, path=f"{PODS}/p")
    assert [cause["field"] for cause in reply.json["details"]["causes"]] == ['.spec.containers[name="c"].image']
    obj = await applied(api, part, path=f"{PODS}/p", query="&force=true")
    assert obj["spec"]["containers"][0]["image"] == "x:2"
    assert obj["spec"]["containers"][0]["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    again = await applied(api, part, path=f"{PODS}/p")
    assert again == obj
    # Alone, it is no whole Pod.
    reply = await apply(api, {**part, "metadata": {"name": "q"}, "spec": {"restartPolicy": "Never"}}, path=f"{PODS}/q")
    assert reply.status == 422
    assert "spec.containers" in reply.json["message"]


async def test_values_that_the_server_writes_otherwise_stay_unchanged(api: server.Api) -> None:
    body = a_pod(resources={"limits": {"memory": "1024Mi", "cpu": "1000m"}})
    obj = await applied(api, body, path=f"{PODS}/p")
    assert obj["spec"]["containers"][0]["resources"]["limits"] == {"memory": "1Gi", "cpu": "1"}
    assert await applied(api, body, path=f"{PODS}/p") == obj


async def test_status_is_applied_by_its_own_path_alone(api: server.Api) -> None:
    await server.send(api.app, "POST", f"{PODS}?fieldManager=maker", a_pod())
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "status": status}
    obj = await applied(api, body, path=f"{PODS}/p")
    assert obj["status"]["phase"] == "Pending"
    assert managers_of(obj) == [("maker", "Update", "")]
    obj = await applied(api, body | {"spec": a_pod()["spec"]}, path=f"{PODS}/p/status")
    assert obj["status"]["phase"] == "Running"
    assert managers_of(obj) == [("me", "Apply", "status"), ("maker", "Update", "")]
    assert list(obj["metadata"]["managedFields"][0]["fieldsV1"]) == ["f:status"]
    none = await apply(api, {**body, "metadata": {"name": "q"}}, path=f"{PODS}/q/status")
    assert none.status == 404


async def test_every_write_is_accounted_for(api: server.Api) -> None:
    agent = {"user-agent": "kubectl/v1.32.0 (linux/amd64)"}
    obj = (await server.send(api.app, "POST", MAPS, config({"k": "v"}), headers=agent)).json
    assert managers_of(obj) == [("kubectl", "Update", "")]
    assert obj["metadata"]["managedFields"][0]["fieldsV1"] == {"f:data": {".": {}, "f:k": {}}}
    obj["data"] = {"k": "w"}
    obj = (await server.send(api.app, "PUT", f"{MAPS}/a?fieldManager=hand", obj)).json
    # Their order goes by the second in which they wrote.
    assert {one["manager"]: one["fieldsV1"] for one in obj["metadata"]["managedFields"]} == {
        "hand": {"f:data": {"f:k": {}}},
        "kubectl": {"f:data": {}},
    }
    obj = (await server.send(api.app, "PATCH", f"{MAPS}/a", {"data": {"l": "1"}}, headers=MERGE)).json
    assert ("unknown", "Update", "") in managers_of(obj)
    revision = api.store.revision
    await server.send(api.app, "PATCH", f"{MAPS}/a?fieldManager=idle", {"data": {"l": "1"}}, headers=MERGE)
    assert api.store.revision == revision


async def test_scaling_is_accounted_for_as_such(api: server.Api) -> None:
    template = {"spec": {"containers": [{"name": "c", "image": "x"}]}}
    unit = {
        "apiVersion": "boxfleet.dev/v1",
        "kind": "Unit",
        "metadata": {"name": "u"},
        "spec": {"template": template, "replicas": 1},
    }
    await applied(api, unit, path=f"{UNITS}/u")
    await server.send(api.app, "PATCH", f"{UNITS}/u/scale?fieldManager=hpa", {"spec": {"replicas": 3}}, headers=MERGE)
    obj = await stored(api, f"{UNITS}/u")
    assert managers_of(obj) == [("me", "Apply", ""), ("hpa", "Update", "scale")]
    reply = await apply(api, unit, path=f"{UNITS}/u")
    assert reply.json["message"] == (
        'Apply failed with 1 conflict: conflict with "hpa" with subresource "scale" using boxfleet.dev/v1: '
        ".spec.replicas"
    )
    del unit["spec"]["replicas"]  # type: ignore[attr-defined]
    obj = await applied(api, unit, path=f"{UNITS}/u")
    assert obj["spec"]["replicas"] == 3


async def test_the_account_can_be_closed_and_written(api: server.Api) -> None:
    await applied(api, config({"k": "v"}))
    patch = [{"op": "replace", "path": "/metadata/managedFields", "value": [{}]}]
    obj = (await server.send(api.app, "PATCH", f"{MAPS}/a", patch, headers=JSON_PATCH)).json
    assert "managedFields" not in obj["metadata"]
    obj = (await server.send(api.app, "PATCH", f"{MAPS}/a", {"data": {"k": "w"}}, headers=MERGE)).json
    assert "managedFields" not in obj["metadata"]
    reply = await apply(api, config({"k": "x"}))
    assert 'conflict with "before-first-apply" using v1: .data.k' in reply.json["message"]
    entry = {
        "manager": "x", "operation": "Update", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:k": {}}},
    }  # fmt: skip
    patch = [{"op": "add", "path": "/metadata/managedFields", "value": [entry]}]
    obj = (await server.send(api.app, "PATCH", f"{MAPS}/a", patch, headers=JSON_PATCH)).json
    assert obj["metadata"]["managedFields"] == [entry]
    # Entries that make no sense are not taken.
    patch[0]["value"] = [{**entry, "operation": "Odd"}]
    obj = (await server.send(api.app, "PATCH", f"{MAPS}/a", patch, headers=JSON_PATCH)).json
    assert obj["metadata"]["managedFields"] == [entry]
    obj = (await server.send(api.app, "PUT", f"{MAPS}/a", config({"k": "w"}, managedFields=[]))).json
    assert "managedFields" not in obj["metadata"]


async def test_kubectl_goes_over_from_client_side_apply(api: server.Api) -> None:
    kept = config({"k": "v", "l": "w"}, annotations={})
    text = msgspec.json.encode(kept).decode()
    annotation = "kubectl.kubernetes.io/last-applied-configuration"
    await server.send(
        api.app,
        "POST",
        f"{MAPS}?fieldManager=kubectl-client-side-apply",
        config({"k": "v", "l": "w"}, annotations={annotation: text}),
    )
    await server.send(api.app, "PATCH", f"{MAPS}/a?fieldManager=hand", {"data": {"l": "mine"}}, headers=MERGE)
    reply = await apply(api, config({"k": "new", "l": "w"}), manager="kubectl")
    # What nobody changed since is kubectl's own.
    assert [cause["field"] for cause in reply.json["details"]["causes"]] == [".data.l"]
    obj = await applied(api, config({"k": "new"}), manager="kubectl")
    assert obj["data"] == {"k": "new", "l": "mine"}
    assert msgspec.json.decode(obj["metadata"]["annotations"][annotation]) == config({"k": "new"}, annotations={})
    reply = await apply(api, config({"k": "newer"}), manager="other")
    assert 'conflict with "kubectl": .data.k' in reply.json["message"]


async def test_a_dry_run_goes_as_far_as_the_real_one(api: server.Api) -> None:
    await server.send(api.app, "POST", PODS, a_pod())
    # With what admission gave it: a Pod's account and volumes cannot be taken away.
    changed = await stored(api, f"{PODS}/p")
    changed["spec"]["containers"][0]["image"] = "x:2"
    revision = api.store.revision
    calls: list[tuple[str, str, Any, dict[str, str], int]] = [
        ("POST", MAPS, config({"k": "v"}), {}, 201),
        ("POST", MAPS, {"metadata": {"generateName": "made-"}}, {}, 201),
        ("POST", MAPS, config({"k k": "v"}), {}, 422),
        ("POST", PODS, a_pod(), {}, 409),
        ("PUT", f"{PODS}/p", changed, {}, 200),
        ("PUT", f"{PODS}/p", a_pod(command=["x"]), {}, 422),
        ("PATCH", f"{PODS}/p", {"metadata": {"labels": {"a": "b"}}}, MERGE, 200),
        ("PATCH", f"{PODS}/p", {"metadata": {"resourceVersion": "1"}}, MERGE, 409),
        ("PATCH", f"{PODS}/p/status", {"status": {"phase": "Running"}}, MERGE, 200),
        ("POST", f"{PODS}/p/binding", {"target": {"name": "node-1"}}, {}, 201),
        ("POST", f"{PODS}/p/eviction", {"metadata": {"name": "p"}}, {}, 201),
        ("DELETE", f"{PODS}/p", None, {}, 200),
        ("DELETE", PODS, None, {}, 200),
    ]
    for method, path, body, headers, status in calls:
        reply = await server.send(api.app, method, f"{path}?dryRun=All", body, headers=headers)
        assert reply.status == status, (method, path, reply.body)
    assert api.store.revision == revision
    obj = await stored(api, f"{PODS}/p")
    assert "nodeName" not in obj["spec"]
    made = await server.send(api.app, "POST", f"{MAPS}?dryRun=All", {"metadata": {"generateName": "made-"}})
    assert made.json["metadata"]["name"].startswith("made-")
    assert made.json["metadata"]["uid"]


async def test_preconditions_of_a_replacement(api: server.Api) -> None:
    obj = await applied(api, config({"k": "v"}))
    for metadata, status in (
        ({"uid": "another"}, 409),
        ({"resourceVersion": "1"}, 409),
        ({"uid": obj["metadata"]["uid"], "resourceVersion": obj["metadata"]["resourceVersion"]}, 200),
    ):
        assert (await server.send(api.app, "PUT", f"{MAPS}/a", config({"k": "w"}, **metadata))).status == status


async def test_patches_that_would_lose_the_name_or_say_a_field_twice(api: server.Api) -> None:
    obj = await applied(api, config({"k": "v"}))
    strategic = {"content-type": "application/strategic-merge-patch+json"}
    for body, headers in (
        ({"metadata": None}, MERGE),
        ({"$patch": "replace", "data": {}}, strategic),
        ([{"op": "replace", "path": "", "value": {"data": {}}}], JSON_PATCH),
    ):
        reply = await server.send(api.app, "PATCH", f"{MAPS}/a", body, headers=headers)
        assert reply.json["message"].endswith("was undeterminable: name must be provided")
    twice = b'{"data":{"k":"1","k":"2"}}'
    reply = await server.send(api.app, "PATCH", f"{MAPS}/a?fieldValidation=Strict", twice, headers=MERGE)
    assert reply.status == 422
    assert 'strict decoding error: duplicate field "data.k"' in reply.json["message"]
    assert await stored(api) == obj
    reply = await server.send(api.app, "PATCH", f"{MAPS}/a", twice, headers=MERGE)
    assert ("warning", '299 - "duplicate field \\"data.k\\""') in reply.headers
    many = [{"op": "test", "path": "/kind", "value": "ConfigMap"}] * 10001
    reply = await server.send(api.app, "PATCH", f"{MAPS}/a", many, headers=JSON_PATCH)
    assert reply.status == 413
    assert reply.json["message"].endswith("operations in a JSON patch is 10000, got 10001")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1\nb: [x, 2.5, yes, ~]\n2: 010", {"a": 1, "b": ["x", 2.5, True, None], "2": 8}),
        ("a: 2026-01-01\nb: 12:30\nc: =", {"a": "2026-01-01", "b": "12:30", "c": "="}),
        ("a: 99999999999999999999999", {"a": 1e23}),
        ('{"a": "b"}', {"a": "b"}),
        ("{a: b}", {"a": "b"}),
    ],
)
def test_yaml_is_read_as_kubernetes_does(text: str, value: Any) -> None:
    assert yaml_bodies.decode(text.encode()) == (value, [])


def test_deep_yaml_is_refused() -> None:
    for text in ("- " * 200_000, "a: " + "[" * 200_000, "? " * 200_000):
        with pytest.raises(Exception, match=r"nested|deep"):
            yaml_bodies.decode(text.encode())


def test_long_yaml_is_refused_and_long_json_is_not() -> None:
    long = b"a: " + b"x" * yaml_bodies.SIZE_LIMIT
    with pytest.raises(Exception, match="too large"):
        yaml_bodies.decode(long)
    value, _ = yaml_bodies.decode(b'{"a":"' + b"x" * (bodies.SIZE_LIMIT - 100) + b'"}')
    assert len(value["a"]) == bodies.SIZE_LIMIT - 100


def unit(replicas: int | None = None) -> dict[str, Any]:
    template = {"spec": {"containers": [{"name": "c", "image": "x"}]}}
    spec: dict[str, Any] = {"template": template} | ({} if replicas is None else {"replicas": replicas})
    return {"apiVersion": "boxfleet.dev/v1", "kind": "Unit", "metadata": {"name": "u"}, "spec": spec}


def scale(replicas: int | None = None, **metadata: Any) -> dict[str, Any]:
    spec = {} if replicas is None else {"replicas": replicas}
    return {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "u", **metadata}, "spec": spec}


def owners_of_replicas(obj: Any) -> list[tuple[str, str, str]]:
    return [
        who
        for who, one in zip(managers_of(obj), obj["metadata"]["managedFields"], strict=True)
        if "f:replicas" in one["fieldsV1"].get("f:spec", {})
    ]


async def test_an_applied_scale(api: server.Api) -> None:
    where = f"{UNITS}/u/scale"
    assert (await apply(api, scale(2), path=where)).status == 404
    await applied(api, unit(1), path=f"{UNITS}/u")
    reply = await apply(api, scale(3), manager="hpa", path=where)
    assert (reply.status, reply.json["message"]) == (
        409,
        'Apply failed with 1 conflict: conflict with "me": .spec.replicas',
    )
    # Of one mind, both own it.
    reply = await apply(api, scale(1), manager="hpa", path=where)
    assert (reply.status, reply.json["kind"], reply.json["spec"]) == (200, "Scale", {"replicas": 1})
    assert "managedFields" not in reply.json["metadata"]
    obj = await stored(api, f"{UNITS}/u")
    assert set(owners_of_replicas(obj)) == {("me", "Apply", ""), ("hpa", "Apply", "scale")}
    # Whoever wins takes it from the others, and leaves them the rest.
    assert (await applied(api, scale(4), manager="hpa", path=where, query="&force=true"))["spec"]["replicas"] == 4
    obj = await stored(api, f"{UNITS}/u")
    assert owners_of_replicas(obj) == [("hpa", "Apply", "scale")]
    assert set(managers_of(obj)) == {("me", "Apply", ""), ("hpa", "Apply", "scale")}
    [entry] = [one for one in obj["metadata"]["managedFields"] if one["manager"] == "hpa"]
    assert (entry["apiVersion"], entry["fieldsV1"]) == ("boxfleet.dev/v1", {"f:spec": {"f:replicas": {}}})
    revision = api.store.revision
    await applied(api, scale(4), manager="hpa", path=where)
    assert api.store.revision == revision
    reply = await apply(api, unit(1), path=f"{UNITS}/u")
    assert reply.json["message"] == 'Apply failed with 1 conflict: conflict with "hpa" with subresource "scale": ' + (
        ".spec.replicas"
    )


async def test_an_applied_scale_over_updates(api: server.Api) -> None:
    where = f"{UNITS}/u/scale"
    await server.send(api.app, "POST", f"{UNITS}?fieldManager=maker", unit(2))
    reply = await apply(api, scale(3), manager="hpa", path=where)
    assert reply.json["message"] == (
        'Apply failed with 1 conflict: conflict with "maker" using autoscaling/v1: .spec.replicas'
    )
    await server.send(api.app, "PATCH", f"{where}?fieldManager=hand", {"spec": {"replicas": 5}}, headers=MERGE)
    assert owners_of_replicas(await stored(api, f"{UNITS}/u")) == [("hand", "Update", "scale")]
    reply = await apply(api, scale(3), manager="hpa", path=where)
    assert reply.json["message"] == (
        'Apply failed with 1 conflict: conflict with "hand" with subresource "scale" using autoscaling/v1: '
        ".spec.replicas"
    )
    assert (await applied(api, scale(5), manager="hpa", path=where))["spec"]["replicas"] == 5
    # The field stays as long as somebody owns it.
    assert (await applied(api, scale(), manager="hpa", path=where))["spec"]["replicas"] == 5
    assert owners_of_replicas(await stored(api, f"{UNITS}/u")) == [("hand", "Update", "scale")]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (scale(-1), 422),
        (scale(2, uid="11111111-2222-3333-4444-555555555555"), 409),
        (scale(2, resourceVersion="1"), 409),
        (scale(2) | {"kind": "Unit"}, 400),
        (scale(2) | {"apiVersion": "boxfleet.dev/v1"}, 400),
        (scale(2) | {"spec": {"replicas": "many"}}, 422),
        (scale(2) | {"spec": {"odd": 1}}, 400),
        ({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "other"}}, 400),
    ],
)
async def test_scales_that_cannot_be_applied(api: server.Api, body: Any, code: int) -> None:
    await applied(api, unit(1), path=f"{UNITS}/u")
    reply = await apply(api, body, path=f"{UNITS}/u/scale", query="&force=true")
    assert reply.status == code, reply.json
    assert (await stored(api, f"{UNITS}/u"))["spec"]["replicas"] == 1


async def test_a_dry_run_of_an_applied_scale(api: server.Api) -> None:
    await applied(api, unit(1), path=f"{UNITS}/u")
    found = await applied(api, scale(7), manager="hpa", path=f"{UNITS}/u/scale", query="&force=true&dryRun=All")
    assert found["spec"]["replicas"] == 7
    assert (await stored(api, f"{UNITS}/u"))["spec"]["replicas"] == 1
