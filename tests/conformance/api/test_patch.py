"""Patches: JSON (RFC 6902), merge (RFC 7386), strategic merge."""

import re
from typing import Any

import pytest
from tests.conformance.api import differences, spaces


def patched(space: spaces.Space, body: Any, *, kind: str = "merge", name: str = "a", **query: object) -> dict[str, Any]:
    found: dict[str, Any] = space.api.patch(space.path(name=name), body, kind=kind, **query).ok()
    return found


@pytest.fixture
def made(space: spaces.Space) -> dict[str, Any]:
    return space.create("a", data={"k": "1", "l": "1"}, metadata={"labels": {"x": "1", "y": "1"}})


def test_merge(space: spaces.Space, made: dict[str, Any]) -> None:
    body = {"data": {"k": "2", "l": None, "m": "3"}, "metadata": {"labels": {"x": None}}}
    found = patched(space, body)
    assert found["data"] == {"k": "2", "m": "3"}
    assert found["metadata"]["labels"] == {"y": "1"}
    assert int(found["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
    assert "data" not in patched(space, {"data": None})


@pytest.mark.parametrize("kind", ["merge", "strategic-merge"])
def test_a_patch_that_changes_nothing_writes_nothing(space: spaces.Space, made: dict[str, Any], kind: str) -> None:
    assert patched(space, {"data": {"k": "1"}}, kind=kind) == made
    assert patched(space, {}, kind=kind) == made
    assert patched(space, {"data": {"unknown": None}}, kind=kind) == made


def test_json(space: spaces.Space, made: dict[str, Any]) -> None:
    steps = [
        {"op": "test", "path": "/data/k", "value": "1"},
        {"op": "add", "path": "/data/m", "value": "3"},
        {"op": "remove", "path": "/data/l"},
        {"op": "replace", "path": "/data/k", "value": "2"},
        {"op": "copy", "from": "/data/k", "path": "/data/n"},
        {"op": "move", "from": "/metadata/labels/x", "path": "/metadata/labels/z~1z"},
    ]
    found = patched(space, steps, kind="json")
    assert found["data"] == {"k": "2", "m": "3", "n": "2"}
    assert found["metadata"]["labels"] == {"y": "1", "z/z": "1"}


@pytest.mark.parametrize(
    "step",
    [
        {"op": "test", "path": "/data/k", "value": "9"},
        {"op": "remove", "path": "/data/none"},
        {"op": "add", "path": "/none/none/none", "value": "1"},
        {"op": "move", "from": "/data/none", "path": "/data/x"},
    ],
    ids=lambda step: step["op"],
)
@pytest.mark.usefixtures("made")
def test_json_that_does_not_apply(space: spaces.Space, step: dict[str, Any]) -> None:
    reply = space.api.patch(space.path(name="a"), [{"op": "add", "path": "/data/z", "value": "z"}, step], kind="json")
    reply.fails(422, "Invalid")
    assert reply.message.startswith("the server rejected our request due to an error in our request")
    assert space.read("a")["data"] == {"k": "1", "l": "1"}


@pytest.mark.usefixtures("made")
def test_json_replaces_what_is_not_there(space: spaces.Space) -> None:
    step = {"op": "replace", "path": "/data/none", "value": "1"}
    assert patched(space, [step], kind="json")["data"]["none"] == "1"


@pytest.mark.usefixtures("made")
def test_json_copies_what_is_not_there(space: spaces.Space) -> None:
    step = {"op": "copy", "from": "/data/none", "path": "/data/x"}
    reply = space.api.patch(space.path(name="a"), [step], kind="json")
    assert reply.status == differences.COPY_OF_A_MISSING_KEY.by(space.api)


@pytest.mark.parametrize("body", [{}, "x", 5, [5], [{"op": "odd", "path": "/x"}], b"[", b""], ids=str)
@pytest.mark.usefixtures("made")
def test_json_that_is_malformed(space: spaces.Space, body: Any) -> None:
    reply = space.api.patch(space.path(name="a"), body, kind="json")
    assert reply.status in differences.MALFORMED_JSON_PATCH.by(space.api), reply.body
    assert reply.json["kind"] == "Status"


@pytest.mark.parametrize("kind", ["merge", "strategic-merge"])
@pytest.mark.parametrize("body", [[], "x", 5, b"{", b""], ids=str)
@pytest.mark.usefixtures("made")
def test_merges_that_are_malformed(space: spaces.Space, kind: str, body: Any) -> None:
    reply = space.api.patch(space.path(name="a"), body, kind=kind)
    assert reply.status in differences.MALFORMED_MERGE_PATCH.by(space.api), reply.body
    assert reply.json["kind"] == "Status"


@pytest.mark.usefixtures("made")
def test_unknown_types(space: spaces.Space) -> None:
    for media in ("application/json", "application/yaml", "text/plain", "application/odd-patch+json"):
        reply = space.api.request("PATCH", space.path(name="a"), {}, headers={"content-type": media})
        reply.fails(415, "UnsupportedMediaType", "415: Unsupported Media Type")


@pytest.mark.parametrize("kind", ["merge", "strategic-merge", "json"])
def test_nothing_to_patch(space: spaces.Space, kind: str) -> None:
    reply = space.api.patch(space.path(name="a"), [] if kind == "json" else {}, kind=kind)
    assert reply.fails(404, "NotFound", 'configmaps "a" not found') == {"name": "a", "kind": "configmaps"}


@pytest.mark.parametrize("kind", ["merge", "strategic-merge"])
def test_a_revision_in_a_patch_is_a_precondition(space: spaces.Space, made: dict[str, Any], kind: str) -> None:
    revision = made["metadata"]["resourceVersion"]
    found = patched(space, {"metadata": {"resourceVersion": revision}, "data": {"k": "2"}}, kind=kind)
    assert found["data"]["k"] == "2"
    reply = space.api.patch(
        space.path(name="a"), {"metadata": {"resourceVersion": revision}, "data": {"k": "3"}}, kind=kind
    )
    reply.fails(409, "Conflict")
    assert "the object has been modified" in reply.message
    reply = space.api.patch(space.path(name="a"), {"metadata": {"uid": "another"}, "data": {"k": "3"}}, kind=kind)
    reply.fails(422, "Invalid")
    assert set(reply.causes()) == {("FieldValueInvalid", "metadata.uid")}
    assert reply.json["details"]["causes"][0]["message"] == 'Invalid value: "another": field is immutable'


@pytest.mark.usefixtures("made")
def test_a_patch_cannot_rename(space: spaces.Space) -> None:
    for body in ({"metadata": {"name": "b"}}, {"metadata": {"namespace": "b"}}):
        space.api.patch(space.path(name="a"), body).fails(400, "BadRequest")


@pytest.mark.usefixtures("made")
def test_what_a_patch_makes_is_checked(space: spaces.Space) -> None:
    reply = space.api.patch(space.path(name="a"), {"metadata": {"labels": {"a b": "c"}}})
    reply.fails(422, "Invalid")
    assert set(reply.causes()) == {("FieldValueInvalid", "metadata.labels")}
    reply = space.api.patch(space.path(name="a"), {"data": "text"})
    assert reply.status in (400, 422)


def containers(pod: dict[str, Any]) -> dict[str, str]:
    return {container["name"]: container["image"] for container in pod["spec"]["containers"]}


def conditions(pod: dict[str, Any]) -> dict[str, str]:
    return {condition["type"]: condition["status"] for condition in pod["status"]["conditions"]}


def test_strategic_merges_lists_by_their_keys(space: spaces.Space) -> None:
    space.pod("p")
    path = space.path("pods", "p")
    body = {"spec": {"containers": [{"name": "c", "image": "y:1"}]}}
    pod = space.api.patch(path, body, kind="strategic-merge").ok()
    assert containers(pod) == {"c": "y:1"}
    assert pod["spec"]["containers"][0]["imagePullPolicy"] == "IfNotPresent"
    for type_, status in (("A", "True"), ("B", "True"), ("A", "False")):
        body = {"status": {"conditions": [{"type": type_, "status": status}]}}
        pod = space.api.patch(f"{path}/status", body, kind="strategic-merge").ok()
    assert {key: value for key, value in conditions(pod).items() if key in "AB"} == {"A": "False", "B": "True"}
    body = {"status": {"conditions": [{"type": "A", "$patch": "delete"}]}}
    pod = space.api.patch(f"{path}/status", body, kind="strategic-merge").ok()
    assert "A" not in conditions(pod)


def test_strategic_directives(space: spaces.Space) -> None:
    space.create("a", data={"k": "1", "l": "2"}, metadata={"finalizers": ["x.io/a", "x.io/b"]})
    found = patched(space, {"data": {"$patch": "replace", "m": "3"}}, kind="strategic-merge")
    assert found["data"] == {"m": "3"}
    found = patched(space, {"metadata": {"finalizers": ["x.io/c"]}}, kind="strategic-merge")
    assert sorted(found["metadata"]["finalizers"]) == ["x.io/a", "x.io/b", "x.io/c"]
    body = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["x.io/a"]}}
    assert sorted(patched(space, body, kind="strategic-merge")["metadata"]["finalizers"]) == ["x.io/b", "x.io/c"]
    body = {"metadata": {"$setElementOrder/finalizers": ["x.io/c", "x.io/b"]}}
    assert patched(space, body, kind="strategic-merge")["metadata"]["finalizers"] == ["x.io/c", "x.io/b"]
    assert "finalizers" not in patched(space, {"metadata": {"finalizers": None}})["metadata"]


def test_strategic_retains_keys(space: spaces.Space) -> None:
    volume = {"name": "v", "emptyDir": {}}
    spec = {"containers": [{"name": "c", "image": "x:1"}], "volumes": [volume]}
    space.create("p", "pods", spec=spec)
    body = {"spec": {"volumes": [{"$retainKeys": ["name", "hostPath"], "name": "v", "hostPath": {"path": "/x"}}]}}
    reply = space.api.patch(space.path("pods", "p"), body, kind="strategic-merge", dryRun="All")
    # The merge is done, and only then is the Pod's spec found to be fixed.
    reply.fails(422, "Invalid")
    assert "may not specify more than 1 volume type" not in reply.message


def test_secrets_of_a_service_account_merge_by_name(space: spaces.Space) -> None:
    space.create("s", "serviceaccounts", secrets=[{"name": "one"}], imagePullSecrets=[{"name": "one"}])
    body = {"secrets": [{"name": "two"}]}
    found = space.api.patch(space.path("serviceaccounts", "s"), body, kind="strategic-merge").ok()
    assert sorted(one["name"] for one in found["secrets"]) == ["one", "two"]


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"$patch": "odd"}},
        {"$patch": "odd"},
        {"metadata": {"ownerReferences": [{"kind": "no-uid"}]}},
        {"metadata": {"finalizers": {"a": "b"}}},
    ],
    ids=str,
)
@pytest.mark.usefixtures("made")
def test_strategic_nonsense(space: spaces.Space, body: dict[str, Any]) -> None:
    reply = space.api.patch(space.path(name="a"), body, kind="strategic-merge")
    assert reply.status in differences.STRATEGIC_NONSENSE.by(space.api), reply.body
    assert reply.json["kind"] == "Status"


def test_patches_of_one_object_do_not_get_lost(space: spaces.Space, made: dict[str, Any]) -> None:
    for number in range(20):
        patched(space, {"data": {f"n{number}": "x"}})
    assert sum(1 for key in space.read("a")["data"] if re.fullmatch(r"n\d+", key)) == 20
    assert made["data"].items() <= space.read("a")["data"].items()
