"""Replace: revisions, conflicts, preconditions, what cannot change."""

import pytest
from tests.conformance.api import differences, spaces

MODIFIED = (
    'Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply your changes to the '
    "latest version and try again"
)


def test_a_replace_is_whole(space: spaces.Space) -> None:
    made = space.create("a", data={"k": "1", "l": "1"}, metadata={"labels": {"x": "1"}})
    made["data"] = {"k": "2"}
    del made["metadata"]["labels"]
    replaced = space.api.put(space.path(name="a"), made).ok()
    assert replaced["data"] == {"k": "2"}
    assert "labels" not in replaced["metadata"]
    for field in ("uid", "creationTimestamp"):
        assert replaced["metadata"][field] == made["metadata"][field]
    assert int(replaced["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])


def test_no_change_is_no_write(space: spaces.Space) -> None:
    made = space.create("a", data={"k": "1"})
    assert space.api.put(space.path(name="a"), made).ok() == made
    bare = {"metadata": {"name": "a"}, "data": {"k": "1"}}
    replaced = space.api.put(space.path(name="a"), bare).ok()
    assert replaced["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_a_stale_revision_is_a_conflict(space: spaces.Space) -> None:
    made = space.create("a")
    space.api.patch(space.path(name="a"), {"data": {"k": "2"}}).ok()
    made["data"] = {"k": "3"}
    details = space.api.put(space.path(name="a"), made).fails(409, "Conflict", MODIFIED)
    assert details == {"name": "a", "kind": "configmaps"}
    assert space.read("a")["data"] == {"k": "2"}


def test_without_a_revision_the_last_writer_wins(space: spaces.Space) -> None:
    space.create("a", data={"k": "1"})
    for revision in ({}, {"resourceVersion": ""}, {"resourceVersion": "0"}):
        space.api.put(space.path(name="a"), {"metadata": {"name": "a", **revision}, "data": {"k": "2"}}).ok()
    assert space.read("a")["data"] == {"k": "2"}


def test_another_uid_is_a_conflict(space: spaces.Space) -> None:
    made = space.create("a")
    other = "11111111-2222-3333-4444-555555555555"
    reply = space.api.put(space.path(name="a"), {"metadata": {"name": "a", "uid": other}})
    reply.fails(409, "Conflict")
    assert reply.message.startswith('Operation cannot be fulfilled on configmaps "a": ')
    assert reply.message.endswith(
        f"Precondition failed: UID in precondition: {other}, UID in object meta: {made['metadata']['uid']}"
    )


def test_what_is_not_there_is_not_made(space: spaces.Space) -> None:
    details = space.api.put(space.path(name="a"), {"metadata": {"name": "a"}}).fails(
        404, "NotFound", 'configmaps "a" not found'
    )
    assert details == {"name": "a", "kind": "configmaps"}


def test_name_and_namespace_are_those_of_the_path(space: spaces.Space) -> None:
    space.create("a")
    reply = space.api.put(space.path(name="a"), {"metadata": {"name": "b"}})
    reply.fails(400, "BadRequest", "the name of the object (b) does not match the name on the URL (a)")
    reply = space.api.put(space.path(name="a"), {"metadata": {"name": "a", "namespace": "default"}})
    reply.fails(400, "BadRequest", differences.OTHER_NAMESPACE.by(space.api).format(space.name))
    reply = space.api.put(space.path(name="a"), {"metadata": {}})
    reply.fails(400, "BadRequest", "the name of the object (a based on URL) was undeterminable: name must be provided")


def test_system_fields_stay(space: spaces.Space) -> None:
    made = space.create("a")
    body = {"metadata": {"name": "a", "creationTimestamp": "2001-01-01T00:00:00Z", "generation": 9}, "data": {"k": "1"}}
    metadata = space.api.put(space.path(name="a"), body).ok()["metadata"]
    assert metadata["creationTimestamp"] == made["metadata"]["creationTimestamp"]
    assert "generation" not in metadata


def test_immutable_objects(space: spaces.Space) -> None:
    for plural in ("configmaps", "secrets"):
        space.create("a", plural, immutable=True, stringData={"k": "1"} if plural == "secrets" else None)
        for patch in ({"immutable": False}, {"data": {"k": "Mg=="}}):
            reply = space.api.patch(space.path(plural, "a"), patch)
            reply.fails(422, "Invalid")
            assert [reason for reason, _ in reply.causes()] == ["FieldValueForbidden"]
        space.api.patch(space.path(plural, "a"), {"metadata": {"labels": {"x": "y"}}}).ok()


@pytest.mark.parametrize("part", ["", "status"])
def test_a_pods_spec_is_nearly_fixed(space: spaces.Space, part: str) -> None:
    pod = space.pod("p")
    pod["spec"]["containers"][0]["image"] = "y:1"
    if part:
        # What a status write says of the spec is not looked at.
        assert space.api.put(space.path("pods", "p", part), pod).ok()["spec"]["containers"][0]["image"] == "x:1"
        return
    assert space.api.put(space.path("pods", "p"), pod).ok()["spec"]["containers"][0]["image"] == "y:1"
    pod = space.read("p", "pods")
    pod["spec"]["containers"][0]["name"] = "d"
    reply = space.api.put(space.path("pods", "p"), pod)
    reply.fails(422, "Invalid")
    assert [reason for reason, field in reply.causes() if field.startswith("spec")] == ["FieldValueForbidden"]
