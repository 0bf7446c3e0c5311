"""Lists in chunks: one consistent state over all of them."""

import base64
import json
from typing import Any

from tests.conformance.api import differences, spaces


def chunk(space: spaces.Space, token: str = "", **query: object) -> dict[str, Any]:
    more = {"continue": token} if token else {}
    found: dict[str, Any] = space.api.get(space.path("secrets"), **more, **query).ok()
    return found


def names(document: dict[str, Any]) -> list[str]:
    return [item["metadata"]["name"] for item in document["items"]]


def fill(space: spaces.Space, count: int = 5) -> None:
    for number in range(count):
        space.create(f"s{number}", "secrets", metadata={"labels": {"odd": str(number % 2)}})


def test_chunks_and_what_remains(space: spaces.Space) -> None:
    fill(space)
    first = chunk(space, limit=2)
    assert names(first) == ["s0", "s1"]
    assert first["metadata"]["remainingItemCount"] == 3
    second = chunk(space, first["metadata"]["continue"], limit=2)
    assert names(second) == ["s2", "s3"]
    assert second["metadata"]["remainingItemCount"] == 1
    third = chunk(space, second["metadata"]["continue"], limit=2)
    assert names(third) == ["s4"]
    assert set(third["metadata"]) == {"resourceVersion"}
    assert len({document["metadata"]["resourceVersion"] for document in (first, second, third)}) == 1


def test_a_limit_that_is_not_reached(space: spaces.Space) -> None:
    fill(space, 2)
    for limit in (2, 3, 10**6):
        found = chunk(space, limit=limit)
        assert names(found) == ["s0", "s1"]
        assert set(found["metadata"]) == {"resourceVersion"}


def test_the_limit_may_change_on_the_way(space: spaces.Space) -> None:
    fill(space)
    first = chunk(space, limit=1)
    assert names(chunk(space, first["metadata"]["continue"], limit=3)) == ["s1", "s2", "s3"]
    assert names(chunk(space, first["metadata"]["continue"])) == ["s1", "s2", "s3", "s4"]


def test_changes_meanwhile_are_not_seen(space: spaces.Space) -> None:
    fill(space)
    first = chunk(space, limit=2)
    space.api.delete(space.path("secrets", "s3")).ok()
    space.api.patch(space.path("secrets", "s4"), {"stringData": {"k": "new"}}).ok()
    space.create("s2-new", "secrets")
    rest = chunk(space, first["metadata"]["continue"])
    assert names(rest) == ["s2", "s3", "s4"]
    assert "data" not in rest["items"][2]
    assert rest["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert names(chunk(space)) == ["s0", "s1", "s2", "s2-new", "s4"]


def test_with_a_selector(space: spaces.Space) -> None:
    fill(space, 8)
    first = chunk(space, limit=3, labelSelector="odd=1")
    assert names(first) == ["s1", "s3", "s5"]
    # How many of the rest match is not known before they are looked at.
    assert "remainingItemCount" not in first["metadata"]
    rest = chunk(space, first["metadata"]["continue"], labelSelector="odd=1")
    assert names(rest) == ["s7"]


def test_a_watch_goes_on_where_a_list_ends(space: spaces.Space) -> None:
    fill(space, 3)
    first = chunk(space, limit=1)
    space.create("s3", "secrets")
    rest = chunk(space, first["metadata"]["continue"])
    assert names(rest) == ["s1", "s2"]
    with space.api.watch(space.path("secrets"), resourceVersion=rest["metadata"]["resourceVersion"]) as watch:
        assert watch.names(1) == [("ADDED", "s3")]


def test_an_expired_token_carries_a_fresh_one(space: spaces.Space) -> None:
    fill(space)
    first = chunk(space, limit=2)
    space.api.delete(space.path("secrets", "s3")).ok()
    space.create("s5", "secrets")
    space.api.forget_history()
    reply = space.api.get(space.path("secrets"), **{"continue": first["metadata"]["continue"], "limit": 2})
    reply.fails(410, "Expired")
    assert reply.message.startswith("The provided continue parameter is too old to display a consistent list result.")
    token = reply.json["metadata"]["continue"]
    assert token
    # It goes on at the same place, in the present state.
    second = chunk(space, token, limit=2)
    assert names(second) == ["s2", "s4"]
    third = chunk(space, second["metadata"]["continue"], limit=2)
    assert names(third) == ["s5"]
    assert third["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]


def test_tokens_that_are_none(space: spaces.Space) -> None:
    fill(space, 1)
    odd = base64.urlsafe_b64encode(json.dumps({"v": "odd", "rv": 1, "start": "x"}).encode()).decode()
    for token in ("x", "%%%", odd, "e30"):
        space.api.get(space.path("secrets"), **{"continue": token}).fails(400, "BadRequest")


def test_a_token_and_a_revision(space: spaces.Space) -> None:
    fill(space, 3)
    token = chunk(space, limit=1)["metadata"]["continue"]
    reply = space.api.get(space.path("secrets"), **{"continue": token, "resourceVersion": "5"})
    reply.fails(400, "BadRequest")
    assert "specifying resource version is not allowed when using continue" in reply.message


def test_a_token_does_not_leave_its_namespace(space: spaces.Space) -> None:
    fill(space, 3)
    other = spaces.make(space.api, f"a-{space.name}")
    other.create("z", "secrets")
    other_token = other.api.get(other.path("secrets"), limit=1).ok()["metadata"].get("continue", "")
    assert not other_token
    token = chunk(space, limit=1)["metadata"]["continue"]
    found = other.api.get(other.path("secrets"), **{"continue": token})
    assert found.status in (200, 400)
    if found.status == 200:
        assert {item["metadata"]["namespace"] for item in found.json["items"]} <= {other.name}


def test_from_memory(space: spaces.Space) -> None:
    fill(space, 3)
    found = names(chunk(space, limit=1, resourceVersion=0))
    if differences.LIMIT_FROM_MEMORY.by(space.api):
        assert found == ["s0"]
    else:
        # Whatever the cache holds by now, and in any order.
        assert set(found) <= {"s0", "s1", "s2"}
