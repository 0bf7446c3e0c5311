"""boxfleet.dev in two versions: nothing is lost on the way there and back, and each client sees its own."""

import asyncio
import contextlib
import copy
from typing import Any

import hypothesis
import msgspec
import pytest
from hypothesis import strategies

from boxfleet.api import kind, unit, v1beta1
from boxfleet.client import inprocess
from boxfleet.testing import server

V1 = "/apis/boxfleet.dev/v1/namespaces/default"
BETA = "/apis/boxfleet.dev/v1beta1/namespaces/default"
APPLY = {"content-type": "application/apply-patch+yaml"}
MERGE = {"content-type": "application/merge-patch+json"}
TEMPLATE = {"spec": {"containers": [{"name": "c", "image": "x:1"}]}}
CLAIM = {
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}

_words = strategies.text(min_size=1, max_size=8)
_json = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers(-(2**53), 2**53) | _words,
    lambda inner: strategies.lists(inner, max_size=3) | strategies.dictionaries(_words, inner, max_size=3),
    max_leaves=8,
)
_env = strategies.lists(
    strategies.fixed_dictionaries({"name": _words, "value": _words}), max_size=4, unique_by=lambda one: one["name"]
)
_fields = strategies.dictionaries(
    _words.filter(lambda name: name not in ("env", "volumeClaims", "volumeClaimTemplates")), _json, max_size=3
)


def _templates(version: str) -> strategies.SearchStrategy[dict[str, Any]]:
    claims = "volumeClaims" if version == v1beta1.VERSION else "volumeClaimTemplates"
    env = _env if version == v1beta1.VERSION else strategies.dictionaries(_words, _words, max_size=4)
    known = strategies.fixed_dictionaries({}, optional={"env": env, claims: strategies.lists(_json, max_size=2)})
    return strategies.builds(lambda rest, own: rest | own, _fields, known)


def _objects(version: str) -> strategies.SearchStrategy[dict[str, Any]]:
    templates = _templates(version)
    head = {"apiVersion": strategies.just(f"boxfleet.dev/{version}")}
    meta = {"metadata": strategies.dictionaries(_words, _json, max_size=2), "status": _json}
    units = strategies.fixed_dictionaries({"units": strategies.dictionaries(_words, templates, max_size=3)})
    return (
        strategies.fixed_dictionaries({**head, **meta, "kind": strategies.just("Unit"), "spec": templates})
        | strategies.fixed_dictionaries({**head, **meta, "kind": strategies.just("Box"), "spec": units})
        | strategies.fixed_dictionaries({**head, **meta, "kind": strategies.just("Address"), "spec": _json})
    )


@hypothesis.given(_objects(kind.VERSION))
def test_down_and_up_again_is_the_same(obj: dict[str, Any]) -> None:
    there = v1beta1.down(copy.deepcopy(obj))
    assert there["apiVersion"] == "boxfleet.dev/v1beta1"
    assert v1beta1.up(there) == obj


@hypothesis.given(_objects(v1beta1.VERSION))
def test_up_and_down_again_is_the_same(obj: dict[str, Any]) -> None:
    assert v1beta1.wrong(obj) == []
    assert v1beta1.down(v1beta1.up(copy.deepcopy(obj))) == obj


def _beta(name: str = "u", **spec: Any) -> dict[str, Any]:
    env = [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]
    return {
        "apiVersion": "boxfleet.dev/v1beta1",
        "kind": "Unit",
        "metadata": {"name": name},
        "spec": {"template": copy.deepcopy(TEMPLATE), "env": env, "volumeClaims": [CLAIM], **spec},
    }


async def _send(api: server.Api, method: str, path: str, body: Any = None, **more: Any) -> server.Reply:
    reply = await server.send(api.app, method, path, body, **more)
    assert reply.status < 300, reply.body
    return reply


@pytest.mark.anyio
async def test_what_is_written_in_one_is_read_in_both(api: server.Api) -> None:
    made = (await _send(api, "POST", f"{BETA}/units", _beta())).json
    assert (made["apiVersion"], made["spec"]["env"][0]) == ("boxfleet.dev/v1beta1", {"name": "B", "value": "2"})
    assert [claim["metadata"]["name"] for claim in made["spec"]["volumeClaims"]] == ["data"]
    stored = msgspec.json.decode(api.store.range("/boxfleet.dev/units/")[0].value)
    assert (stored["apiVersion"], stored["spec"]["env"]) == ("boxfleet.dev/v1", {"B": "2", "A": "1"})
    found = (await _send(api, "GET", f"{V1}/units/u")).json
    assert found == stored
    assert found["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    assert (await api.admin.get(unit.Unit, "u", namespace="default")).spec.env == {"B": "2", "A": "1"}
    listed = (await _send(api, "GET", f"{BETA}/units")).json
    assert (listed["apiVersion"], listed["items"]) == ("boxfleet.dev/v1beta1", [made])
    changed = (await _send(api, "PATCH", f"{V1}/units/u", {"spec": {"env": {"C": "3"}}}, headers=MERGE)).json
    assert (await _send(api, "GET", f"{BETA}/units/u")).json["spec"]["env"][2] == {"name": "C", "value": "3"}
    same = (await _send(api, "PUT", f"{BETA}/units/u", (await _send(api, "GET", f"{BETA}/units/u")).json)).json
    assert same["metadata"]["resourceVersion"] == changed["metadata"]["resourceVersion"]
    scale = (await _send(api, "PATCH", f"{BETA}/units/u/scale", {"spec": {"replicas": 3}}, headers=MERGE)).json
    assert scale["spec"]["replicas"] == (await _send(api, "GET", f"{V1}/units/u")).json["spec"]["replicas"] == 3
    gone = await _send(api, "DELETE", f"{BETA}/units?labelSelector=a%3Db")
    assert gone.json["apiVersion"] == "boxfleet.dev/v1beta1"
    await _send(api, "DELETE", f"{BETA}/units/u")
    assert api.store.range("/boxfleet.dev/units/") == []


@pytest.mark.anyio
async def test_boxes_convert_each_unit(api: server.Api) -> None:
    box = {
        "metadata": {"name": "b"},
        "spec": {
            "units": {"db": {"template": TEMPLATE, "env": [{"name": "A", "value": "1"}]}, "web": {"template": TEMPLATE}}
        },
    }
    await _send(api, "POST", f"{BETA}/boxes", box)
    assert (await _send(api, "GET", f"{V1}/boxes/b")).json["spec"]["units"]["db"]["env"] == {"A": "1"}
    twice = {"name": "A", "value": "2"}
    change = {"spec": {"units": {"db": {"env": [twice, twice]}}}}
    reply = await server.send(api.app, "PATCH", f"{BETA}/boxes/b", change, headers=MERGE)
    assert (reply.status, reply.json["details"]["causes"][0]["field"]) == (422, "spec.units[db].env[1].name")


@pytest.mark.anyio
async def test_errors_name_fields_of_the_version(api: server.Api) -> None:
    bad = _beta(volumeClaims=[{**CLAIM, "metadata": {"name": "Bad Name"}}])
    reply = await server.send(api.app, "POST", f"{BETA}/units", bad)
    assert reply.status == 422
    assert "volumeClaims[" in reply.json["message"]
    assert "volumeClaimTemplates" not in reply.json["message"]
    reply = await server.send(
        api.app, "POST", f"{V1}/units?fieldValidation=Strict", {**_beta(), "apiVersion": "boxfleet.dev/v1"}
    )
    assert reply.status in (400, 422)
    assert (await server.send(api.app, "POST", f"{V1}/units", _beta())).status == 400


@pytest.mark.anyio
async def test_apply_in_either_version(api: server.Api) -> None:
    await _send(api, "PATCH", f"{BETA}/units/u?fieldManager=old", _beta(), headers=APPLY)
    new = {
        "apiVersion": "boxfleet.dev/v1",
        "kind": "Unit",
        "metadata": {"name": "u"},
        "spec": {"template": TEMPLATE, "replicas": 2},
    }
    reply = await _send(api, "PATCH", f"{V1}/units/u?fieldManager=new", new, headers=APPLY)
    assert (reply.json["spec"]["replicas"], reply.json["spec"]["env"]) == (2, {"B": "2", "A": "1"})


@pytest.mark.anyio
async def test_watches_tell_in_their_version(api: server.Api) -> None:
    await _send(
        api, "POST", f"{V1}/units", {"metadata": {"name": "v"}, "spec": {"template": TEMPLATE, "env": {"A": "1"}}}
    )
    lines = inprocess.InProcess(api.app, token=server.ADMIN_TOKEN).lines(f"{BETA}/units", query={"watch": "1"})
    async with contextlib.aclosing(lines), asyncio.timeout(30):
        events = [msgspec.json.decode(await anext(lines))]
        await _send(api, "PATCH", f"{V1}/units/v", {"spec": {"env": {"A": "2"}}}, headers=MERGE)
        await _send(api, "DELETE", f"{V1}/units/v")
        events += [msgspec.json.decode(await anext(lines)) for _ in range(2)]
    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    assert {event["object"]["apiVersion"] for event in events} == {"boxfleet.dev/v1beta1"}
    assert events[1]["object"]["spec"]["env"] == [{"name": "A", "value": "2"}]


@pytest.mark.anyio
async def test_discovery_prefers_v1_and_the_old_one_warns(api: server.Api) -> None:
    group = (await _send(api, "GET", "/apis/boxfleet.dev")).json
    assert [each["version"] for each in group["versions"]] == ["v1", "v1beta1"]
    assert group["preferredVersion"]["version"] == "v1"
    both = [(await _send(api, "GET", f"/apis/boxfleet.dev/{each}")).json["resources"] for each in ("v1", "v1beta1")]
    assert [each["name"] for each in both[0]] == [each["name"] for each in both[1]]
    reply = await _send(api, "GET", f"{BETA}/boxes")
    assert dict(reply.headers)["warning"] == '299 - "boxfleet.dev/v1beta1 Box is deprecated; use boxfleet.dev/v1 Box"'
    assert "warning" not in dict((await _send(api, "GET", f"{V1}/boxes")).headers)
    document = (await _send(api, "GET", "/openapi/v3/apis/boxfleet.dev/v1beta1")).json["components"]["schemas"]
    assert "volumeClaims" in document["dev.boxfleet.v1beta1.UnitTemplate"]["properties"]
    accept = {"accept": "application/json;as=Table;g=meta.k8s.io;v=v1"}
    await _send(api, "POST", f"{BETA}/units", _beta())
    table = (await _send(api, "GET", f"{BETA}/units", headers=accept)).json
    assert table["rows"][0]["cells"][0] == "u"
