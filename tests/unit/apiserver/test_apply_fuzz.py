"""Whatever an apply, a patch or a list of managers looks like: the server finds the client's fault, and not its own."""

import copy
import pathlib
import random
from typing import Any

import msgspec
import pytest

from boxfleet.testing import server

pytestmark = pytest.mark.anyio

Json = dict[str, Any]
ROOT = "/api/v1/namespaces/default"
CONTAINER = {"name": "c", "image": "x:1", "ports": [{"containerPort": 80}], "env": [{"name": "A", "value": "1"}]}
OBJECTS: dict[str, Json] = {
    f"{ROOT}/configmaps/a": {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "labels": {"x": "1"}, "finalizers": ["x.io/a"]},
        "data": {"k": "v"},
    },
    f"{ROOT}/pods/a": {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a", "ownerReferences": []},
        "spec": {"containers": [CONTAINER], "tolerations": [{"key": "a"}], "volumes": [{"name": "v", "emptyDir": {}}]},
        "status": {"conditions": [{"type": "A", "status": "True"}]},
    },
    "/apis/boxfleet.dev/v1/namespaces/default/units/a": {
        "apiVersion": "boxfleet.dev/v1",
        "kind": "Unit",
        "metadata": {"name": "a"},
        "spec": {
            "template": {"spec": {"containers": [CONTAINER]}},
            "files": [{"path": "/a", "content": "b"}],
            "dependsOn": [{"unit": "b"}],
        },
    },
}
ODD: list[Any] = [
    None, True, 0, -1, 2**63, 1.5, "", "a", "\x00", "é", "a" * 300, [], {}, [None], [[]], [{}], {"": None},
    {"a": {"b": []}},
    [{"name": "c"}, {"name": "c"}], {"$patch": "delete"}, [{"$patch": "replace"}], {"$retainKeys": [1]}, {"f:a": {}},
    [{"manager": "m", "operation": "Update", "apiVersion": "v1", "fieldsV1": {"f:data": {".": {}, "k:{}": {}}}}],
]  # fmt: skip
KEYS = [
    "metadata", "managedFields", "name", "labels", "finalizers", "ownerReferences", "data", "spec", "containers",
    "status",
    "$patch", "$retainKeys", "$setElementOrder/containers", "$deleteFromPrimitiveList/finalizers", "kind", "bogus", "",
]  # fmt: skip
FORMS = ("apply-patch+yaml", "merge-patch+json", "strategic-merge-patch+json", "json-patch+json", "")


def mutated(chance: random.Random, value: Any) -> Any:
    """A value with something odd in it."""
    if chance.random() < 0.15:
        return copy.deepcopy(chance.choice(ODD))
    if isinstance(value, dict):
        result = {key: mutated(chance, item) if chance.random() < 0.4 else item for key, item in value.items()}
        if chance.random() < 0.2:
            result[chance.choice(KEYS)] = copy.deepcopy(chance.choice(ODD))
        return result
    if isinstance(value, list):
        return [mutated(chance, item) if chance.random() < 0.5 else item for item in value] * chance.choice((1, 1, 2))
    return value


def steps(chance: random.Random) -> list[Json]:
    """A JSON patch."""
    paths = [
        "",
        "/metadata",
        "/metadata/managedFields",
        "/data/k",
        "/spec/containers/0",
        "/spec/containers/-1",
        "/a~1/~2",
    ]
    return [
        {
            "op": chance.choice(("add", "remove", "replace", "move", "copy", "test", "odd")),
            "path": chance.choice(paths),
            "from": chance.choice(paths),
            "value": copy.deepcopy(chance.choice(ODD)),
        }
        for _ in range(chance.randint(1, 3))
    ]


@pytest.mark.parametrize("seed", range(6))
async def test_nothing_is_the_servers_fault(tmp_path: pathlib.Path, seed: int) -> None:
    chance = random.Random(seed)
    async with server.running(tmp_path) as api:
        for _ in range(150):
            path, obj = chance.choice(list(OBJECTS.items()))
            if (await server.send(api.app, "GET", path)).status == 404:
                await server.send(api.app, "POST", path.removesuffix("/a"), obj)
            form = chance.choice(FORMS)
            body = steps(chance) if form.startswith("json-patch") else mutated(chance, obj)
            part = chance.choice(("", "", "/status"))
            reply = await server.send(
                api.app,
                "PATCH" if form else "PUT",
                f"{path}{part}?fieldManager={chance.choice('mn')}"
                + ("&force=true" if form.startswith("apply") else ""),
                msgspec.json.encode(body),
                headers={"content-type": f"application/{form}" if form else "application/json"},
            )
            assert reply.status < 500, (form, body, reply.body)
