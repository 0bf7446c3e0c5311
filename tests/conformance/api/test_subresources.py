"""Parts of objects: status, binding, eviction, finalize, scale where there is one."""

from tests.conformance.api import differences, spaces


def bind(space: spaces.Space, name: str, node: str = "n", **metadata: str) -> int:
    body = {"metadata": {"name": name, **metadata}, "target": {"kind": "Node", "name": node}}
    return space.api.post(space.path("pods", name, "binding"), body).status


def test_status_and_the_rest_have_their_own_doors(space: spaces.Space) -> None:
    pod = space.pod("p")
    path = space.path("pods", "p")
    pod["status"] = {**pod["status"], "phase": "Running", "message": "by the wrong door"}
    through_the_front = space.api.put(path, pod).ok()
    assert through_the_front["status"]["phase"] == "Pending"
    pod = space.read("p", "pods")
    pod["status"] = {"phase": "Running", "podIP": "10.0.0.1"}
    pod["spec"]["activeDeadlineSeconds"] = 5
    changed = space.api.put(f"{path}/status", pod).ok()
    assert changed["status"]["phase"] == "Running"
    assert "activeDeadlineSeconds" not in changed["spec"]
    assert space.api.get(f"{path}/status").ok() == space.read("p", "pods")
    patched = space.api.patch(f"{path}/status", {"status": {"message": "well"}, "spec": {"nodeName": "x"}}).ok()
    assert (patched["status"]["message"], patched["status"]["phase"]) == ("well", "Running")
    assert "nodeName" not in patched["spec"]


def test_a_stale_status_is_a_conflict(space: spaces.Space) -> None:
    pod = space.pod("p")
    space.api.patch(space.path("pods", "p"), {"metadata": {"labels": {"x": "y"}}}).ok()
    pod["status"] = {"phase": "Running"}
    space.api.put(space.path("pods", "p", "status"), pod).fails(409, "Conflict")


def test_status_of_nothing(space: spaces.Space) -> None:
    for reply in (
        space.api.get(space.path("pods", "none", "status")),
        space.api.patch(space.path("pods", "none", "status"), {}),
        space.api.put(space.path("pods", "none", "status"), {"metadata": {"name": "none"}}),
    ):
        assert reply.status in (404, 422), reply.body


def test_a_pod_begins_pending(space: spaces.Space) -> None:
    body = {
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "x:1"}], "automountServiceAccountToken": False},
        "status": {"phase": "Running"},
    }
    assert space.api.post(space.path("pods"), body).ok(201)["status"]["phase"] == "Pending"


def test_binding(space: spaces.Space) -> None:
    uid = space.pod("p")["metadata"]["uid"]
    reply = space.api.post(
        space.path("pods", "p", "binding"),
        {
            "metadata": {"name": "p", "uid": uid, "annotations": {"x.io/a": "b"}},
            "target": {"apiVersion": "v1", "kind": "Node", "name": "n"},
        },
    )
    status = reply.ok(201)
    assert (status["kind"], status["status"]) == ("Status", "Success")
    pod = space.read("p", "pods")
    assert pod["spec"]["nodeName"] == "n"
    assert pod["metadata"]["annotations"]["x.io/a"] == "b"
    assert ("PodScheduled", "True") in [(each["type"], each["status"]) for each in pod["status"]["conditions"]]
    # Once and for all.
    again = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "m"}}
    reply = space.api.post(space.path("pods", "p", "binding"), again)
    reply.fails(409, "Conflict")
    assert 'pod p is already assigned to node "n"' in reply.message


def test_bindings_that_are_refused(space: spaces.Space) -> None:
    space.pod("p")
    assert bind(space, "none") == 404
    reply = space.api.post(space.path("pods", "p", "binding"), {"metadata": {"name": "p"}, "target": {}})
    assert reply.status in differences.BINDING_WITHOUT_NODE.by(space.api)
    space.api.delete(space.path("pods", "p")).ok()
    assert bind(space, "p") == 404


def test_eviction(space: spaces.Space) -> None:
    version = differences.EVICTION.by(space.api)
    space.pod("p")
    body = {"apiVersion": version, "kind": "Eviction", "metadata": {"name": "p"}}
    status = space.api.post(space.path("pods", "p", "eviction"), body).ok(201)
    assert (status["kind"], status["status"]) == ("Status", "Success")
    assert not space.is_there("p", "pods")
    space.api.post(space.path("pods", "p", "eviction"), body).fails(404, "NotFound")


def test_logs_of_a_pod_on_no_node(space: spaces.Space) -> None:
    space.pod("p")
    reply = space.api.get(space.path("pods", "p", "log"))
    assert (reply.status, reply.body) == (204, b"")
    assert space.api.get(space.path("pods", "none", "log")).status == 404
    reply = space.api.get(space.path("pods", "p", "log"), container="other")
    reply.fails(400, "BadRequest")


def test_parts_that_are_not_there(space: spaces.Space) -> None:
    space.create("a")
    for part in ("status", "scale", "binding", "odd"):
        assert space.api.get(space.path("configmaps", "a", part)).status == 404
