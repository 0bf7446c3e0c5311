"""Server-side apply by the list and map types of a custom schema."""

import copy
from typing import Any

import pytest
import yaml
from tests.unit.apiserver.custom import crontab

from boxfleet.testing import server

pytestmark = pytest.mark.anyio

TEXT = {"type": "string"}
PORT = {"type": "object", "required": ["port"], "properties": {"port": {"type": "integer"}, "note": TEXT}}
FACTS: dict[str, Any] = {
    "ports": {
        "type": "array",
        "items": {**PORT, "properties": {**PORT["properties"], "protocol": {**TEXT, "default": "TCP"}}},
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["port", "protocol"],
    },
    "tags": {"type": "array", "items": TEXT, "x-kubernetes-list-type": "set"},
    "lines": {"type": "array", "items": TEXT},
    "labels": {"type": "object", "additionalProperties": TEXT},
    "selector": {"type": "object", "additionalProperties": TEXT, "x-kubernetes-map-type": "atomic"},
    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"known": TEXT}},
}


def schema() -> dict[str, Any]:
    made = copy.deepcopy(crontab.SCHEMA)
    made["properties"]["spec"]["properties"] |= FACTS
    return made


async def apply(api: server.Api, manager: str, *, query: str = "", **spec: Any) -> server.Reply:
    body = {**crontab.tab(), "spec": spec}
    return await server.send(
        api.app,
        "PATCH",
        f"{crontab.TABS}/a?fieldManager={manager}{query}",
        yaml.safe_dump(body).encode(),
        headers={"content-type": "application/apply-patch+yaml"},
    )


async def test_custom_objects_are_merged_by_their_schema(api: server.Api) -> None:
    await crontab.established(api, crontab.definition(crontab.version(schema=schema())))
    mine: dict[str, Any] = {
        "ports": [{"port": 80}], "tags": ["a", "b"], "lines": ["x"], "labels": {"a": "1"}, "selector": {"a": "1"},
        "free": {"known": "1", "more": {"deep": [1]}},
    }  # fmt: skip
    reply = await apply(api, "me", **mine)
    assert reply.status == 201, reply.body
    obj = reply.json
    assert obj["spec"] == {**mine, "ports": [{"port": 80, "protocol": "TCP"}], "replicas": 1}
    [entry] = obj["metadata"]["managedFields"]
    assert entry["fieldsV1"] == {
        "f:spec": {
            "f:ports": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}}},
            "f:tags": {'v:"a"': {}, 'v:"b"': {}},
            "f:lines": {},
            "f:labels": {"f:a": {}},
            "f:selector": {},
            "f:free": {"f:known": {}, "f:more": {"f:deep": {}}},
        }
    }
    assert (await apply(api, "me", **mine)).json == obj
    reply = await apply(api, "other", lines=["y"], selector={"b": "2"}, labels={"a": "2"}, free={"more": {"deep": [2]}})
    assert [cause["field"] for cause in reply.json["details"]["causes"]] == [
        ".spec.free.more.deep", ".spec.labels.a", ".spec.lines", ".spec.selector",
    ]  # fmt: skip
    reply = await apply(
        api, "other", ports=[{"port": 81}, {"port": 80, "note": "n"}], tags=["c"], labels={"b": "2"}, free={"new": 1}
    )
    spec = reply.json["spec"]
    assert sorted(port["port"] for port in spec["ports"]) == [80, 81]
    assert sorted(spec["tags"]) == ["a", "b", "c"]
    assert spec["labels"] == {"a": "1", "b": "2"}
    assert spec["free"] == {"known": "1", "more": {"deep": [1]}, "new": 1}
    spec = (await apply(api, "me")).json["spec"]
    assert spec == {
        "ports": [{"port": 81, "protocol": "TCP"}, {"port": 80, "protocol": "TCP", "note": "n"}],
        "tags": ["c"], "labels": {"b": "2"}, "free": {"new": 1}, "replicas": 1,
    }  # fmt: skip


async def test_custom_objects_that_fit_no_schema(api: server.Api) -> None:
    await crontab.established(api, crontab.definition(crontab.version(schema=schema())))
    reply = await apply(api, "me", bogus=1)
    assert reply.status == 400
    assert reply.json["message"].endswith(".spec.bogus: field not declared in schema")
    reply = await apply(api, "me", tags=["a", "a"])
    assert (reply.status, "duplicate entries" in reply.json["message"]) == (400, True)
    reply = await apply(api, "me", replicas="many")
    assert reply.status == 422
    assert (await server.send(api.app, "GET", crontab.TABS)).json["items"] == []


async def test_an_update_of_a_custom_object_is_accounted_for(api: server.Api) -> None:
    await crontab.established(api, crontab.definition(crontab.version(schema=schema(), subresources={"status": {}})))
    obj = await crontab.made(api, crontab.tab(labels={"a": "1"}))
    [entry] = obj["metadata"]["managedFields"]
    assert entry["fieldsV1"] == {
        "f:spec": {
            ".": {}, "f:cronSpec": {}, "f:image": {}, "f:replicas": {}, "f:labels": {".": {}, "f:a": {}},
        }
    }  # fmt: skip
    path = f"{crontab.TABS}/a/status?fieldManager=agent"
    reply = await server.send(api.app, "PATCH", path, {"status": {"replicas": 2}}, headers=crontab.MERGE)
    assert {one.get("subresource", "") for one in reply.json["metadata"]["managedFields"]} == {"", "status"}
