"""Whatever a client sends, it is never the server that fails."""

import copy
import random
from typing import Any

import pytest

from boxfleet.testing import server

pytestmark = pytest.mark.anyio

TEMPLATE = {
    "metadata": {"labels": {"a": "b"}},
    "spec": {
        "containers": [
            {
                "name": "c",
                "image": "x:1",
                "ports": [{"containerPort": 80, "name": "web"}],
                "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
                "readinessProbe": {"httpGet": {"port": "web"}, "periodSeconds": 1},
                "volumeMounts": [{"name": "v", "mountPath": "/v"}],
            }
        ],
        "volumes": [{"name": "v", "configMap": {"name": "x", "items": [{"key": "k", "path": "p"}]}}],
        "nodeSelector": {"a": "b"},
        "tolerations": [{"key": "k", "operator": "Exists"}],
    },
}
UNIT = {
    "template": TEMPLATE,
    "replicas": 2,
    "dependsOn": [{"unit": "web", "condition": "Ready"}],
    "env": {"A": "{{ box.name }}"},
    "files": [{"path": "/a", "content": "{{ instance.name }}", "mode": "0644"}],
}
BODIES: dict[str, dict[str, Any]] = {
    "/api/v1/namespaces/default/pods": TEMPLATE,
    "/api/v1/namespaces/default/configmaps": {"data": {"a": "b"}, "binaryData": {"c": "ZA=="}, "immutable": False},
    "/api/v1/namespaces/default/secrets": {"data": {"a": "ZA=="}, "stringData": {"b": "c"}, "type": "Opaque"},
    "/api/v1/namespaces/default/persistentvolumeclaims": {
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    },
    "/api/v1/namespaces/default/events": {"involvedObject": {"kind": "Pod", "name": "a"}, "reason": "R", "count": 1},
    "/api/v1/namespaces/default/serviceaccounts": {"secrets": [{"name": "a"}]},
    "/api/v1/nodes": {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}, "status": {"capacity": {"cpu": "2"}}},
    "/api/v1/namespaces": {"spec": {"finalizers": ["kubernetes"]}},
    "/apis/coordination.k8s.io/v1/namespaces/default/leases": {
        "spec": {"holderIdentity": "a", "renewTime": "2026-01-01T00:00:00.000000Z"}
    },
    "/apis/boxfleet.dev/v1/namespaces/default/boxes": {"spec": {"units": {"db": UNIT, "web": {"template": TEMPLATE}}}},
    "/apis/boxfleet.dev/v1/namespaces/default/units": {"spec": UNIT},
    "/apis/boxfleet.dev/v1/addresspools": {"spec": {"cidr": "10.1.0.0/16", "exclude": ["10.1.0.9"]}},
    "/apis/boxfleet.dev/v1/addresses": {"spec": {"pool": "p", "namespace": "default", "instance": "a"}},
    "/apis/boxfleet.dev/v1/clusters": {"spec": {"type": "hosts"}},
}
META = {
    "name": "a",
    "labels": {"x": "y"},
    "annotations": {"x": "y"},
    "finalizers": ["example.com/x"],
    "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "b", "uid": "c"}],
}
ODD: list[Any] = [
    None, True, 0, -1, 1.5, 2**31, 2**63, 2**70, 1e300, "", "a", "\x00", "\U0001f600", "x" * 300, "1e99999999", "-",
    "10.0.0.0/99", "{{", "{{ a.b.c }}", "{% for x in y %}", [], [None], [1], ["a", "a"], [[]], [{}], {}, {"": ""},
    {"a": None}, {"a": {"b": {}}}, {"$patch": "bogus"}, {"$patch": "delete"}, {"$retainKeys": 5},
    {"$setElementOrder/containers": ["x"]},
]  # fmt: skip
QUERIES = [
    "", "dryRun=All", "dryRun=x", "fieldValidation=Strict", "fieldValidation=Ignore", "fieldManager=x", "pretty=1",
    "gracePeriodSeconds=-1", "gracePeriodSeconds=x", "propagationPolicy=Orphan", "propagationPolicy=x", "limit=1",
    "labelSelector=%00", "labelSelector=a+in+(b", "fieldSelector=metadata.name%3Da", "fieldSelector=%3D",
    "continue=AAAA",
    "resourceVersion=0", "resourceVersion=9999999999999999999999", "orphanDependents=maybe", "watch=perhaps", "%ff=%fe",
]  # fmt: skip
PATCHES = ["application/merge-patch+json", "application/strategic-merge-patch+json", "application/json-patch+json"]
PARTS = ["", "", "", "/status", "/scale", "/binding", "/eviction", "/ephemeralcontainers", "/finalize", "/nonsense"]


def spoiled(chance: random.Random, value: Any) -> Any:
    """A value with something in it changed to nonsense."""
    value = copy.deepcopy(value)
    place, steps = value, chance.randint(0, 8)
    for _ in range(steps):
        keys = list(place) if isinstance(place, dict) else list(range(len(place))) if isinstance(place, list) else []
        if not keys:
            break
        key = chance.choice(keys)
        if not isinstance(place[key], dict | list) or not place[key] or chance.random() < 0.25:
            place[key] = copy.deepcopy(chance.choice(ODD))
            return value
        place = place[key]
    if isinstance(place, dict):
        place[chance.choice(["bogus", "name", "spec", "metadata", "$patch", ""])] = copy.deepcopy(chance.choice(ODD))
    return value


def operations(chance: random.Random) -> Any:
    """A JSON patch that may or may not make sense."""
    paths = [
        "",
        "/",
        "/metadata",
        "/metadata/name",
        "/metadata/labels/x",
        "/spec",
        "/spec/containers/0",
        "/data/a",
        "/status",
        "x",
    ]
    made = [
        {
            "op": chance.choice(["add", "remove", "replace", "move", "copy", "test", "x"]),
            "path": chance.choice(paths),
            "from": chance.choice(paths),
            "value": chance.choice(ODD),
        }
        for _ in range(chance.randint(1, 3))
    ]
    return spoiled(chance, made) if chance.random() < 0.3 else made


@pytest.mark.parametrize("seed", range(4))
async def test_nonsense_is_never_a_failure_of_the_server(api: server.Api, seed: int) -> None:
    chance = random.Random(seed)
    seen: set[int] = set()
    for _ in range(400):
        path = chance.choice(list(BODIES))
        whole = {"metadata": META, **BODIES[path]}
        body: Any = spoiled(chance, whole) if chance.random() < 0.8 else whole
        method = chance.choice(["POST", "POST", "PUT", "PATCH", "PATCH", "DELETE", "GET"])
        headers = {}
        if method == "PATCH":
            headers["content-type"] = chance.choice(PATCHES)
            if headers["content-type"].startswith("application/json-patch"):
                body = operations(chance)
        name = "" if method == "POST" and chance.random() < 0.8 else "/a" + chance.choice(PARTS)
        query = chance.choice(QUERIES) if chance.random() < 0.4 else ""
        reply = await server.send(api.app, method, f"{path}{name}?{query}", body, headers=headers)
        seen.add(reply.status)
        # 504 is how Kubernetes answers a revision from the future.
        assert reply.status < 500 or reply.status == 504, (method, path, name, query, body, reply.body)
        assert reply.status < 400 or reply.json["kind"] == "Status"
    assert {200, 201, 404, 422} <= seen
    # Whatever was accepted can be listed, as objects and as a table.
    for path in BODIES:
        for accept in ("application/json", "application/json;as=Table;v=v1;g=meta.k8s.io"):
            assert (await server.send(api.app, "GET", path, headers={"accept": accept})).status == 200
