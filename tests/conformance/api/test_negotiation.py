"""Media types, compression and pretty printing."""

import gzip

import pytest
from tests.conformance.api import spaces, wire


@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "application/json", "application/json, */*", "application/json;q=0.9", "text/html, application/json"],
)
def test_json_is_there_for_all(space: spaces.Space, accept: str) -> None:
    made = space.create("a")
    reply = space.api.get(space.path(name="a"), headers={"accept": accept})
    assert reply.ok() == made
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-cache, private"
    assert reply.headers["date"]


@pytest.mark.parametrize("accept", ["text/html", "application/*", "image/png", "application/xml;q=0.9", "odd"])
def test_what_cannot_be_made(space: spaces.Space, accept: str) -> None:
    space.create("a")
    for path in (space.path(name="a"), space.path()):
        space.api.get(path, headers={"accept": accept}).fails(406, "NotAcceptable")
    reply = space.api.post(space.path(), {"metadata": {"name": "b"}}, headers={"accept": accept})
    assert reply.fails(406, "NotAcceptable", "406: Not Acceptable") == {}
    assert not space.is_there("b")


def test_protobuf_first_then_json(space: spaces.Space) -> None:
    """Clients that prefer protobuf name JSON behind it, and take either."""
    space.create("a")
    reply = space.api.get(
        space.path(name="a"), headers={"accept": "application/vnd.kubernetes.protobuf,application/json"}
    )
    assert reply.status == 200
    assert reply.headers["content-type"] in ("application/json", "application/vnd.kubernetes.protobuf")


@pytest.mark.parametrize("media", ["text/plain", "application/xml", "application/x-www-form-urlencoded", "odd/odd"])
def test_bodies_of_unknown_types(space: spaces.Space, media: str) -> None:
    space.create("a")
    body = {"metadata": {"name": "b"}}
    for reply in (
        space.api.post(space.path(), body, headers={"content-type": media}),
        space.api.put(space.path(name="a"), {"metadata": {"name": "a"}}, headers={"content-type": media}),
    ):
        reply.fails(415, "UnsupportedMediaType")
        assert reply.message.startswith(
            "the body of the request was in an unknown format - accepted media types include: application/json"
        )
    assert not space.is_there("b")


@pytest.mark.parametrize("media", ["application/json", "application/json; charset=utf-8", ""])
def test_bodies_of_known_types(space: spaces.Space, media: str) -> None:
    space.api.post(space.path(), {"metadata": {"name": "a"}}, headers={"content-type": media}).ok(201)


def test_pretty(space: spaces.Space) -> None:
    space.create("a")
    path = space.path(name="a")
    plain = space.api.get(path)
    assert plain.body.count(b"\n") <= 1
    for query in ({"pretty": "true"}, {"pretty": "1"}):
        pretty = space.api.get(path, **query)
        assert pretty.body.startswith(b'{\n  "kind": "ConfigMap",\n')
        assert pretty.json == plain.json
    assert space.api.get(path, headers={"user-agent": "curl/7.88"}).body.startswith(b"{\n")
    assert space.api.get(path, headers={"user-agent": "curl/7.88"}, pretty="false").body.count(b"\n") <= 1
    missing = space.api.get(space.path(name="none"), pretty="true")
    assert missing.body.startswith(b"{\n")
    missing.fails(404, "NotFound")


def test_small_answers_are_not_compressed(space: spaces.Space) -> None:
    space.create("a", data={"k": "x" * 1000})
    reply = space.api.get(space.path(), headers={"accept-encoding": "gzip"})
    assert reply.headers["content-encoding"] is None
    assert reply.ok()["kind"] == "ConfigMapList"


def test_large_answers_are_compressed_for_who_wants_it(space: spaces.Space) -> None:
    made = space.create("a", data={"k": "x" * 200_000})
    for path in (space.path(name="a"), space.path()):
        reply = space.api.get(path, headers={"accept-encoding": "gzip"})
        assert reply.headers["content-encoding"] == "gzip"
        assert reply.headers["content-type"] == "application/json"
        assert "accept-encoding" in (reply.headers["vary"] or "").lower()
        assert len(reply.body) < 20_000
        found = wire.json.loads(gzip.decompress(reply.body))
        assert (found if "items" not in found else found["items"][-1])["data"] == made["data"]
        plain = space.api.get(path)
        assert plain.headers["content-encoding"] is None
        assert plain.json == found
        refused = space.api.get(path, headers={"accept-encoding": "deflate, br"})
        assert refused.headers["content-encoding"] is None


def test_a_watch_is_not_compressed(space: spaces.Space) -> None:
    space.create("a", data={"k": "x" * 200_000})
    query = {"fieldSelector": "metadata.name=a"}
    with space.api.watch(space.path(), headers={"accept-encoding": "gzip"}, **query) as watch:
        assert watch.headers["content-encoding"] is None
        assert watch.names(1) == [("ADDED", "a")]


def test_nothing_is_said_to_browsers_of_other_sites(space: spaces.Space) -> None:
    reply = space.api.get(space.path(), headers={"origin": "https://example.com"})
    assert reply.status == 200
    assert not [name for name in reply.headers if name.lower().startswith("access-control-")]


def test_large_bodies_are_refused(space: spaces.Space) -> None:
    body = {"metadata": {"name": "a"}, "data": {"k": "x" * (4 * 2**20)}}
    reply = space.api.post(space.path(), body)
    reply.fails(413, "RequestEntityTooLarge")
    assert not space.is_there("a")
