"""Create: what comes back, what the server sets, what it refuses."""

import re

import pytest
from tests.conformance.api import differences, spaces, wire


def test_what_the_server_adds(space: spaces.Space) -> None:
    given = {
        "metadata": {"name": "a", "labels": {"l": "1"}, "annotations": {"an": "2"}},
        "data": {"k": "v"},
        "binaryData": {"b": "AAE="},
    }
    reply = space.api.post(space.path(), given)
    made = reply.ok(201)
    assert (made["kind"], made["apiVersion"]) == ("ConfigMap", "v1")
    assert (made["data"], made["binaryData"]) == ({"k": "v"}, {"b": "AAE="})
    metadata = made["metadata"]
    assert metadata["namespace"] == space.name
    assert (metadata["labels"], metadata["annotations"]) == ({"l": "1"}, {"an": "2"})
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", metadata["uid"])
    assert re.fullmatch(r"[1-9]\d*", metadata["resourceVersion"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", metadata["creationTimestamp"])
    assert "selfLink" not in metadata
    assert space.read("a") == made


def test_a_name_is_taken_once(space: spaces.Space) -> None:
    space.create("a")
    details = space.api.post(space.path(), {"metadata": {"name": "a"}}).fails(
        409, "AlreadyExists", 'configmaps "a" already exists'
    )
    assert details == {"name": "a", "kind": "configmaps"}


def test_revisions_grow_over_all_kinds(space: spaces.Space) -> None:
    first = space.create("a")
    second = space.create("a", "secrets")
    assert int(second["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])


def test_system_fields_of_the_client_are_dropped(space: spaces.Space) -> None:
    given = {
        "uid": "11111111-2222-3333-4444-555555555555",
        "creationTimestamp": "2001-01-01T00:00:00Z",
        "deletionTimestamp": "2001-01-01T00:00:00Z",
        "deletionGracePeriodSeconds": 5,
        "selfLink": "/x",
    }
    metadata = space.create("a", metadata=given)["metadata"]
    assert metadata["uid"] != given["uid"]
    assert not metadata["creationTimestamp"].startswith("2001")
    assert not {"deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"} & set(metadata)


def test_kind_and_version_may_be_left_out_but_not_wrong(space: spaces.Space) -> None:
    assert space.create("a")["kind"] == "ConfigMap"
    for type_ in ({"kind": "Secret"}, {"apiVersion": "v2"}, {"kind": "ConfigMap", "apiVersion": "apps/v1"}):
        reply = space.api.post(space.path(), {**type_, "metadata": {"name": "b"}})
        reply.fails(400, "BadRequest")
    assert not space.is_there("b")


def test_the_namespace_is_that_of_the_path(space: spaces.Space) -> None:
    reply = space.api.post(space.path(), {"metadata": {"name": "a", "namespace": "default"}})
    reply.fails(
        400, "BadRequest", "the namespace of the provided object does not match the namespace sent on the request"
    )
    assert space.create("a", metadata={"namespace": space.name})["metadata"]["namespace"] == space.name


def test_a_namespace_that_is_not_there(api: wire.Api) -> None:
    details = api.post("/api/v1/namespaces/nowhere/configmaps", {"metadata": {"name": "a"}}).fails(
        404, "NotFound", 'namespaces "nowhere" not found'
    )
    assert details == {"name": "nowhere", "kind": "namespaces"}


def test_a_name_is_needed(space: spaces.Space) -> None:
    for body in ({}, {"metadata": {}}, {"metadata": {"name": ""}}):
        reply = space.api.post(space.path(), body)
        details = reply.fails(422, "Invalid")
        assert details["kind"] == "ConfigMap"
        assert [field for _, field in reply.causes()] == ["metadata.name"]
        assert reply.json["details"]["causes"][0]["message"] == "Required value: name or generateName is required"
        assert (
            reply.message == 'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required'
        )


def test_a_revision_is_not_for_the_client(space: spaces.Space) -> None:
    reply = space.api.post(space.path(), {"metadata": {"name": "a", "resourceVersion": "5"}})
    reply.fails(
        *differences.CREATE_WITH_REVISION.by(space.api), "resourceVersion should not be set on objects to be created"
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"a"',
        b"null",
        b'{"metadata":[]}',
        b'{"metadata":{"name":5}}',
        b'{"data":{"a":1}}',
        b"\xff\xfe",
    ],
)
def test_bodies_that_are_no_object(space: spaces.Space, body: bytes) -> None:
    reply = space.api.post(space.path(), body)
    assert reply.status in (400, 422), reply.body
    assert reply.json["kind"] == "Status"
    assert space.api.get(space.path()).ok()["items"] == [] or all(
        item["metadata"]["name"] == "kube-root-ca.crt" for item in space.api.get(space.path()).json["items"]
    )


def test_generated_names(space: spaces.Space) -> None:
    names = {
        space.api.post(space.path(), {"metadata": {"generateName": "g-"}}).ok(201)["metadata"]["name"] for _ in range(5)
    }
    assert len(names) == 5
    # Neither vowels nor what looks alike.
    assert all(re.fullmatch("g-[bcdfghjklmnpqrstvwxz2456789]{5}", name) for name in names), names


def test_a_name_wins_over_a_prefix(space: spaces.Space) -> None:
    metadata = space.api.post(space.path(), {"metadata": {"name": "n", "generateName": "g-"}}).ok(201)["metadata"]
    assert (metadata["name"], metadata["generateName"]) == ("n", "g-")


def test_long_prefixes_are_cut(space: spaces.Space) -> None:
    prefix = "p" * 100
    metadata = space.api.post(space.path(), {"metadata": {"generateName": prefix}}).ok(201)["metadata"]
    assert len(metadata["name"]) == 63
    assert metadata["name"].startswith("p" * 58)
    assert metadata["generateName"] == prefix
