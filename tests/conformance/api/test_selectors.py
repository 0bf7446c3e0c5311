"""Label and field selectors."""

import pytest
from tests.conformance.api import spaces

LABELS = {"a": {"x": "1"}, "b": {"x": "2", "y": ""}, "c": {"y": "3", "example.com/z": "Z"}, "d": {}}


@pytest.fixture
def filled(space: spaces.Space) -> spaces.Space:
    for name, labels in LABELS.items():
        space.create(name, "secrets", metadata={"labels": labels})
    return space


def selected(space: spaces.Space, plural: str = "secrets", **query: str) -> str:
    return "".join(item["metadata"]["name"] for item in space.api.get(space.path(plural), **query).ok()["items"])


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("", "abcd"),
        ("x", "ab"),
        ("!x", "cd"),
        ("x=1", "a"),
        ("x==1", "a"),
        ("x!=1", "bcd"),
        ("x in (1,2)", "ab"),
        ("x in (1)", "a"),
        ("x notin (1)", "bcd"),
        ("x notin (1,2)", "cd"),
        ("x,y", "b"),
        ("x,!y", "a"),
        ("y=", "b"),
        ("y in ()", "b"),
        ("y in (,3)", "bc"),
        ("example.com/z=Z", "c"),
        ("x > 1", "b"),
        ("x<2", "a"),
        (" x = 1 , !y ", "a"),
        ("x=9", ""),
        ("y notin ()", "acd"),
        ("x,x=1", "a"),
        ("x=1,x=2", ""),
    ],
)
def test_labels(filled: spaces.Space, selector: str, names: str) -> None:
    assert selected(filled, labelSelector=selector) == names


@pytest.mark.parametrize(
    "selector",
    [
        "=",
        "a==b==c",
        "x in",
        "x in (",
        "x in (a",
        "x in a",
        ",a",
        "a,,b",
        "a b",
        "x>y",
        "a=b c",
        "-a",
        "a=-b",
        "!",
        "a/b/c",
    ],
)
def test_labels_that_make_no_sense(filled: spaces.Space, selector: str) -> None:
    filled.api.get(filled.path("secrets"), labelSelector=selector).fails(400, "BadRequest")


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("metadata.name=a", "a"),
        ("metadata.name==a", "a"),
        ("metadata.name!=a", "bcd"),
        ("metadata.name=a,metadata.name=b", ""),
        ("metadata.name!=a,metadata.name!=b", "cd"),
        ("metadata.name=none", ""),
        ("type=Opaque", "abcd"),
        ("type!=Opaque", ""),
        ("", "abcd"),
    ],
)
def test_fields(filled: spaces.Space, selector: str, names: str) -> None:
    assert selected(filled, fieldSelector=selector) == names
    assert selected(filled, fieldSelector=f"metadata.namespace={filled.name}") == "abcd"
    assert selected(filled, fieldSelector="metadata.namespace=other") == ""


@pytest.mark.parametrize("selector", ["x", "data.k=1", "metadata.labels.x=1", "metadata.name>a", "metadata.uid=1"])
def test_fields_that_make_no_sense(filled: spaces.Space, selector: str) -> None:
    filled.api.get(filled.path("secrets"), fieldSelector=selector).fails(400, "BadRequest")


def test_a_bad_escape(filled: spaces.Space) -> None:
    filled.api.get(filled.path("secrets"), fieldSelector="metadata.name=\\x").fails(400, "BadRequest")
    assert selected(filled, fieldSelector="metadata.name=\\,\\=\\\\") == ""


def test_both(filled: spaces.Space) -> None:
    assert selected(filled, labelSelector="x", fieldSelector="metadata.name!=a") == "b"


def test_fields_of_pods(space: spaces.Space) -> None:
    for name in "pqr":
        space.pod(name)
    binding = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}}
    space.api.post(space.path("pods", "p", "binding"), binding).ok(201)
    space.api.patch(space.path("pods", "q", "status"), {"status": {"phase": "Running", "podIP": "10.0.0.9"}}).ok()
    for selector, names in (
        ("spec.nodeName=n1", "p"),
        ("spec.nodeName=", "qr"),
        ("spec.nodeName!=n1", "qr"),
        ("status.phase=Running", "q"),
        ("status.phase!=Running", "pr"),
        ("status.podIP=10.0.0.9", "q"),
        ("spec.restartPolicy=Always", "pqr"),
        ("spec.schedulerName=default-scheduler", "pqr"),
        ("spec.nodeName=n1,status.phase=Pending", "p"),
    ):
        assert selected(space, "pods", fieldSelector=selector) == names, selector


def test_fields_of_nodes_events_and_namespaces(space: spaces.Space) -> None:
    api = space.api
    api.post("/api/v1/nodes", {"metadata": {"name": space.name}, "spec": {"unschedulable": True}}).ok(201)
    found = api.get("/api/v1/nodes", fieldSelector=f"spec.unschedulable=true,metadata.name={space.name}").ok()["items"]
    assert len(found) == 1
    found = api.get("/api/v1/nodes", fieldSelector=f"spec.unschedulable=false,metadata.name={space.name}").ok()["items"]
    assert found == []
    api.delete(f"/api/v1/nodes/{space.name}").ok()
    found = api.get("/api/v1/namespaces", fieldSelector=f"status.phase=Active,metadata.name={space.name}").ok()["items"]
    assert len(found) == 1
    for name, kind in (("a", "Pod"), ("b", "Node")):
        involved = {"kind": kind, "name": "x", "namespace": space.name}
        space.create(name, "events", involvedObject=involved, reason="R", type="Normal")
    assert selected(space, "events", fieldSelector="involvedObject.kind=Pod,involvedObject.name=x") == "a"
    assert selected(space, "events", fieldSelector="reason=R,type=Normal") == "ab"
    assert selected(space, "events", fieldSelector="type!=Normal") == ""
