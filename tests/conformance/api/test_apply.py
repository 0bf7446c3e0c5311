"""Server-side apply, and the account of who owns which fields."""

from collections.abc import Mapping
from typing import Any

import pytest
from tests.conformance.api import differences, spaces, wire

Json = dict[str, Any]
KUBECTL = {"user-agent": "kubectl/v1.32.0 (linux/amd64)"}


def config(data: Json | None = None, name: str = "a", **metadata: Any) -> Json:
    body: Json = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}
    return body | ({"data": data} if data is not None else {})


def a_pod(**container: Any) -> Json:
    spec = {"containers": [{"name": "c", "image": "x:1", **container}], "automountServiceAccountToken": False}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}


def apply(
    space: spaces.Space, body: Any, manager: str = "me", *, plural: str = "configmaps", part: str = "", **query: object
) -> wire.Reply:
    name = body["metadata"]["name"] if isinstance(body, dict) and "metadata" in body else "a"
    return space.api.request(
        "PATCH",
        space.path(plural, name, part),
        body,
        headers={"content-type": "application/apply-patch+yaml"},
        fieldManager=manager,
        **query,
    )


def applied(space: spaces.Space, body: Any, manager: str = "me", **more: Any) -> Json:
    found: Json = apply(space, body, manager, **more).ok()
    return found


def owners(obj: Json) -> dict[str, Json]:
    """What each manager owns."""
    return {f"{one['manager']} {one['operation']}": one["fieldsV1"] for one in obj["metadata"].get("managedFields", [])}


def fields(data: Mapping[str, Any]) -> Json:
    """Fields of `data` alone."""
    return {"f:data": dict(data)}


@pytest.fixture
def made(space: spaces.Space) -> Json:
    found: Json = space.api.post(space.path(), config({"k": "1", "l": "1"}, labels={"x": "1"}), headers=KUBECTL).ok(201)
    return found


def test_who_creates_owns_all(made: Json) -> None:
    [entry] = made["metadata"]["managedFields"]
    assert entry["time"] == made["metadata"]["creationTimestamp"]
    del entry["time"]
    assert entry == {
        "manager": "kubectl",
        "operation": "Update",
        "apiVersion": "v1",
        "fieldsType": "FieldsV1",
        "fieldsV1": {
            "f:data": {".": {}, "f:k": {}, "f:l": {}},
            "f:metadata": {"f:labels": {".": {}, "f:x": {}}},
        },
    }


def test_who_changes_a_field_takes_it(space: spaces.Space, made: Json) -> None:
    body = config({"k": "2", "l": "1", "m": "1"}, labels={"x": "1"})
    found = space.api.put(space.path(name="a"), body, fieldManager="hand").ok()
    assert owners(found) == {
        "kubectl Update": {
            "f:data": {".": {}, "f:l": {}},
            "f:metadata": {"f:labels": {".": {}, "f:x": {}}},
        },
        "hand Update": fields({"f:k": {}, "f:m": {}}),
    }
    again = space.api.put(space.path(name="a"), body, fieldManager="third").ok()
    assert again == found


def test_apply_makes_what_is_not_there(space: spaces.Space) -> None:
    found = apply(space, config({"k": "1"})).ok(201)
    assert owners(found) == {"me Apply": fields({"f:k": {}})}
    assert applied(space, config({"k": "1"})) == found
    assert space.read("a") == found


def test_conflicts(space: spaces.Space, made: Json) -> None:
    reply = apply(space, config({"k": "9", "n": "1"}))
    details = reply.fails(409, "Conflict", 'Apply failed with 1 conflict: conflict with "kubectl" using v1: .data.k')
    assert details == {
        "causes": [
            {"reason": "FieldManagerConflict", "message": 'conflict with "kubectl" using v1', "field": ".data.k"}
        ]
    }
    reply = apply(space, config({"k": "9"}, labels={"x": "9"}))
    reply.fails(
        409,
        "Conflict",
        'Apply failed with 2 conflicts: conflicts with "kubectl" using v1:\n- .data.k\n- .metadata.labels.x',
    )
    assert space.read("a") == made
    found = applied(space, config({"k": "9"}), force="true")
    assert found["data"] == {"k": "9", "l": "1"}
    assert owners(found)["me Apply"] == fields({"f:k": {}})
    assert owners(found)["kubectl Update"]["f:data"] == {".": {}, "f:l": {}}


def test_what_is_given_up_goes_when_nobody_else_wants_it(space: spaces.Space) -> None:
    apply(space, config({"a": "1", "b": "1", "c": "1"}, labels={"x": "1"})).ok(201)
    applied(space, config({"b": "1"}), "other")
    found = applied(space, config({"c": "1"}))
    assert found["data"] == {"b": "1", "c": "1"}
    assert "labels" not in found["metadata"]
    assert owners(found) == {"me Apply": fields({"f:c": {}}), "other Apply": fields({"f:b": {}})}
    found = applied(space, config(), "other")
    assert found["data"] == {"c": "1"}
    assert owners(found) == {"me Apply": fields({"f:c": {}})}


def test_items_of_lists_by_their_keys(space: spaces.Space) -> None:
    body = a_pod(ports=[{"containerPort": 80}], env=[{"name": "A", "value": "1"}])
    made = space.api.post(space.path("pods"), body, fieldManager="maker").ok(201)
    [container] = owners(made)["maker Update"]["f:spec"]["f:containers"].values()
    assert container == {
        ".": {},
        "f:env": {".": {}, 'k:{"name":"A"}': {".": {}, "f:name": {}, "f:value": {}}},
        "f:image": {},
        "f:imagePullPolicy": {},
        "f:name": {},
        "f:ports": {
            ".": {},
            'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}, "f:protocol": {}},
        },
        "f:resources": {},
        "f:terminationMessagePath": {},
        "f:terminationMessagePolicy": {},
    }
    part = a_pod(image="x:2")
    reply = apply(space, part, plural="pods")
    assert reply.causes() == [("FieldManagerConflict", '.spec.containers[name="c"].image')]
    found = applied(space, part, plural="pods", force="true")
    assert found["spec"]["containers"][0]["image"] == "x:2"
    assert found["spec"]["containers"][0]["env"] == [{"name": "A", "value": "1"}]
    assert owners(found)["me Apply"]["f:spec"]["f:containers"] == {
        'k:{"name":"c"}': {".": {}, "f:image": {}, "f:name": {}}
    }
    assert applied(space, part, plural="pods") == found


def test_sets(space: spaces.Space) -> None:
    apply(space, config(finalizers=["x.io/a", "x.io/b"])).ok(201)
    found = applied(space, config(finalizers=["x.io/c", "x.io/b"]), "other")
    assert sorted(found["metadata"]["finalizers"]) == ["x.io/a", "x.io/b", "x.io/c"]
    found = applied(space, config())
    assert sorted(found["metadata"]["finalizers"]) == ["x.io/b", "x.io/c"]
    assert owners(found) == {"other Apply": {"f:metadata": {"f:finalizers": {'v:"x.io/b"': {}, 'v:"x.io/c"': {}}}}}
    applied(space, config(), "other")


def test_a_status(space: spaces.Space) -> None:
    space.api.post(space.path("pods"), a_pod(), fieldManager="maker").ok(201)
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "status": {"conditions": [{"type": "X", "status": "True"}]},
    }
    found = applied(space, body, plural="pods", part="status")
    assert "True" in [one["status"] for one in found["status"]["conditions"] if one["type"] == "X"]
    assert owners(found)["me Apply"] == {
        "f:status": {"f:conditions": {'k:{"type":"X"}': {".": {}, "f:status": {}, "f:type": {}}}}
    }


def test_the_first_apply_finds_what_was_there(space: spaces.Space, made: Json) -> None:
    assert made
    for forget in ([{}], []):
        body = [{"op": "replace", "path": "/metadata/managedFields", "value": forget}]
        found = space.api.patch(space.path(name="a"), body, kind="json").ok()
        assert "managedFields" not in found["metadata"]
        # Nobody keeps account until somebody applies.
        found = space.api.patch(space.path(name="a"), {"data": {"k": "2"}}).ok()
        assert "managedFields" not in found["metadata"]
        reply = apply(space, config({"k": "9"}))
        reply.fails(
            409, "Conflict", 'Apply failed with 1 conflict: conflict with "before-first-apply" using v1: .data.k'
        )
        found = applied(space, config({"m": "1"}))
        assert owners(found)["before-first-apply Update"]["f:data"] == {".": {}, "f:k": {}, "f:l": {}}
        applied(space, config())


def test_entries_that_make_no_sense_are_not_taken(space: spaces.Space, made: Json) -> None:
    for entry in ({"operation": "Odd", "manager": "x"}, {"operation": "Update", "fieldsV1": {"bogus": {}}}):
        body = [{"op": "replace", "path": "/metadata/managedFields", "value": [entry]}]
        assert space.api.patch(space.path(name="a"), body, kind="json").ok() == made


def test_the_oldest_of_many_managers_are_folded(space: spaces.Space) -> None:
    space.create("a", data={"x": "x"})
    for number in range(14):
        found = space.api.patch(space.path(name="a"), {"data": {f"k{number}": "1"}}, fieldManager=f"m{number}").ok()
    assert len(found["metadata"]["managedFields"]) == 10
    assert "ancient-changes Update" in owners(found)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"a: [", (400, "BadRequest")),
        (b"[]", (400, "BadRequest")),
        (b"{}", (400, "BadRequest")),
        (config() | {"apiVersion": "v2"}, (400, "BadRequest")),
        (config(managedFields=[]), (400, "BadRequest")),
        (config(managedFields=[{}]), (400, "BadRequest")),
        (config(namespace="another"), (400, "BadRequest")),
        (config(resourceVersion="1"), (409, "Conflict")),
        (config(uid="another"), (422, "Invalid")),
        (config(finalizers=["no domain"]), (422, "Invalid")),
    ],
    ids=str,
)
def test_applies_that_cannot_be(space: spaces.Space, made: Json, body: Any, expected: tuple[int, str]) -> None:
    apply(space, body).fails(*expected)
    assert space.read("a") == made


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (config() | {"bogus": 1}, ".bogus: field not declared in schema"),
        (config(finalizers=["a/b", "a/b"]), 'duplicate entries for key [="a/b"]'),
    ],
    ids=str,
)
def test_applies_that_do_not_fit_the_schema(space: spaces.Space, body: Json, message: str) -> None:
    reply = apply(space, body)
    assert reply.status == differences.UNTYPED_APPLY.by(space.api)
    assert reply.message.startswith("failed to create typed patch object")
    assert message in reply.message


def test_options(space: spaces.Space, made: Json) -> None:
    path = space.path(name="a")
    reply = space.api.request("PATCH", path, config(), headers={"content-type": "application/apply-patch+yaml"})
    reply.fails(
        422,
        "Invalid",
        'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
    )
    reply = space.api.patch(path, {}, force="true")
    reply.fails(
        422,
        "Invalid",
        'PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch',
    )
    reply = space.api.patch(path, {}, fieldManager="a\nb")
    reply.fails(
        422,
        "Invalid",
        'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Invalid value: "a\\nb": '
        "invalid character U+000A (at position 1)",
    )
    assert space.api.patch(path, {}, fieldManager="x" * 129).causes() == [("FieldValueTooLong", "fieldManager")]
    assert space.read("a") == made


def test_dry_run(space: spaces.Space, made: Json) -> None:
    found = applied(space, config({"m": "1"}), dryRun="All")
    assert found["data"] == {"k": "1", "l": "1", "m": "1"}
    assert owners(found)["me Apply"] == fields({"f:m": {}})
    apply(space, config({"k": "9"}), dryRun="All").fails(409, "Conflict")
    apply(space, config({"k": "9"}, name="b"), dryRun="All").ok(201)
    assert not space.is_there("b")
    assert space.read("a") == made
