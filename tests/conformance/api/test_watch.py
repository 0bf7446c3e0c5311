"""Watch: what is told, in which order, from where, until when."""

from typing import Any

import pytest
from tests.conformance.api import differences, spaces

FUTURE = 10**9


def revision(obj: dict[str, Any]) -> str:
    found: str = obj["metadata"]["resourceVersion"]
    return found


def patch(space: spaces.Space, name: str, **data: Any) -> dict[str, Any]:
    found: dict[str, Any] = space.api.patch(space.path("secrets", name), data).ok()
    return found


def test_the_state_first_then_changes(space: spaces.Space) -> None:
    made = space.create("a", "secrets")
    with space.api.watch(space.path("secrets")) as watch:
        assert watch.status == 200
        assert watch.headers["content-type"] == "application/json"
        assert watch.headers["transfer-encoding"] == "chunked"
        first = watch.next()
        assert first == {"type": "ADDED", "object": made}
        assert (made["kind"], made["apiVersion"]) == ("Secret", "v1")
        changed = patch(space, "a", stringData={"k": "1"})
        assert watch.next() == {"type": "MODIFIED", "object": changed}
        second = space.create("b", "secrets")
        assert watch.next() == {"type": "ADDED", "object": second}
        space.api.delete(space.path("secrets", "a")).ok()
        gone = watch.next()
        assert gone is not None
        assert gone["type"] == "DELETED"
        assert gone["object"]["data"] == {"k": "MQ=="}
        # The deletion has a revision of its own, so that a watch can go on behind it.
        assert int(revision(gone["object"])) > int(revision(second))


def test_from_a_revision_nothing_before(space: spaces.Space) -> None:
    first = space.create("a", "secrets")
    space.create("b", "secrets")
    patch(space, "a", stringData={"k": "1"})
    with space.api.watch(space.path("secrets"), resourceVersion=revision(first)) as watch:
        assert watch.names(2) == [("ADDED", "b"), ("MODIFIED", "a")]
        space.create("c", "secrets")
        assert watch.names(1) == [("ADDED", "c")]


def test_revision_zero_begins_with_the_state(space: spaces.Space) -> None:
    space.create("a", "secrets")
    with space.api.watch(space.path("secrets"), resourceVersion="0") as watch:
        assert watch.names(1) == [("ADDED", "a")]


def test_resuming_misses_and_doubles_nothing(space: spaces.Space) -> None:
    at = space.api.get(space.path("secrets")).ok()["metadata"]["resourceVersion"]
    told = []
    for number in range(12):
        if number % 3 == 2:
            space.api.delete(space.path("secrets", f"s{number - 1}")).ok()
        else:
            space.create(f"s{number}", "secrets")
        if number % 4 == 3:
            # Come back where the last event was, several changes later.
            with space.api.watch(space.path("secrets"), resourceVersion=at) as watch:
                for _ in range(4):
                    event = watch.next()
                    assert event is not None
                    told.append((event["type"], event["object"]["metadata"]["name"]))
                    at = revision(event["object"])
    assert told == [
        ("DELETED", f"s{number - 1}") if number % 3 == 2 else ("ADDED", f"s{number}") for number in range(12)
    ]


def test_revisions_of_events_grow(space: spaces.Space) -> None:
    at = revision(space.create("a", "secrets"))
    for number in range(5):
        patch(space, "a", stringData={"k": str(number)})
    with space.api.watch(space.path("secrets"), resourceVersion=at) as watch:
        seen = []
        for _ in range(5):
            event = watch.next()
            assert event is not None
            seen.append(int(revision(event["object"])))
    assert seen == sorted(set(seen))


def test_selectors_turn_changes_into_coming_and_going(space: spaces.Space) -> None:
    at = revision(space.create("a", "secrets", metadata={"labels": {"l": "1"}}, stringData={"k": "1"}))
    with space.api.watch(space.path("secrets"), resourceVersion=at, labelSelector="l=1") as watch:
        patch(space, "a", metadata={"labels": {"l": "2"}}, stringData={"k": "2"})
        left = watch.next()
        assert left is not None
        assert left["type"] == "DELETED"
        # The last state that was selected, at the revision at which it left.
        assert left["object"]["metadata"]["labels"] == {"l": "1"}
        assert left["object"]["data"] == {"k": "MQ=="}
        assert int(revision(left["object"])) > int(at)
        # Changes outside are not told.
        patch(space, "a", stringData={"k": "3"})
        back = patch(space, "a", metadata={"labels": {"l": "1"}})
        assert watch.next() == {"type": "ADDED", "object": back}
        patch(space, "a", stringData={"k": "4"})
        assert watch.names(1) == [("MODIFIED", "a")]


def test_field_selectors_do_so_too(space: spaces.Space) -> None:
    at = revision(space.pod("p"))
    with space.api.watch(space.path("pods"), resourceVersion=at, fieldSelector="spec.nodeName=n") as watch:
        space.api.post(
            space.path("pods", "p", "binding"), {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}}
        ).ok(201)
        assert watch.names(1) == [("ADDED", "p")]
        space.api.delete(space.path("pods", "p")).ok()
        assert watch.names(1) == [("MODIFIED", "p")]
        space.api.delete(space.path("pods", "p"), gracePeriodSeconds=0).ok()
        event = watch.next()
        assert event is not None
        assert event["type"] in ("MODIFIED", "DELETED")
    with space.api.watch(space.path("pods"), fieldSelector="metadata.name=q", resourceVersion=at) as watch:
        space.pod("r")
        space.pod("q")
        assert watch.names(1) == [("ADDED", "q")]


def test_other_namespaces_are_not_told(space: spaces.Space) -> None:
    at = revision(space.create("a", "secrets"))
    other = spaces.make(space.api, f"{space.name}-2")
    with space.api.watch(space.path("secrets"), resourceVersion=at) as watch:
        other.create("x", "secrets")
        space.create("b", "secrets")
        assert watch.names(1) == [("ADDED", "b")]
    with space.api.watch("/api/v1/secrets", resourceVersion=at) as watch:
        assert watch.names(2) == [("ADDED", "x"), ("ADDED", "b")]


def test_deletion_with_finalizers_is_told_step_by_step(space: spaces.Space) -> None:
    at = revision(space.create("a", "secrets", metadata={"finalizers": ["x.io/a"]}))
    space.api.delete(space.path("secrets", "a")).ok()
    patch(space, "a", metadata={"finalizers": None})
    with space.api.watch(space.path("secrets"), resourceVersion=at) as watch:
        first = watch.next()
        last = watch.next()
    assert first is not None
    assert last is not None
    assert (first["type"], last["type"]) == ("MODIFIED", "DELETED")
    assert "deletionTimestamp" in first["object"]["metadata"]
    assert int(revision(last["object"])) > int(revision(first["object"]))


def test_too_old(space: spaces.Space) -> None:
    path = space.path("leases", root="/apis/coordination.k8s.io/v1")
    at = revision(space.api.post(path, {"metadata": {"name": "a"}}).ok(201))
    for name in "bc":
        space.api.post(path, {"metadata": {"name": name}}).ok(201)
    space.api.forget_history()
    with space.api.watch(path, resourceVersion=at) as watch:
        # All is well until the first event.
        assert watch.status == 200
        event = watch.next()
        assert event is not None
        assert event["type"] == "ERROR"
        status = event["object"]
        assert (status["kind"], status["code"], status["reason"]) == ("Status", 410, "Expired")
        assert status["message"].startswith(differences.TOO_OLD.by(space.api).format(at))
        assert watch.next() is None
    # The way out: list anew, and watch from there.
    listed = revision(space.api.get(path).ok())
    with space.api.watch(path, resourceVersion=listed) as watch:
        space.api.post(path, {"metadata": {"name": "d"}}).ok(201)
        assert watch.names(1) == [("ADDED", "d")]


def test_from_the_future_is_silence(space: spaces.Space) -> None:
    space.create("a", "secrets")
    with space.api.watch(space.path("secrets"), resourceVersion=FUTURE, timeoutSeconds=1) as watch:
        assert watch.status == 200
        space.create("b", "secrets")
        assert watch.next() is None


def test_a_time_limit(space: spaces.Space) -> None:
    at = revision(space.create("a", "secrets"))
    with space.api.watch(space.path("secrets"), resourceVersion=at, timeoutSeconds=1) as watch:
        assert watch.next() is None


def test_a_bookmark_before_the_end(space: spaces.Space) -> None:
    at = revision(space.create("a", "secrets"))
    # kube-apiserver sends one two seconds before the end.
    query = {"resourceVersion": at, "timeoutSeconds": 4, "allowWatchBookmarks": "true"}
    with space.api.watch(space.path("secrets"), **query) as watch:
        last = space.create("b", "secrets")
        events = list(watch)
    assert [event["type"] for event in events[:1]] == ["ADDED"]
    bookmarks = [event["object"] for event in events if event["type"] == "BOOKMARK"]
    assert bookmarks
    for mark in bookmarks:
        assert (mark["kind"], mark["apiVersion"]) == ("Secret", "v1")
        assert set(mark["metadata"]) == {"resourceVersion", "creationTimestamp"}
        assert mark["metadata"]["creationTimestamp"] is None
    assert int(revision(bookmarks[-1])) >= int(revision(last))


def test_without_asking_no_bookmark(space: spaces.Space) -> None:
    at = revision(space.create("a", "secrets"))
    with space.api.watch(space.path("secrets"), resourceVersion=at, timeoutSeconds=3) as watch:
        assert list(watch) == []


@pytest.mark.parametrize("value", ["abc", "-1", "1.5"])
def test_revisions_that_are_none(space: spaces.Space, value: str) -> None:
    reply = space.api.get(space.path("secrets"), watch="1", resourceVersion=value, timeoutSeconds=1)
    reply.fails(*differences.WATCH_FROM_NONSENSE.by(space.api))


def test_selectors_that_make_no_sense(space: spaces.Space) -> None:
    for query in ({"labelSelector": "a b"}, {"fieldSelector": "data.k=1"}):
        space.api.get(space.path("secrets"), watch="1", timeoutSeconds=1, **query).fails(400, "BadRequest")


def test_matches_are_not_for_watches(space: spaces.Space) -> None:
    reply = space.api.get(space.path("secrets"), watch="1", resourceVersionMatch="Exact", resourceVersion="1")
    reply.fails(422, "Invalid")
    assert ("FieldValueForbidden", "resourceVersionMatch") in reply.causes()


@pytest.mark.parametrize("value", ["1", "true", "True", "t", ""])
def test_ways_to_say_yes(space: spaces.Space, value: str) -> None:
    space.create("a", "secrets")
    reply = space.api.get(space.path("secrets"), watch=value, timeoutSeconds=1)
    assert reply.body.startswith(b'{"type":"ADDED"')


def test_one_object_alone(space: spaces.Space) -> None:
    space.create("a", "secrets")
    at = revision(space.create("b", "secrets"))
    query = {"resourceVersion": at, "fieldSelector": "metadata.name=a"}
    with space.api.watch(space.path("secrets"), **query) as watch:
        patch(space, "b", stringData={"k": "1"})
        patch(space, "a", stringData={"k": "1"})
        assert watch.names(1) == [("MODIFIED", "a")]


def test_many_watchers_hear_the_same(space: spaces.Space) -> None:
    at = revision(space.create("a", "secrets"))
    with (
        space.api.watch(space.path("secrets"), resourceVersion=at) as one,
        space.api.watch(space.path("secrets"), resourceVersion=at) as two,
    ):
        patch(space, "a", stringData={"k": "1"})
        assert one.next() == two.next()
