"""Delete one object: what is answered, preconditions, grace, finalizers, propagation."""

from typing import Any

import pytest
from tests.conformance.api import differences, spaces

OTHER = "11111111-2222-3333-4444-555555555555"


def test_what_is_answered(space: spaces.Space) -> None:
    made = space.create("a")
    status = space.api.delete(space.path(name="a")).ok()
    assert (status["kind"], status["apiVersion"], status["status"]) == ("Status", "v1", "Success")
    assert status["details"] == {"name": "a", "kind": "configmaps", "uid": made["metadata"]["uid"]}
    assert not space.is_there("a")
    details = space.api.delete(space.path(name="a")).fails(404, "NotFound", 'configmaps "a" not found')
    assert details == {"name": "a", "kind": "configmaps"}


def test_a_name_can_be_had_again(space: spaces.Space) -> None:
    first = space.create("a")
    space.api.delete(space.path(name="a")).ok()
    second = space.create("a")
    assert first["metadata"]["uid"] != second["metadata"]["uid"]


def test_preconditions(space: spaces.Space) -> None:
    metadata = space.create("a")["metadata"]
    path = space.path(name="a")
    reply = space.api.delete(path, {"preconditions": {"uid": OTHER}})
    reply.fails(409, "Conflict")
    assert reply.json["details"] == {"name": "a", "kind": "ConfigMap"}
    assert reply.message == (
        f'Operation cannot be fulfilled on ConfigMap "a": the UID in the precondition ({OTHER}) does not match the UID '
        f"in record ({metadata['uid']}). The object might have been deleted and then recreated"
    )
    reply = space.api.delete(path, {"preconditions": {"resourceVersion": "1"}})
    assert reply.fails(409, "Conflict") == {"name": "a", "kind": "ConfigMap"}
    assert reply.message == (
        'Operation cannot be fulfilled on ConfigMap "a": the ResourceVersion in the precondition (1) does not match '
        f"the ResourceVersion in record ({metadata['resourceVersion']}). The object might have been modified"
    )
    preconditions = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
    space.api.delete(path, {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": preconditions}).ok()
    assert not space.is_there("a")


@pytest.mark.parametrize(
    "options",
    [{"gracePeriodSeconds": "x"}, {"preconditions": 5}, {"dryRun": "All"}, {"propagationPolicy": 5}, b"{", b"[]"],
    ids=str,
)
def test_options_that_make_no_sense(space: spaces.Space, options: Any) -> None:
    space.create("a")
    reply = space.api.delete(space.path(name="a"), options)
    assert reply.status in differences.ODD_DELETE_OPTIONS.by(space.api), reply.body
    assert reply.json["kind"] == "Status"
    assert space.is_there("a")


def test_unknown_policies(space: spaces.Space) -> None:
    space.create("a")
    for reply in (
        space.api.delete(space.path(name="a"), {"propagationPolicy": "Odd"}),
        space.api.delete(space.path(name="a"), propagationPolicy="Odd"),
    ):
        details = reply.fails(422, "Invalid")
        assert (details["group"], details["kind"]) == ("meta.k8s.io", "DeleteOptions")
        assert [field for _, field in reply.causes()] == ["propagationPolicy"]
    reply = space.api.delete(space.path(name="a"), {"propagationPolicy": "Orphan", "orphanDependents": True})
    reply.fails(422, "Invalid")
    assert space.is_there("a")


def test_finalizers_hold(space: spaces.Space) -> None:
    made = space.create("a", metadata={"finalizers": ["x.io/a", "x.io/b"]}, data={"k": "1"})
    marked = space.api.delete(space.path(name="a")).ok()
    assert marked["kind"] == "ConfigMap"
    metadata = marked["metadata"]
    assert metadata["deletionTimestamp"] >= metadata["creationTimestamp"]
    assert metadata["deletionGracePeriodSeconds"] == 0
    assert metadata["finalizers"] == ["x.io/a", "x.io/b"]
    assert int(metadata["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
    again = space.api.delete(space.path(name="a")).ok()
    assert again["metadata"] == metadata
    # It can still be changed, and loses its finalizers one by one.
    assert space.api.patch(space.path(name="a"), {"data": {"k": "2"}}).ok()["data"] == {"k": "2"}
    space.api.patch(space.path(name="a"), {"metadata": {"finalizers": ["x.io/b"]}}).ok()
    assert space.is_there("a")
    last = space.api.patch(space.path(name="a"), {"metadata": {"finalizers": None}}).ok()
    assert "finalizers" not in last["metadata"]
    assert not space.is_there("a")


def test_no_finalizers_are_added_to_what_goes(space: spaces.Space) -> None:
    space.create("a", metadata={"finalizers": ["x.io/a"]})
    space.api.delete(space.path(name="a")).ok()
    reply = space.api.patch(space.path(name="a"), {"metadata": {"finalizers": ["x.io/a", "x.io/b"]}})
    reply.fails(422, "Invalid")
    assert set(reply.causes()) == {("FieldValueForbidden", "metadata.finalizers")}
    assert "no new finalizers can be added if the object is being deleted" in reply.message
    space.api.patch(space.path(name="a"), {"metadata": {"finalizers": None}}).ok()


def test_a_deletion_cannot_be_taken_back(space: spaces.Space) -> None:
    space.create("a", metadata={"finalizers": ["x.io/a"]})
    marked = space.api.delete(space.path(name="a")).ok()
    found = space.api.patch(
        space.path(name="a"), {"metadata": {"deletionTimestamp": None, "deletionGracePeriodSeconds": None}}
    ).ok()
    assert found["metadata"]["deletionTimestamp"] == marked["metadata"]["deletionTimestamp"]
    space.api.patch(space.path(name="a"), {"metadata": {"finalizers": None}}).ok()


@pytest.mark.parametrize(
    ("options", "finalizers"),
    [
        ({"propagationPolicy": "Foreground"}, ["foregroundDeletion"]),
        ({"propagationPolicy": "Orphan"}, ["orphan"]),
        ({"orphanDependents": True}, ["orphan"]),
    ],
    ids=str,
)
def test_propagation_is_left_to_a_finalizer(
    space: spaces.Space, options: dict[str, Any], finalizers: list[str]
) -> None:
    space.create("a")
    marked = space.api.delete(space.path(name="a"), options).ok()
    assert marked["metadata"]["finalizers"] == finalizers
    assert "deletionTimestamp" in marked["metadata"]
    space.api.patch(space.path(name="a"), {"metadata": {"finalizers": None}}).ok()
    assert not space.is_there("a")


def test_propagation_in_the_query(space: spaces.Space) -> None:
    space.create("a")
    marked = space.api.delete(space.path(name="a"), propagationPolicy="Foreground").ok()
    assert marked["metadata"]["finalizers"] == ["foregroundDeletion"]
    # The last word counts, and background needs no finalizer.
    space.api.delete(space.path(name="a"), propagationPolicy="Background").ok()
    assert not space.is_there("a")


@pytest.mark.parametrize("options", [{"propagationPolicy": "Background"}, {"orphanDependents": False}], ids=str)
def test_background_goes_at_once(space: spaces.Space, options: dict[str, Any]) -> None:
    space.create("a", metadata={"finalizers": ["foregroundDeletion"]})
    space.api.delete(space.path(name="a"), options).ok()
    assert not space.is_there("a")


def test_a_pod_on_no_node_goes_at_once(space: spaces.Space) -> None:
    space.pod("p")
    gone = space.api.delete(space.path("pods", "p")).ok()
    assert gone["kind"] == "Pod"
    assert gone["metadata"]["deletionGracePeriodSeconds"] == 0
    assert not space.is_there("p", "pods")


def test_grace_of_a_pod_on_a_node(space: spaces.Space) -> None:
    space.pod("p")
    path = space.path("pods", "p")
    binding = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}}
    space.api.post(f"{path}/binding", binding).ok(201)
    # kube-apiserver judges by what its cache has seen: wait for that.
    space.api.get(path, resourceVersion=space.read("p", "pods")["metadata"]["resourceVersion"]).ok()
    first = space.api.delete(path).ok()["metadata"]
    assert first["deletionGracePeriodSeconds"] == 30
    assert first["deletionTimestamp"] > first["creationTimestamp"]
    # Never longer, but shorter.
    again = space.api.delete(path, gracePeriodSeconds=60).ok()["metadata"]
    assert (again["deletionGracePeriodSeconds"], again["deletionTimestamp"]) == (30, first["deletionTimestamp"])
    shorter = space.api.delete(path, {"gracePeriodSeconds": 5}).ok()["metadata"]
    assert shorter["deletionGracePeriodSeconds"] == 5
    assert shorter["deletionTimestamp"] < first["deletionTimestamp"]
    space.api.delete(path, gracePeriodSeconds=0).ok()
    assert not space.is_there("p", "pods")


def test_other_kinds_know_no_grace(space: spaces.Space) -> None:
    space.create("a")
    space.api.delete(space.path(name="a"), gracePeriodSeconds=60).ok()
    assert not space.is_there("a")


def test_owners_do_not_matter_to_the_object_itself(space: spaces.Space) -> None:
    owner = space.create("owner")
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    space.create("owned", metadata={"ownerReferences": [reference]})
    space.api.delete(space.path(name="owned")).ok()
    assert space.is_there("owner")
