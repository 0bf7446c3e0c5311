"""The definition that the Kubernetes documentation uses, and ways to make others of it."""

import asyncio
import copy
from typing import Any

from boxfleet.testing import server

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NAME = "crontabs.stable.example.com"
TABS = "/apis/stable.example.com/v1/namespaces/default/crontabs"
MERGE = {"content-type": "application/merge-patch+json"}

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "cronSpec": {"type": "string", "pattern": r"^(\d+|\*)(/\d+)?(\s+(\d+|\*)(/\d+)?){4}$"},
                "image": {"type": "string"},
                "replicas": {"type": "integer", "minimum": 1, "maximum": 10, "default": 1},
            },
        },
        "status": {
            "type": "object",
            "properties": {"replicas": {"type": "integer"}, "labelSelector": {"type": "string"}},
        },
    },
}


def version(name: str = "v1", *, storage: bool = True, **extra: Any) -> dict[str, Any]:
    """One version with the usual schema."""
    schema = extra.pop("schema", SCHEMA)
    return {
        "name": name,
        "served": True,
        "storage": storage,
        "schema": {"openAPIV3Schema": copy.deepcopy(schema)},
        **extra,
    }


def definition(*versions: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """The definition of CronTab."""
    names = {"plural": "crontabs", "singular": "crontab", "kind": "CronTab", "shortNames": ["ct"]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME},
        "spec": {
            "group": "stable.example.com",
            "scope": "Namespaced",
            "names": names,
            "versions": list(versions) or [version()],
            **spec,
        },
    }


def tab(name: str = "a", **spec: Any) -> dict[str, Any]:
    """An object."""
    given = {"cronSpec": "* * * * */5", "image": "i", **spec}
    return {
        "apiVersion": "stable.example.com/v1",
        "kind": "CronTab",
        "metadata": {"name": name},
        "spec": {key: value for key, value in given.items() if value is not ...},
    }


async def condition(api: server.Api, type_: str, status: str, *, name: str = NAME) -> dict[str, Any]:
    """Wait until a definition has a condition; gives it."""
    async with asyncio.timeout(20):
        while True:
            found = (await server.send(api.app, "GET", f"{CRDS}/{name}")).json
            for each in (found.get("status") or {}).get("conditions") or []:
                if (each["type"], each["status"]) == (type_, status):
                    one: dict[str, Any] = each
                    return one
            await asyncio.sleep(0)


async def established(api: server.Api, crd: dict[str, Any] | None = None) -> dict[str, Any]:
    """Make a definition and wait until it is served."""
    crd = crd or definition()
    reply = await server.send(api.app, "POST", CRDS, crd)
    assert reply.status == 201, reply.body
    await condition(api, "Established", "True", name=crd["metadata"]["name"])
    found: dict[str, Any] = (await server.send(api.app, "GET", f"{CRDS}/{crd['metadata']['name']}")).json
    return found


async def made(api: server.Api, obj: dict[str, Any], path: str = TABS) -> dict[str, Any]:
    """Create an object."""
    reply = await server.send(api.app, "POST", path, obj)
    assert reply.status == 201, reply.body
    found: dict[str, Any] = reply.json
    return found


def causes(reply: server.Reply) -> list[tuple[str, str]]:
    """Field and message of each cause of a refusal."""
    return [(each["field"], each["message"]) for each in reply.json["details"]["causes"]]
