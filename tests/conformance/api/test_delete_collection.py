"""Delete a collection: all that match, each as if it were deleted alone."""

from tests.conformance.api import spaces


def names(document: dict[str, list[dict[str, dict[str, str]]]]) -> list[str]:
    return [item["metadata"]["name"] for item in document["items"]]


def test_everything(space: spaces.Space) -> None:
    for name in "cab":
        space.create(name, "secrets")
    gone = space.api.delete(space.path("secrets")).ok()
    assert (gone["kind"], gone["apiVersion"]) == ("SecretList", "v1")
    assert names(gone) == ["a", "b", "c"]
    assert names(space.api.get(space.path("secrets")).ok()) == []
    assert names(space.api.delete(space.path("secrets")).ok()) == []


def test_what_is_selected(space: spaces.Space) -> None:
    for name, label in (("a", "x"), ("b", "x"), ("c", "y")):
        space.create(name, "secrets", metadata={"labels": {"l": label}})
    assert names(space.api.delete(space.path("secrets"), labelSelector="l=x").ok()) == ["a", "b"]
    assert names(space.api.delete(space.path("secrets"), fieldSelector="metadata.name=z").ok()) == []
    assert names(space.api.delete(space.path("secrets"), fieldSelector="metadata.name=c").ok()) == ["c"]


def test_only_this_namespace(space: spaces.Space) -> None:
    other = spaces.make(space.api, f"{space.name}-2")
    space.create("a", "secrets")
    other.create("a", "secrets")
    space.api.delete(space.path("secrets")).ok()
    assert other.is_there("a", "secrets")


def test_finalizers_hold(space: spaces.Space) -> None:
    space.create("a", "secrets", metadata={"finalizers": ["x.io/a"]})
    space.create("b", "secrets")
    space.api.delete(space.path("secrets")).ok()
    left = space.api.get(space.path("secrets")).ok()["items"]
    assert [item["metadata"]["name"] for item in left] == ["a"]
    assert "deletionTimestamp" in left[0]["metadata"]
    space.api.patch(space.path("secrets", "a"), {"metadata": {"finalizers": None}}).ok()


def test_options_hold_for_each(space: spaces.Space) -> None:
    space.create("a", "secrets")
    space.api.delete(space.path("secrets"), {"propagationPolicy": "Foreground"}).ok()
    assert space.read("a", "secrets")["metadata"]["finalizers"] == ["foregroundDeletion"]
    space.api.patch(space.path("secrets", "a"), {"metadata": {"finalizers": None}}).ok()


def test_wrong_selectors(space: spaces.Space) -> None:
    space.create("a", "secrets")
    space.api.delete(space.path("secrets"), labelSelector="a==b==c").fails(400, "BadRequest")
    space.api.delete(space.path("secrets"), fieldSelector="data.x=1").fails(400, "BadRequest")
    assert space.is_there("a", "secrets")


def test_not_across_namespaces(space: spaces.Space) -> None:
    space.api.delete("/api/v1/secrets").fails(405, "MethodNotAllowed")
