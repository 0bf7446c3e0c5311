"""Create, read, replace, patch and delete, as a client sees them."""

import asyncio
from typing import Any

import pytest

from boxfleet.testing import server

pytestmark = pytest.mark.anyio

MAPS = "/api/v1/namespaces/default/configmaps"
BOXES = "/apis/boxfleet.dev/v1/namespaces/default/boxes"
PODS = "/api/v1/namespaces/default/pods"
UNITS = "/apis/boxfleet.dev/v1/namespaces/default/units"
MERGE = {"content-type": "application/merge-patch+json"}
JSON_PATCH = {"content-type": "application/json-patch+json"}
STRATEGIC = {"content-type": "application/strategic-merge-patch+json"}
TEMPLATE = {"spec": {"containers": [{"name": "c", "image": "x:1"}]}}


def config(name: str = "a", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def box(name: str = "shop", **more: Any) -> dict[str, Any]:
    spec = {"units": {"db": {"template": TEMPLATE}}}
    return {"apiVersion": "boxfleet.dev/v1", "kind": "Box", "metadata": {"name": name}, "spec": spec} | more


def pod(name: str = "p", **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **metadata}, **TEMPLATE}


async def made(api: server.Api, path: str, body: Any) -> Any:
    reply = await server.send(api.app, "POST", path, body)
    assert reply.status == 201, reply.body
    return reply.json


async def test_create_fills_what_only_the_server_knows(api: server.Api) -> None:
    mine = {"uid": "mine", "creationTimestamp": "2000-01-01T00:00:00Z", "generation": 7, "deletionTimestamp": None}
    obj = await made(api, BOXES, box(metadata={"name": "shop", **mine}, status={"ready": "9/9"}))
    assert obj["metadata"]["uid"] != "mine"
    assert obj["metadata"]["creationTimestamp"] > "2026"
    assert obj["metadata"]["generation"] == 1
    assert obj["metadata"]["namespace"] == "default"
    assert int(obj["metadata"]["resourceVersion"]) > 0
    assert "ready" not in obj.get("status", {})
    assert (await server.send(api.app, "GET", f"{BOXES}/shop")).json == obj


async def test_create_twice_is_already_exists(api: server.Api) -> None:
    await made(api, MAPS, config())
    reply = await server.send(api.app, "POST", MAPS, config())
    assert reply.status == 409
    assert reply.json == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'configmaps "a" already exists',
        "reason": "AlreadyExists",
        "details": {"name": "a", "kind": "configmaps"},
        "code": 409,
    }


async def test_generated_names(api: server.Api) -> None:
    long = "x" * 80
    body = {"metadata": {"generateName": long}}
    names = {(await made(api, MAPS, body))["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(len(name) == 63 for name in names)
    reply = await server.send(api.app, "POST", MAPS, {"metadata": {"generateName": "Bad_"}})
    assert reply.status == 422
    assert reply.json["details"]["causes"][0]["field"] == "metadata.generateName"


async def test_a_namespace_must_be_there(api: server.Api) -> None:
    reply = await server.send(api.app, "POST", "/api/v1/namespaces/nowhere/configmaps", config())
    assert reply.status == 404
    assert reply.json["message"] == 'namespaces "nowhere" not found'


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"{", 400, "not valid JSON"),
        (b"[]", 400, "not a JSON object"),
        (b"", 400, "not valid JSON"),
        (b'{"metadata":{"name":"\xff"}}', 400, "not valid JSON"),
        (b'{"metadata":{"name":"a\x00"}}', 400, "not valid JSON"),
        (b'{"data":{"a":"\\ud800"}}', 400, "not valid JSON"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, 400, "nested"),
        (b'{"a":' * 150 + b"1" + b"}" * 150, 400, "nested more than 100 levels"),
        (b'{"a":' * 101 + b"1" + b"}" * 101, 400, "nested more than 100 levels"),
        (b'{"a":' + b"[" * 100 + b"]" * 100 + b"}", 400, "nested more than 100 levels"),
        (b'{"data":' * 100 + b'"x"' + b"}" * 100, 422, "data[data]: Invalid value"),
        (b'{"metadata":[]}', 422, "metadata"),
        (b'{"metadata":{"name":["a"]}}', 422, "metadata.name"),
        (b'{"metadata":{"name":"a","resourceVersion":"1"}}', 400, "resourceVersion should not be set"),
        (b'{"metadata":{"name":"a","namespace":"b"}}', 400, "does not match the namespace sent"),
        (b'{"kind":"Pod","metadata":{"name":"a"}}', 400, "Pod in version"),
        (b'{"kind":5,"metadata":{"name":"a"}}', 400, "cannot be handled"),
        (b'{"metadata":{}}', 422, "name or generateName is required"),
        (b'{"metadata":{"name":"A"}}', 422, "a lowercase RFC 1123 subdomain must consist"),
        (b'{"metadata":{"name":"a","labels":{"x y":"z"}}}', 422, "name part must consist"),
        (b'{"metadata":{"name":"a","labels":{"x":"-"}}}', 422, "a valid label must be"),
        (b'{"metadata":{"name":"a"},"data":{"a":1}}', 422, "data"),
        (b'{"metadata":{"name":"a","finalizers":["a b"]}}', 422, "metadata.finalizers"),
        (b'{"metadata":{"name":"a","ownerReferences":[{"kind":"A","name":"b"}]}}', 422, "ownerReferences"),
    ],
)
async def test_bad_bodies_are_the_clients_fault(api: server.Api, body: bytes, status: int, message: str) -> None:
    reply = await server.send(api.app, "POST", MAPS, body)
    assert reply.status == status, reply.body
    assert message in reply.json["message"]
    assert (await server.send(api.app, "GET", MAPS)).json["items"] == []


async def test_bodies_have_a_limit(api: server.Api) -> None:
    reply = await server.send(api.app, "POST", MAPS, b" " * (3 * 2**20 + 1))
    assert (reply.status, reply.json["reason"]) == (413, "RequestEntityTooLarge")


async def test_media_types(api: server.Api) -> None:
    assert (await server.send(api.app, "POST", MAPS, b"", headers={"content-type": "text/plain"})).status == 415
    await made(api, MAPS, config())
    for media in ("application/apply-patch", "text/plain"):
        assert (await server.send(api.app, "PATCH", f"{MAPS}/a", {}, headers={"content-type": media})).status == 415
    assert (await server.send(api.app, "GET", MAPS, headers={"accept": "application/*"})).status == 406
    assert (await server.send(api.app, "GET", MAPS, headers={"accept": "text/html, */*"})).status == 200


async def test_unknown_fields(api: server.Api) -> None:
    body = config() | {"bogus": 1}
    strict = await server.send(api.app, "POST", f"{MAPS}?fieldValidation=Strict", body)
    assert strict.status == 400
    assert strict.json["message"].endswith('strict decoding error: unknown field "bogus"')
    warned = await server.send(api.app, "POST", MAPS, body)
    assert warned.status == 201
    assert ("warning", '299 - "unknown field \\"bogus\\""') in warned.headers
    assert "bogus" not in warned.json
    ignored = await server.send(api.app, "POST", f"{MAPS}?fieldValidation=Ignore", body | {"metadata": {"name": "b"}})
    assert [name for name, _ in ignored.headers if name == "warning"] == []
    odd = await server.send(api.app, "POST", f"{MAPS}?fieldValidation=Odd", body)
    assert odd.status == 422
    assert odd.json["message"].startswith('CreateOptions.meta.k8s.io "" is invalid: fieldValidation')


async def test_fields_said_twice(api: server.Api) -> None:
    body = b'{"metadata":{"name":"a","labels":{"x":"1","x":"2"}},"data":{"k":"1","k":"2"}}'
    strict = await server.send(api.app, "POST", f"{MAPS}?fieldValidation=Strict", body)
    assert strict.status == 400
    assert strict.json["message"].endswith('duplicate field "metadata.labels.x", duplicate field "data.k"')
    warned = await server.send(api.app, "POST", MAPS, body)
    assert warned.json["data"] == {"k": "2"}
    assert ("warning", '299 - "duplicate field \\"data.k\\""') in warned.headers


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"metadata":{"name":"a"},"data":{"k" :"1","k"\t:"2"}}', "data.k"),
        ('{"metadata":{"name":"a","finalizers":["x/a"],"finalizers":[]},"data":{"k":"\\":"}}', "metadata.finalizers"),
        ('{"metadata":{"name":"a","ownerReferences":[{"uid":"1","uid":"2"}]}}', "metadata.ownerReferences[0].uid"),
        ('{"metadata":{"name":"a"},"data":{"k":"says \\"x\\": y","l":"[{"}}', ""),
        ('{"metadata":{"name":"a"},"data":{"k":"' + "[{" * 80 + '","l":"","l":""}}', "data.l"),
        ('{"metadata":{"name":"a"},"data":{"k":"' + "[{" * 80 + '","l":""}}', ""),
    ],
)
async def test_fields_said_twice_are_found_anywhere(api: server.Api, text: str, path: str) -> None:
    reply = await server.send(api.app, "POST", f"{MAPS}?fieldValidation=Strict", text.encode())
    if path:
        assert reply.status == 400
        assert reply.json["message"].endswith(f'strict decoding error: duplicate field "{path}"')
    else:
        assert reply.status == 201


async def test_pods_go_gracefully(api: server.Api) -> None:
    async def left() -> Any:
        return (await server.send(api.app, "GET", f"{PODS}/p")).json["metadata"]

    spec = {"containers": [{"name": "c", "image": "x"}], "nodeName": server.NODE, "terminationGracePeriodSeconds": 20}
    await made(api, PODS, {"metadata": {"name": "p"}, "spec": spec})
    going = (await server.send(api.app, "DELETE", f"{PODS}/p")).json["metadata"]
    assert going["deletionGracePeriodSeconds"] == 20
    assert going["deletionTimestamp"] > going["creationTimestamp"]
    # Never longer, only shorter.
    assert (await server.send(api.app, "DELETE", f"{PODS}/p", {"gracePeriodSeconds": 60})).status == 200
    assert await left() == going
    await server.send(api.app, "DELETE", f"{PODS}/p", {"gracePeriodSeconds": 5})
    assert (await left())["deletionGracePeriodSeconds"] == 5
    assert (await left())["deletionTimestamp"] < going["deletionTimestamp"]
    # The agent has stopped it.
    forced = await server.send(api.app, "DELETE", f"{PODS}/p", {"gracePeriodSeconds": 0}, token=server.NODE_TOKEN)
    assert forced.json["kind"] == "Pod"
    assert (await server.send(api.app, "GET", f"{PODS}/p")).status == 404


async def test_pods_without_a_node_go_at_once(api: server.Api) -> None:
    await made(api, PODS, pod())
    await server.send(api.app, "DELETE", f"{PODS}/p")
    assert (await server.send(api.app, "GET", f"{PODS}/p")).status == 404


async def test_dry_run_writes_nothing(api: server.Api) -> None:
    assert (await server.send(api.app, "POST", f"{MAPS}?dryRun=All", config())).status == 201
    assert (await server.send(api.app, "GET", f"{MAPS}/a")).status == 404
    before = await made(api, MAPS, config())
    reply = await server.send(api.app, "PATCH", f"{MAPS}/a?dryRun=All", {"data": {"x": "1"}}, headers=MERGE)
    assert reply.json["data"] == {"x": "1"}
    assert (await server.send(api.app, "POST", f"{MAPS}?dryRun=All", config())).status == 409
    assert (await server.send(api.app, "DELETE", f"{MAPS}/a?dryRun=All")).status == 200
    assert (await server.send(api.app, "GET", f"{MAPS}/a")).json == before
    assert (await server.send(api.app, "POST", f"{MAPS}?dryRun=Some", config("b"))).status == 422


async def test_replace_follows_the_resource_version(api: server.Api) -> None:
    first = await made(api, MAPS, config(x="1"))
    second = await server.send(api.app, "PUT", f"{MAPS}/a", first | {"data": {"x": "2"}})
    assert second.status == 200
    stale = await server.send(api.app, "PUT", f"{MAPS}/a", first | {"data": {"x": "3"}})
    assert stale.status == 409
    assert stale.json["message"] == (
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    # Standard kinds may be overwritten unseen, others not.
    assert (await server.send(api.app, "PUT", f"{MAPS}/a", config(x="4"))).status == 200
    await made(api, BOXES, box())
    unseen = await server.send(api.app, "PUT", f"{BOXES}/shop", box())
    assert unseen.status == 422
    assert "must be specified for an update" in unseen.json["message"]
    assert (await server.send(api.app, "PUT", f"{MAPS}/b", config("b"))).status == 404


async def test_an_update_that_changes_nothing_writes_nothing(api: server.Api) -> None:
    first = await made(api, MAPS, config(x="1"))
    assert (await server.send(api.app, "PUT", f"{MAPS}/a", config(x="1"))).json == first
    assert (await server.send(api.app, "PATCH", f"{MAPS}/a", {"data": {"x": "1"}}, headers=MERGE)).json == first


async def test_identity_cannot_be_changed(api: server.Api) -> None:
    first = await made(api, MAPS, config())
    for field, status in (("name", 400), ("namespace", 400), ("uid", 422)):
        body = {"metadata": {field: "other"}}
        assert (await server.send(api.app, "PATCH", f"{MAPS}/a", body, headers=MERGE)).status == status
    body = {"metadata": {"creationTimestamp": "2000-01-01T00:00:00Z", "generation": 9}}
    assert (await server.send(api.app, "PATCH", f"{MAPS}/a", body, headers=MERGE)).json == first
    for revision in ("abc", "-1"):
        body = {"metadata": {"resourceVersion": revision}}
        assert (await server.send(api.app, "PATCH", f"{MAPS}/a", body, headers=MERGE)).status == 422


async def test_spec_and_status_have_their_own_doors(api: server.Api) -> None:
    first = await made(api, BOXES, box())
    both = {"spec": {"units": {"web": {"template": TEMPLATE}}}, "status": {"ready": "1/1"}}
    changed = (await server.send(api.app, "PATCH", f"{BOXES}/shop", both, headers=MERGE)).json
    assert sorted(changed["spec"]["units"]) == ["db", "web"]
    assert changed["metadata"]["generation"] == 2
    assert changed.get("status") == first.get("status")
    both = {"spec": {"units": None}, "status": {"ready": "1/2"}, "metadata": {"labels": {"x": "y"}}}
    reported = (await server.send(api.app, "PATCH", f"{BOXES}/shop/status", both, headers=MERGE)).json
    assert reported["spec"] == changed["spec"]
    assert reported["status"]["ready"] == "1/2"
    assert reported["metadata"]["generation"] == 2
    assert "labels" not in reported["metadata"]


async def test_patches(api: server.Api) -> None:
    await made(api, PODS, pod())
    path = f"{PODS}/p"
    strategic = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "x:2"}]}}
    patched = (await server.send(api.app, "PATCH", path, strategic, headers=STRATEGIC)).json
    assert [one["image"] for one in patched["spec"]["containers"]] == ["x:2"]
    operations = [
        {"op": "test", "path": "/metadata/labels/a", "value": "b"},
        {"op": "remove", "path": "/metadata/labels/a"},
    ]
    patched = (await server.send(api.app, "PATCH", path, operations, headers=JSON_PATCH)).json
    assert not patched["metadata"].get("labels")
    failed = await server.send(api.app, "PATCH", path, operations, headers=JSON_PATCH)
    assert failed.status == 422
    assert failed.json["message"].startswith("the server rejected our request due to an error in our request")
    for bad in ({}, [1], [{"op": "jump", "path": "/a"}]):
        assert (await server.send(api.app, "PATCH", path, bad, headers=JSON_PATCH)).status == 400
    assert (await server.send(api.app, "PATCH", path, [], headers=MERGE)).status == 400
    await made(api, BOXES, box())
    assert (await server.send(api.app, "PATCH", f"{BOXES}/shop", {}, headers=STRATEGIC)).status == 415


async def test_concurrent_patches_all_count(api: server.Api) -> None:
    await made(api, MAPS, config())
    replies = await asyncio.gather(
        *(
            server.send(api.app, "PATCH", f"{MAPS}/a", {"data": {str(number): "x"}}, headers=MERGE)
            for number in range(15)
        )
    )
    assert {reply.status for reply in replies} == {200}
    assert len((await server.send(api.app, "GET", f"{MAPS}/a")).json["data"]) == 15


async def test_secrets_fold_their_texts(api: server.Api) -> None:
    path = "/api/v1/namespaces/default/secrets"
    obj = await made(api, path, {"metadata": {"name": "s"}, "stringData": {"k": "v"}})
    assert obj["data"] == {"k": "dg=="}
    assert "stringData" not in obj
    assert obj["type"] == "Opaque"


async def test_delete_answers_a_status(api: server.Api) -> None:
    obj = await made(api, MAPS, config())
    reply = await server.send(api.app, "DELETE", f"{MAPS}/a")
    assert reply.json["status"] == "Success"
    assert reply.json["details"] == {"name": "a", "kind": "configmaps", "uid": obj["metadata"]["uid"]}
    gone = await server.send(api.app, "DELETE", f"{MAPS}/a")
    assert (gone.status, gone.json["message"]) == (404, 'configmaps "a" not found')


async def test_delete_preconditions_and_options(api: server.Api) -> None:
    await made(api, MAPS, config())
    reply = await server.send(api.app, "DELETE", f"{MAPS}/a", {"preconditions": {"uid": "other"}})
    assert reply.status == 409
    assert "the UID in the precondition (other) does not match the UID in record" in reply.json["message"]
    reply = await server.send(api.app, "DELETE", f"{MAPS}/a", {"preconditions": {"resourceVersion": "1"}})
    assert reply.status == 409
    reply = await server.send(api.app, "DELETE", f"{MAPS}/a", {"propagationPolicy": "Sideways"})
    assert reply.status == 422
    assert reply.json["message"].startswith('DeleteOptions.meta.k8s.io "" is invalid')
    assert (await server.send(api.app, "DELETE", f"{MAPS}/a", b"nonsense")).status == 400
    assert (await server.send(api.app, "DELETE", f"{MAPS}/a", {"gracePeriodSeconds": "x"})).status == 400


async def test_finalizers_hold_an_object(api: server.Api) -> None:
    body = box(metadata={"name": "shop", "finalizers": ["example.com/hold"]})
    await made(api, BOXES, body)
    held = (await server.send(api.app, "DELETE", f"{BOXES}/shop")).json
    assert held["metadata"]["deletionTimestamp"]
    assert held["metadata"]["generation"] == 2
    again = (await server.send(api.app, "DELETE", f"{BOXES}/shop")).json
    assert again["metadata"]["resourceVersion"] == held["metadata"]["resourceVersion"]
    more = {"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}}
    refused = await server.send(api.app, "PATCH", f"{BOXES}/shop", more, headers=MERGE)
    assert refused.status == 422
    assert "no new finalizers can be added if the object is being deleted" in refused.json["message"]
    none = {"metadata": {"finalizers": None}}
    assert (await server.send(api.app, "PATCH", f"{BOXES}/shop", none, headers=MERGE)).status == 200
    assert (await server.send(api.app, "GET", f"{BOXES}/shop")).status == 404


@pytest.mark.parametrize(("policy", "finalizer"), [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")])
async def test_propagation_is_left_to_the_collector(api: server.Api, policy: str, finalizer: str) -> None:
    await made(api, BOXES, box())
    held = (await server.send(api.app, "DELETE", f"{BOXES}/shop", {"propagationPolicy": policy})).json
    assert held["metadata"]["finalizers"] == [finalizer]
    done = await server.send(api.app, "DELETE", f"{BOXES}/shop", {"propagationPolicy": "Background"})
    assert done.json["status"] == "Success"


async def test_delete_collection(api: server.Api) -> None:
    for name in ("a", "b"):
        body = config(name)
        body["metadata"]["labels"] = {"name": name}
        await made(api, MAPS, body)
    reply = await server.send(api.app, "DELETE", f"{MAPS}?labelSelector=name%3Da")
    assert [item["metadata"]["name"] for item in reply.json["items"]] == ["a"]
    assert [item["metadata"]["name"] for item in (await server.send(api.app, "GET", MAPS)).json["items"]] == ["b"]


async def test_namespaces_end_when_their_content_has(api: server.Api) -> None:
    space = await made(api, "/api/v1/namespaces", {"metadata": {"name": "x"}})
    await made(api, "/api/v1/namespaces/x/configmaps", config("early"))
    assert space["spec"]["finalizers"] == ["kubernetes"]
    assert space["status"]["phase"] == "Active"
    assert space["metadata"]["labels"]["kubernetes.io/metadata.name"] == "x"
    going = (await server.send(api.app, "DELETE", "/api/v1/namespaces/x")).json
    assert going["status"]["phase"] == "Terminating"
    late = await server.send(api.app, "POST", "/api/v1/namespaces/x/configmaps", config())
    assert late.status == 403
    assert late.json["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    going["spec"]["finalizers"] = []
    assert (await server.send(api.app, "PUT", "/api/v1/namespaces/x/finalize", going)).status == 200
    assert (await server.send(api.app, "GET", "/api/v1/namespaces/x")).status == 404
    assert (await server.send(api.app, "DELETE", "/api/v1/namespaces/default")).status == 403


async def test_scale(api: server.Api) -> None:
    await made(api, UNITS, {"metadata": {"name": "u"}, "spec": {"template": TEMPLATE, "replicas": 2}})
    scale = (await server.send(api.app, "GET", f"{UNITS}/u/scale")).json
    assert (scale["kind"], scale["spec"]["replicas"]) == ("Scale", 2)
    scale["spec"]["replicas"] = 5
    assert (await server.send(api.app, "PUT", f"{UNITS}/u/scale", scale)).json["spec"]["replicas"] == 5
    assert (await server.send(api.app, "PUT", f"{UNITS}/u/scale", scale)).status == 409
    patched = await server.send(api.app, "PATCH", f"{UNITS}/u/scale", {"spec": {"replicas": 0}}, headers=MERGE)
    assert patched.json["spec"]["replicas"] == 0
    unit = (await server.send(api.app, "GET", f"{UNITS}/u")).json
    assert (unit["spec"]["replicas"], unit["metadata"]["generation"]) == (0, 3)
    for bad in (-1, "x", True, 10**9):
        body = {"spec": {"replicas": bad}}
        assert (await server.send(api.app, "PATCH", f"{UNITS}/u/scale", body, headers=MERGE)).status == 422


async def test_binding(api: server.Api) -> None:
    obj = await made(api, PODS, pod())
    wrong = {"metadata": {"name": "p", "uid": "other"}, "target": {"name": "n"}}
    assert (await server.send(api.app, "POST", f"{PODS}/p/binding", wrong)).status == 409
    assert (await server.send(api.app, "POST", f"{PODS}/p/binding", {"metadata": {"name": "p"}})).status == 422
    await api.admin.bind(namespace="default", pod="p", uid=obj["metadata"]["uid"], node="n")
    bound = (await server.send(api.app, "GET", f"{PODS}/p")).json
    assert bound["spec"]["nodeName"] == "n"
    assert {"PodScheduled": "True"}.items() <= {
        one["type"]: one["status"] for one in bound["status"]["conditions"]
    }.items()
    again = await server.send(api.app, "POST", f"{PODS}/p/binding", {"target": {"name": "m"}})
    assert again.status == 409
    assert again.json["message"].endswith('pod p is already assigned to node "n"')


async def test_eviction_deletes(api: server.Api) -> None:
    await made(api, PODS, pod())
    reply = await server.send(api.app, "POST", f"{PODS}/p/eviction", {"metadata": {"name": "p"}})
    assert reply.status == 201
    assert (await server.send(api.app, "GET", f"{PODS}/p")).status == 404
