"""List: order, scope, the list's own metadata, the revision it is of."""

import pytest
from tests.conformance.api import differences, spaces, wire

FUTURE = 10**9


def names(document: dict[str, list[dict[str, dict[str, str]]]]) -> list[str]:
    return [item["metadata"]["name"] for item in document["items"]]


def test_the_document(space: spaces.Space) -> None:
    made = [space.create(name, "secrets", stringData={"k": name}) for name in ("b", "a", "c-1", "c")]
    found = space.api.get(space.path("secrets")).ok()
    assert (found["kind"], found["apiVersion"]) == ("SecretList", "v1")
    assert names(found) == ["a", "b", "c", "c-1"]
    assert set(found["metadata"]) == {"resourceVersion"}
    assert int(found["metadata"]["resourceVersion"]) >= int(made[-1]["metadata"]["resourceVersion"])
    assert [item["data"] for item in found["items"]] == [
        space.read(name, "secrets")["data"] for name in ("a", "b", "c", "c-1")
    ]


def test_items_do_not_repeat_their_type(space: spaces.Space) -> None:
    space.create("a", "secrets")
    (item,) = space.api.get(space.path("secrets")).ok()["items"]
    assert not {"kind", "apiVersion"} & set(item)
    (item,) = space.api.delete(space.path("secrets")).ok()["items"]
    assert not {"kind", "apiVersion"} & set(item)


def test_nothing(space: spaces.Space) -> None:
    found = space.api.get(space.path("pods")).ok()
    assert (found["kind"], found["items"]) == ("PodList", [])
    assert int(found["metadata"]["resourceVersion"]) > 0
    # A namespace that is not there has nothing in it.
    assert space.api.get("/api/v1/namespaces/nowhere/pods").ok()["items"] == []


def test_all_namespaces(space: spaces.Space) -> None:
    other = spaces.make(space.api, f"{space.name}-2")
    label = {"labels": {"test": space.name}}
    other.create("a", "secrets", metadata=label)
    space.create("b", "secrets", metadata=label)
    found = space.api.get("/api/v1/secrets", labelSelector=f"test={space.name}").ok()
    assert [(item["metadata"]["namespace"], item["metadata"]["name"]) for item in found["items"]] == [
        # In order of namespaces with the slash behind them.
        (other.name, "a"),
        (space.name, "b"),
    ]


def test_a_namespace_is_not_another_that_begins_so(space: spaces.Space) -> None:
    other = spaces.make(space.api, f"{space.name}-2")
    other.create("a", "secrets")
    assert names(space.api.get(space.path("secrets")).ok()) == []


def test_the_revision_only_grows(space: spaces.Space) -> None:
    before = int(space.api.get(space.path("secrets")).ok()["metadata"]["resourceVersion"])
    made = int(space.create("a", "secrets")["metadata"]["resourceVersion"])
    after = int(space.api.get(space.path("secrets")).ok()["metadata"]["resourceVersion"])
    assert before < made <= after
    # Zero: any state will do.
    anything = space.api.get(space.path("secrets"), resourceVersion="0").ok()
    assert int(anything["metadata"]["resourceVersion"]) > 0


def test_not_older_than(space: spaces.Space) -> None:
    made = space.create("a", "secrets")
    revision = made["metadata"]["resourceVersion"]
    for query in ({}, {"resourceVersionMatch": "NotOlderThan"}):
        found = space.api.get(space.path("secrets"), resourceVersion=revision, **query).ok()
        assert names(found) == ["a"]
        assert int(found["metadata"]["resourceVersion"]) >= int(revision)


def test_exact(space: spaces.Space) -> None:
    first = space.create("a", "secrets", stringData={"k": "1"})["metadata"]["resourceVersion"]
    space.create("b", "secrets")
    changed = space.api.patch(space.path("secrets", "a"), {"stringData": {"k": "2"}}).ok()
    space.api.delete(space.path("secrets", "b")).ok()
    query = {"resourceVersionMatch": "Exact", "resourceVersion": first}
    past = space.api.get(space.path("secrets"), **query).ok()
    assert past["metadata"]["resourceVersion"] == first
    assert [(item["metadata"]["name"], item["data"]) for item in past["items"]] == [("a", {"k": "MQ=="})]
    query["resourceVersion"] = changed["metadata"]["resourceVersion"]
    later = space.api.get(space.path("secrets"), **query).ok()
    assert names(later) == ["a", "b"]
    assert later["items"][0]["data"] == {"k": "Mg=="}


def test_exact_and_forgotten(space: spaces.Space) -> None:
    old = space.create("a", "secrets")["metadata"]["resourceVersion"]
    space.create("b", "secrets")
    space.api.forget_history()
    reply = space.api.get(space.path("secrets"), resourceVersionMatch="Exact", resourceVersion=old)
    reply.fails(410, "Expired")


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"resourceVersionMatch": "Exact"}, "FieldValueForbidden"),
        ({"resourceVersionMatch": "Exact", "resourceVersion": "0"}, "FieldValueForbidden"),
        ({"resourceVersionMatch": "Odd", "resourceVersion": "1"}, "FieldValueNotSupported"),
        ({"resourceVersionMatch": "NotOlderThan", "continue": "x"}, "FieldValueForbidden"),
    ],
    ids=str,
)
def test_matches_that_make_no_sense(space: spaces.Space, query: dict[str, str], reason: str) -> None:
    reply = space.api.get(space.path("secrets"), **query)
    details = reply.fails(422, "Invalid")
    assert (details["group"], details["kind"]) == ("meta.k8s.io", "ListOptions")
    assert set(reply.causes()) == {(reason, "resourceVersionMatch")}


def test_the_future(space: spaces.Space) -> None:
    for query in ({}, {"resourceVersionMatch": "NotOlderThan"}):
        reply = space.api.get(space.path("secrets"), resourceVersion=FUTURE, **query)
        details = reply.fails(504, "Timeout")
        current = reply.message.rpartition(" ")[2]
        assert reply.message == differences.TOO_LARGE.by(space.api).format(FUTURE, current)
        assert details["causes"] == [
            {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"},
        ]
        assert details["retryAfterSeconds"] == 1
    reply = space.api.get(space.path("secrets"), resourceVersion=FUTURE, resourceVersionMatch="Exact")
    reply.fails(*differences.EXACT_FUTURE.by(space.api))
    space.create("a", "secrets")
    reply = space.api.get(space.path("secrets", "a"), resourceVersion=FUTURE)
    reply.fails(504, "Timeout")


@pytest.mark.parametrize("revision", ["abc", "-1", "1.5", " 1", "9" * 30])
def test_revisions_that_are_none(space: spaces.Space, revision: str) -> None:
    reply = space.api.get(space.path("secrets"), resourceVersion=revision)
    reply.fails(*differences.LIST_FROM_NONSENSE.by(space.api))


@pytest.mark.parametrize("name", ["limit", "timeoutSeconds"])
@pytest.mark.parametrize("value", ["x", "1.5", "9" * 30])
def test_numbers_that_are_none(space: spaces.Space, name: str, value: str) -> None:
    space.api.get(space.path("secrets"), **{name: value}).fails(400, "BadRequest")


def test_queries_that_do_not_matter(space: spaces.Space) -> None:
    space.create("a", "secrets")
    for query in ({"bogus": "1"}, {"limit": "-1"}, {"timeoutSeconds": "5"}, {"watch": "false"}):
        assert names(space.api.get(space.path("secrets"), **query).ok()) == ["a"]


def test_flags_that_are_none(space: spaces.Space) -> None:
    expected = differences.FLAG_NONSENSE.by(space.api)
    reply = space.api.get(space.path("secrets"), watch="odd", timeoutSeconds=1)
    if expected is None:
        assert reply.status == 200
    else:
        reply.fails(*expected)


def test_cluster_scoped_kinds(api: wire.Api) -> None:
    found = api.get("/api/v1/namespaces").ok()
    assert found["kind"] == "NamespaceList"
    assert {"default", "kube-system"} <= set(names(found))
    assert names(found) == sorted(names(found))
