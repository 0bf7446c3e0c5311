"""Definitions and objects with anything in any place: refused or taken, never a mistake of the server."""

import asyncio
import copy
import random
from typing import Any

import pytest
from tests.unit.apiserver.custom import crontab

from boxfleet.testing import server

pytestmark = pytest.mark.anyio

_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 2**63, 1.5, "", "x", "\u0000", "a" * 300, [], [None], ["x"], [[]], {}, {"x": 1},
    {"type": "object"},
    {"type": ["string"]}, [{"rule": "self.x"}], [{"rule": 5}], {"$ref": "x"}, [{"name": "v1"}], ".spec.a[", "(",
)  # fmt: skip
_KEYS = (
    "type", "properties", "items", "additionalProperties", "default", "enum", "pattern", "required", "oneOf", "not",
    "nullable", "x-kubernetes-validations", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "minimum",
    "x-kubernetes-int-or-string", "x-kubernetes-embedded-resource", "x-kubernetes-preserve-unknown-fields",
    "subresources", "additionalPrinterColumns", "selectableFields", "conversion", "deprecated", "deprecationWarning",
    "metadata", "finalizers", "labels", "status", "spec", "format", "maxLength", "multipleOf",
)  # fmt: skip


def places(value: Any) -> list[Any]:
    """All containers in a value."""
    found = [value] if isinstance(value, dict | list) else []
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        found += places(inner)
    return found


def spoiled(value: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    """A copy with something else in one to three places."""
    made = copy.deepcopy(value)
    for _ in range(dice.randint(1, 3)):
        place = dice.choice(places(made))
        wrong = copy.deepcopy(dice.choice(_VALUES))
        if isinstance(place, list):
            place.insert(dice.randint(0, len(place)), wrong)
        else:
            place[dice.choice([*place, *_KEYS])] = wrong
    return made


@pytest.mark.parametrize("seed", range(4))
async def test_definitions(api: server.Api, seed: int) -> None:
    dice = random.Random(seed)
    parts = {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}}
    columns = [{"name": "a", "type": "string", "jsonPath": ".spec.cronSpec"}]
    good = crontab.definition(crontab.version(subresources=parts, additionalPrinterColumns=columns))
    table = {"accept": "application/json;as=Table;g=meta.k8s.io;v=v1"}
    for number in range(120):
        crd = spoiled(good, dice)
        reply = await server.send(api.app, "POST", crontab.CRDS, crd)
        assert reply.status < 500, (seed, number, crd, reply.body)
        if reply.status != 201:
            continue
        name = reply.json["metadata"]["name"]
        async with asyncio.timeout(20):
            while not (await server.send(api.app, "GET", f"{crontab.CRDS}/{name}")).json["status"].get("conditions"):
                await asyncio.sleep(0)
        for path, headers in ((crontab.TABS, table), ("/openapi/v3/apis/stable.example.com/v1", {}), ("/apis", {})):
            found = await server.send(api.app, "GET", path, headers=headers)
            assert found.status < 500, (seed, number, crd, found.body)
        reply = await server.send(api.app, "POST", crontab.TABS, crontab.tab(f"t{number}"))
        assert reply.status < 500, (seed, number, crd, reply.body)
        change = {"metadata": {"finalizers": None}}
        await server.send(api.app, "DELETE", f"{crontab.CRDS}/{name}")
        assert (
            await server.send(api.app, "PATCH", f"{crontab.CRDS}/{name}", change, headers=crontab.MERGE)
        ).status < 500


@pytest.mark.parametrize("seed", range(4))
async def test_objects(api: server.Api, seed: int) -> None:
    dice = random.Random(seed)
    schema = copy.deepcopy(crontab.SCHEMA)
    fields = schema["properties"]["spec"]["properties"]
    schema["properties"]["spec"]["x-kubernetes-validations"] = [{"rule": "!has(self.image) || self.image != 'bad'"}]
    fields["list"] = {
        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
        "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
    }  # fmt: skip
    fields["any"] = {"type": "object", "anyOf": [{"required": ["a"]}], "properties": {"a": {"type": "string"}}}
    fields["pod"] = {
        "type": "object",
        "x-kubernetes-embedded-resource": True,
        "x-kubernetes-preserve-unknown-fields": True,
    }
    await crontab.established(api, crontab.definition(crontab.version(schema=schema)))
    good = crontab.tab(list=[{"name": "a"}], any={"a": "x"}, pod={"kind": "Pod", "apiVersion": "v1"})
    await crontab.made(api, {**good, "metadata": {"name": "stays"}})
    apply = {"content-type": "application/apply-patch+yaml"}
    for number in range(150):
        body = spoiled(good, dice)
        for method, path, headers in (
            ("POST", crontab.TABS, {}), ("PUT", f"{crontab.TABS}/stays", {}),
            ("PATCH", f"{crontab.TABS}/stays", crontab.MERGE),
            ("PATCH", f"{crontab.TABS}/a?fieldManager=m&force=true", apply),
        ):  # fmt: skip
            reply = await server.send(api.app, method, path, body, headers=headers)
            assert reply.status < 500, (seed, number, method, body, reply.body)
