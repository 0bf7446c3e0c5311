"""The life of a Namespace: made, used, on its way out, gone."""

import secrets

from tests.conformance.api import differences, spaces, wire


def name() -> str:
    return f"t-{secrets.token_hex(5)}"


def test_a_new_one(api: wire.Api) -> None:
    given = name()
    made = api.post("/api/v1/namespaces", {"metadata": {"name": given}}).ok(201)
    assert made["spec"]["finalizers"] == ["kubernetes"]
    assert made["status"]["phase"] == "Active"
    label = made["metadata"].get("labels", {}).get("kubernetes.io/metadata.name")
    assert label == (given if differences.NAMESPACE_LABEL.by(api) else None)
    api.post("/api/v1/namespaces", {"metadata": {"name": given}}).fails(409, "AlreadyExists")


def test_on_its_way_out(space: spaces.Space) -> None:
    api, path = space.api, f"/api/v1/namespaces/{space.name}"
    space.create("a")
    marked = api.delete(path).ok()
    assert marked["status"]["phase"] == "Terminating"
    assert "deletionTimestamp" in marked["metadata"]
    assert marked["spec"]["finalizers"] == ["kubernetes"]
    # What is there can be read, changed and deleted; nothing comes new.
    assert space.is_there("a")
    api.patch(space.path(name="a"), {"data": {"k": "1"}}).ok()
    reply = api.post(space.path(), {"metadata": {"name": "b"}})
    details = reply.fails(403, "Forbidden")
    assert "because it is being terminated" in reply.message
    assert details["causes"][0]["reason"] == "NamespaceTerminating"
    again = api.delete(path).ok()
    assert again["metadata"]["deletionTimestamp"] == marked["metadata"]["deletionTimestamp"]


def test_gone_with_the_last_finalizer(space: spaces.Space) -> None:
    api, path = space.api, f"/api/v1/namespaces/{space.name}"
    marked = api.delete(path).ok()
    marked["spec"]["finalizers"] = []
    api.put(f"{path}/finalize", marked).ok()
    api.get(path).fails(404, "NotFound", f'namespaces "{space.name}" not found')


def test_finalizers_change_by_their_own_door_only(space: spaces.Space) -> None:
    api, path = space.api, f"/api/v1/namespaces/{space.name}"
    changed = api.patch(path, {"spec": {"finalizers": []}, "metadata": {"labels": {"x": "y"}}}).ok()
    assert changed["spec"]["finalizers"] == ["kubernetes"]
    assert changed["metadata"]["labels"]["x"] == "y"


def test_some_stay(api: wire.Api) -> None:
    for one in ("default", "kube-system"):
        api.delete(f"/api/v1/namespaces/{one}").fails(403, "Forbidden")
    found = api.get("/api/v1/namespaces/default").ok()
    assert "deletionTimestamp" not in found["metadata"]
