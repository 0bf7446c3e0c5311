"""Paths, methods and documents that are no objects: health, versions, what is not there."""

import pytest
from tests.conformance.api import differences, spaces, wire


@pytest.mark.parametrize(
    "path",
    [
        "/nope",
        "/api/v2",
        "/apis/nope.io",
        "/apis/apps/v9",
        "/apis/nope.io/v1/things",
        "/api/v1/nopes",
        "/api/v1/namespaces/default/nopes",
        "/api/v1/namespaces/default/nopes/a",
        "/api/v1/namespaces/default/configmaps/a/nope",
        "/api/v1/namespaces/default/configmaps/a/status",
        "/api/v1/namespaces/default/configmaps/a/b/c/d",
        "/apis/coordination.k8s.io/v1/namespaces/default/configmaps",
        "/livez/nope",
        "/readyz/nope",
    ],
)
def test_what_is_not_there(api: wire.Api, path: str) -> None:
    assert api.get(path).status == 404


def test_the_words_for_it(api: wire.Api) -> None:
    reply = api.get("/api/v1/namespaces/default/nopes")
    details = reply.fails(404, "NotFound", "the server could not find the requested resource")
    assert details == {}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/namespaces/default/configmaps/a"),
        ("PUT", "/api/v1/namespaces/default/configmaps"),
        ("PATCH", "/api/v1/namespaces/default/configmaps"),
        ("POST", "/api/v1/configmaps"),
        ("DELETE", "/api/v1/pods"),
        ("DELETE", "/api/v1/namespaces"),
        ("OPTIONS", "/api/v1/namespaces/default/configmaps"),
        ("HEAD", "/api/v1/namespaces/default/configmaps"),
        ("HEAD", "/api/v1/namespaces/default/configmaps/a"),
        ("TRACE", "/api/v1/configmaps"),
        ("POST", "/version"),
        ("POST", "/api/v1/namespaces/default/pods/a/status"),
        ("DELETE", "/api/v1/namespaces/default/pods/a/status"),
        ("GET", "/api/v1/namespaces/default/pods/a/binding"),
    ],
)
def test_methods_that_are_not_there(api: wire.Api, method: str, path: str) -> None:
    reply = api.request(method, path)
    assert reply.status == 405
    if method != "HEAD":
        details = reply.fails(
            405, "MethodNotAllowed", "the server does not allow this method on the requested resource"
        )
        assert details == {}


def test_slashes(space: spaces.Space) -> None:
    space.create("a")
    assert space.api.get(f"{space.path()}/").ok()["kind"] == "ConfigMapList"
    assert space.api.get(f"{space.path(name='a')}/").ok()["kind"] == "ConfigMap"
    assert space.api.get("/api/v1/").ok()["kind"] == "APIResourceList"
    assert space.api.get("/version/").status == 200
    assert space.api.get(space.path(name="a%2Fb")).status == 404


def test_names_in_paths_are_unescaped(space: spaces.Space) -> None:
    space.create("a.b-c")
    assert space.api.get(space.path(name="a%2Eb%2dc")).ok()["metadata"]["name"] == "a.b-c"
    space.api.get(space.path(name="%C3%A4")).fails(404, "NotFound", 'configmaps "ä" not found')


def test_the_index(api: wire.Api) -> None:
    paths = api.get("/").ok()["paths"]
    assert paths == sorted(paths)
    assert {"/api", "/api/v1", "/apis", "/healthz", "/livez", "/readyz", "/version"} <= set(paths)


def test_version(api: wire.Api) -> None:
    found = api.get("/version").ok()
    assert (found["major"], found["minor"]) == tuple(found["gitVersion"].lstrip("v").split(".")[:2])
    assert {"gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform"} <= set(found)


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz"])
def test_health(api: wire.Api, path: str) -> None:
    reply = api.get(path)
    assert (reply.status, reply.body) == (200, b"ok")
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    for query in ("?verbose", "?verbose=1", "?verbose=true"):
        verbose = api.get(f"{path}{query}")
        assert verbose.status == 200
        lines = verbose.body.decode().splitlines()
        assert "[+]ping ok" in lines
        assert lines[-1] == f"{path.removeprefix('/')} check passed"
    assert api.get(f"{path}/ping").body == b"ok"
    excluded = api.get(f"{path}?verbose&exclude=ping").body.decode()
    assert "[+]ping excluded: ok" in excluded


def test_nobody_is_let_in_without_a_token(api: wire.Api) -> None:
    for headers in ({"authorization": ""}, {"authorization": "Bearer wrong"}, {"authorization": "Basic YTpi"}):
        for path in ("/api/v1/namespaces", "/version", "/nope"):
            reply = api.get(path, headers=headers)
            assert reply.status == 401
            assert reply.json["message"] == "Unauthorized"
            reply.fails(401, "Unauthorized")


def test_the_namespace_part_may_be_empty_or_not(api: wire.Api) -> None:
    reply = api.get("/api/v1/namespaces//configmaps")
    assert reply.status == differences.EMPTY_NAMESPACE.by(api)
