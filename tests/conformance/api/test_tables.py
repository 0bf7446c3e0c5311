"""Tables and metadata alone: other forms of the same objects."""

from typing import Any

import pytest
from tests.conformance.api import differences, spaces

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


def read(space: spaces.Space, form: str, name: str = "", plural: str = "configmaps", **query: object) -> dict[str, Any]:
    found: dict[str, Any] = space.api.get(space.path(plural, name), headers={"accept": form}, **query).ok()
    return found


def columns(table: dict[str, Any]) -> list[tuple[str, str, str, int]]:
    return [(each["name"], each["type"], each["format"], each["priority"]) for each in table["columnDefinitions"]]


def test_a_table_of_one(space: spaces.Space) -> None:
    made = space.create("a", data={"k": "1", "l": "2"})
    table = read(space, TABLE, "a")
    assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert columns(table) == [("Name", "string", "name", 0), ("Data", "string", "", 0), ("Age", "string", "", 0)]
    assert all(each["description"] for each in table["columnDefinitions"])
    (row,) = table["rows"]
    assert row["cells"][:2] == ["a", 2]
    assert row["object"] == {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": made["metadata"],
    }
    assert table["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_a_table_of_several(space: spaces.Space) -> None:
    for name in ("s1", "s2", "s3"):
        space.create(name, "secrets", stringData={"k": name}, type="x.io/y")
    table = read(space, TABLE, plural="secrets", limit=2)
    assert columns(table) == [
        ("Name", "string", "name", 0),
        ("Type", "string", "", 0),
        ("Data", "string", "", 0),
        ("Age", "string", "", 0),
    ]
    assert [row["cells"][:3] for row in table["rows"]] == [["s1", "x.io/y", 1], ["s2", "x.io/y", 1]]
    assert table["metadata"]["remainingItemCount"] == 1
    rest = read(space, TABLE, plural="secrets", **{"continue": table["metadata"]["continue"]})
    assert [row["cells"][0] for row in rest["rows"]] == ["s3"]
    assert rest["metadata"]["resourceVersion"] == table["metadata"]["resourceVersion"]


def test_an_empty_table(space: spaces.Space) -> None:
    table = read(space, TABLE, plural="secrets")
    assert table["rows"] == []
    assert columns(table)[0][0] == "Name"


def test_what_rows_carry(space: spaces.Space) -> None:
    made = space.create("a", data={"k": "1"})
    (row,) = read(space, TABLE, "a", includeObject="Object")["rows"]
    assert row["object"] == made
    (row,) = read(space, TABLE, "a", includeObject="None")["rows"]
    assert row.get("object") is None
    (row,) = read(space, TABLE, "a", includeObject="Metadata")["rows"]
    assert row["object"]["kind"] == "PartialObjectMetadata"


def test_columns_of_pods(space: spaces.Space) -> None:
    space.pod("p")
    table = read(space, TABLE, plural="pods")
    names = [(name, priority) for name, _, _, priority in columns(table)]
    assert names[:5] == [("Name", 0), ("Ready", 0), ("Status", 0), ("Restarts", 0), ("Age", 0)]
    assert {name for name, priority in names if priority} == {"IP", "Node", "Nominated Node", "Readiness Gates"}
    assert table["rows"][0]["cells"][:3] == ["p", "0/1", "Pending"]


@pytest.mark.parametrize("form", ["application/json;as=Table;v=v1beta1;g=meta.k8s.io", f"{TABLE},application/json"])
def test_forms_that_kubectl_asks_for(space: spaces.Space, form: str) -> None:
    space.create("a")
    table = read(space, form, "a")
    assert table["kind"] == "Table"
    assert table["apiVersion"] == ("meta.k8s.io/v1beta1" if "v1beta1" in form else "meta.k8s.io/v1")


def test_the_first_form_that_can_be_made(space: spaces.Space) -> None:
    space.create("a")
    for form in (
        "application/json;as=Table;v=v9;g=meta.k8s.io,application/json",
        "application/json;as=Odd;v=v1;g=meta.k8s.io,application/json",
        "application/json;as=Table;v=v1;g=other.io,application/json",
        "application/odd,application/json",
    ):
        assert read(space, form, "a")["kind"] == "ConfigMap"
    reply = space.api.get(space.path(name="a"), headers={"accept": "application/json;as=Table;v=v9;g=meta.k8s.io"})
    reply.fails(406, "NotAcceptable")
    assert reply.message.startswith("only the following media types are accepted: application/json")


def test_metadata_alone(space: spaces.Space) -> None:
    made = space.create("a", data={"k": "1"}, metadata={"labels": {"x": "y"}})
    assert read(space, PARTIAL, "a") == {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": made["metadata"],
    }
    listed = read(space, PARTIAL_LIST, labelSelector="x=y")
    assert (listed["kind"], listed["apiVersion"]) == ("PartialObjectMetadataList", "meta.k8s.io/v1")
    assert set(listed["metadata"]) == {"resourceVersion"}
    (item,) = listed["items"]
    assert item["metadata"] == made["metadata"]
    assert "data" not in item


def test_metadata_of_a_list_in_chunks(space: spaces.Space) -> None:
    for name in ("s1", "s2"):
        space.create(name, "secrets")
    listed = read(space, PARTIAL_LIST, plural="secrets", limit=1)
    assert listed["metadata"].get("remainingItemCount") == differences.REMAINING_METADATA.by(space.api)
    rest = read(space, PARTIAL_LIST, plural="secrets", **{"continue": listed["metadata"]["continue"]})
    assert [item["metadata"]["name"] for item in rest["items"]] == ["s2"]


def test_answers_to_writes_take_the_form_too(space: spaces.Space) -> None:
    reply = space.api.post(space.path(), {"metadata": {"name": "a"}}, headers={"accept": TABLE})
    assert reply.ok(201)["rows"][0]["cells"][0] == "a"
    reply = space.api.put(space.path(name="a"), {"metadata": {"name": "a"}}, headers={"accept": PARTIAL})
    assert reply.ok()["kind"] == "PartialObjectMetadata"
    # What is wrong is said in the usual form.
    space.api.get(space.path(name="none"), headers={"accept": TABLE}).fails(404, "NotFound")


def test_a_watch_in_tables(space: spaces.Space) -> None:
    space.create("a")
    query = {"fieldSelector": "metadata.name=a"}
    with space.api.watch(space.path(), headers={"accept": TABLE}, **query) as watch:
        first = watch.next()
        space.api.patch(space.path(name="a"), {"data": {"k": "1"}}).ok()
        second = watch.next()
        space.api.delete(space.path(name="a")).ok()
        third = watch.next()
    assert first is not None
    assert second is not None
    assert third is not None
    assert [event["type"] for event in (first, second, third)] == ["ADDED", "MODIFIED", "DELETED"]
    assert [event["object"]["kind"] for event in (first, second, third)] == ["Table"] * 3
    assert columns(first["object"])[0][0] == "Name"
    # Columns are named once.
    assert second["object"]["columnDefinitions"] is None
    assert second["object"]["rows"][0]["cells"][:2] == ["a", 1]
    revisions = [int(event["object"]["rows"][0]["object"]["metadata"]["resourceVersion"]) for event in (first, second)]
    assert revisions == sorted(set(revisions))


def test_a_watch_of_metadata(space: spaces.Space) -> None:
    made = space.create("a")
    query = {"fieldSelector": "metadata.name=a"}
    with space.api.watch(space.path(), headers={"accept": PARTIAL}, **query) as watch:
        event = watch.next()
    assert event == {
        "type": "ADDED",
        "object": {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": made["metadata"]},
    }


def test_bookmarks_take_the_form_too(space: spaces.Space) -> None:
    at = space.create("a")["metadata"]["resourceVersion"]
    for form, kind in ((TABLE, "Table"), (PARTIAL, "PartialObjectMetadata")):
        query = {"resourceVersion": at, "timeoutSeconds": 3, "allowWatchBookmarks": "true"}
        with space.api.watch(space.path(), headers={"accept": form}, **query) as watch:
            marks = [event["object"] for event in watch if event["type"] == "BOOKMARK"]
        assert {mark["kind"] for mark in marks} <= {kind}
