"""Streamed lists: a watch that begins with the state and says where it ends (sendInitialEvents)."""

import pytest
from tests.conformance.api import differences, spaces

STREAMED = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}


@pytest.fixture(autouse=True)
def _known(space: spaces.Space) -> None:
    if not differences.INITIAL_EVENTS.by(space.api):
        pytest.skip(differences.INITIAL_EVENTS.because)


def test_the_state_and_its_end(space: spaces.Space) -> None:
    for name in "ab":
        space.create(name, "secrets")
    with space.api.watch(space.path("secrets"), **STREAMED) as watch:
        assert watch.names(2) == [("ADDED", "a"), ("ADDED", "b")]
        mark = watch.next()
        assert mark is not None
        assert mark["type"] == "BOOKMARK"
        metadata = mark["object"]["metadata"]
        assert metadata["annotations"] == {"k8s.io/initial-events-end": "true"}
        made = space.create("c", "secrets")
        assert int(made["metadata"]["resourceVersion"]) > int(metadata["resourceVersion"])
        assert watch.names(1) == [("ADDED", "c")]


def test_from_a_revision(space: spaces.Space) -> None:
    revision = space.create("a", "secrets")["metadata"]["resourceVersion"]
    for given in (revision, "0"):
        with space.api.watch(space.path("secrets"), **STREAMED, resourceVersion=given) as watch:
            assert watch.names(1) == [("ADDED", "a")]
            mark = watch.next()
            assert mark is not None
            assert int(mark["object"]["metadata"]["resourceVersion"]) >= int(revision)


def test_none_are_wanted(space: spaces.Space) -> None:
    space.create("a", "secrets")
    query = {**STREAMED, "sendInitialEvents": "false"}
    with space.api.watch(space.path("secrets"), **query) as watch:
        space.create("b", "secrets")
        assert watch.names(1) == [("ADDED", "b")]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"sendInitialEvents": "true"}, "resourceVersionMatch"),
        ({"sendInitialEvents": "true", "resourceVersionMatch": "Exact"}, "resourceVersionMatch"),
        ({"sendInitialEvents": "false"}, "resourceVersionMatch"),
        ({"resourceVersionMatch": "NotOlderThan"}, "resourceVersionMatch"),
    ],
    ids=str,
)
def test_what_does_not_go_together(space: spaces.Space, query: dict[str, str], field: str) -> None:
    reply = space.api.get(space.path("secrets"), watch="1", allowWatchBookmarks="true", **query)
    reply.fails(422, "Invalid")
    assert field in [where for _, where in reply.causes()]


def test_not_for_lists(space: spaces.Space) -> None:
    reply = space.api.get(space.path("secrets"), sendInitialEvents="true")
    reply.fails(422, "Invalid")
    assert ("FieldValueForbidden", "sendInitialEvents") in reply.causes()
