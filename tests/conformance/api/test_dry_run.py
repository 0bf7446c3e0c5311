"""Dry run: everything is done but the writing."""

import pytest
from tests.conformance.api import spaces


def test_create(space: spaces.Space) -> None:
    made = space.api.post(space.path(), {"metadata": {"name": "a"}, "data": {"k": "1"}}, dryRun="All").ok(201)
    assert (made["metadata"]["name"], made["data"]) == ("a", {"k": "1"})
    assert made["metadata"]["uid"]
    assert "resourceVersion" not in made["metadata"]
    assert not space.is_there("a")
    generated = space.api.post(space.path(), {"metadata": {"generateName": "g-"}}, dryRun="All").ok(201)
    assert generated["metadata"]["name"].startswith("g-")


def test_create_finds_what_is_wrong(space: spaces.Space) -> None:
    space.create("a")
    space.api.post(space.path(), {"metadata": {"name": "a"}}, dryRun="All").fails(409, "AlreadyExists")
    space.api.post(space.path(), {"metadata": {"name": "A"}}, dryRun="All").fails(422, "Invalid")
    space.api.post("/api/v1/namespaces/nowhere/configmaps", {"metadata": {"name": "a"}}, dryRun="All").fails(
        404, "NotFound"
    )


def test_replace_and_patch(space: spaces.Space) -> None:
    made = space.create("a", data={"k": "1"})
    wished = {**made, "data": {"k": "2"}}
    replaced = space.api.put(space.path(name="a"), wished, dryRun="All").ok()
    assert replaced["data"] == {"k": "2"}
    assert replaced["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    for kind in ("merge", "strategic-merge"):
        assert space.api.patch(space.path(name="a"), {"data": {"l": "2"}}, kind=kind, dryRun="All").ok()["data"] == {
            "k": "1",
            "l": "2",
        }
    assert space.read("a") == made


def test_delete(space: spaces.Space) -> None:
    made = space.create("a")
    status = space.api.delete(space.path(name="a"), dryRun="All").ok()
    assert (status["kind"], status["status"]) == ("Status", "Success")
    space.api.delete(space.path(name="a"), {"dryRun": ["All"]}).ok()
    space.api.delete(space.path(name="b"), dryRun="All").fails(404, "NotFound")
    space.api.delete(space.path(), dryRun="All").ok()
    assert space.read("a") == made


def test_pods(space: spaces.Space) -> None:
    pod = space.pod("p")
    space.api.delete(space.path("pods", "p"), dryRun="All").ok()
    binding = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}}
    space.api.post(space.path("pods", "p", "binding"), binding, dryRun="All").ok(201)
    assert space.read("p", "pods") == pod


@pytest.mark.parametrize("value", ["all", "true", "None", "All,All"])
def test_unknown_values(space: spaces.Space, value: str) -> None:
    space.create("a")
    for reply, options in (
        (space.api.post(space.path(), {"metadata": {"name": "b"}}, dryRun=value), "CreateOptions"),
        (space.api.put(space.path(name="a"), {"metadata": {"name": "a"}}, dryRun=value), "UpdateOptions"),
        (space.api.patch(space.path(name="a"), {}, dryRun=value), "PatchOptions"),
        (space.api.delete(space.path(name="a"), dryRun=value), "DeleteOptions"),
        (space.api.delete(space.path(), dryRun=value), "DeleteOptions"),
    ):
        details = reply.fails(422, "Invalid")
        assert (details["group"], details["kind"]) == ("meta.k8s.io", options)
        assert reply.causes() == [("FieldValueNotSupported", "dryRun")]
        assert reply.message.startswith(f'{options}.meta.k8s.io "" is invalid: dryRun: Unsupported value: ')
    assert space.is_there("a")
    assert not space.is_there("b")
