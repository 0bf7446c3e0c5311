"""pods/binding and scheduling gates."""

import asyncio
from typing import Any

import pytest

from boxfleet.testing import server

pytestmark = pytest.mark.anyio
PODS = "/api/v1/namespaces/default/pods"
MERGE = {"content-type": "application/merge-patch+json"}


async def create(api: server.Api, name: str, **spec: Any) -> server.Reply:
    whole = {"containers": [{"name": "main", "image": "x:1"}], **spec}
    return await server.send(api.app, "POST", PODS, {"metadata": {"name": name}, "spec": whole})


async def bind(api: server.Api, name: str, node: str, *, query: str = "", **metadata: Any) -> server.Reply:
    body = {"metadata": {"name": name, **metadata}, "target": {"kind": "Node", "name": node}}
    return await server.send(api.app, "POST", f"{PODS}/{name}/binding{query}", body)


async def read(api: server.Api, name: str) -> Any:
    return (await server.send(api.app, "GET", f"{PODS}/{name}")).json


def fields(reply: server.Reply) -> dict[str, str]:
    assert reply.status == 422, reply.body
    return {cause["field"]: cause["message"] for cause in reply.json["details"]["causes"]}


async def test_nothing_but_the_node_and_the_condition_changes(api: server.Api) -> None:
    before = (await create(api, "p")).json
    assert (await bind(api, "p", "n", uid=before["metadata"]["uid"])).status == 201
    after = await read(api, "p")
    [condition] = after["status"].pop("conditions")
    assert (condition["type"], condition["status"]) == ("PodScheduled", "True")
    assert after["spec"].pop("nodeName") == "n"
    assert after["metadata"].pop("resourceVersion") > before["metadata"].pop("resourceVersion")
    assert after == before


async def test_with_annotations_it_is_the_same(api: server.Api) -> None:
    await create(api, "p")
    assert (await bind(api, "p", "n", annotations={"x.io/a": "b"})).status == 201
    pod = await read(api, "p")
    assert (pod["spec"]["nodeName"], pod["metadata"]["annotations"]) == ("n", {"x.io/a": "b"})
    await create(api, "q")
    assert "metadata.annotations" in fields(await bind(api, "q", "n", annotations={"not a key": "b"}))


async def test_a_dry_run_binds_nothing(api: server.Api) -> None:
    made = (await create(api, "p")).json
    assert (await bind(api, "p", "n", query="?dryRun=All")).status == 201
    assert await read(api, "p") == made


async def test_a_node_that_cannot_be(api: server.Api) -> None:
    await create(api, "p")
    assert list(fields(await bind(api, "p", "No Node"))) == ["spec.nodeName"]
    assert "nodeName" not in (await read(api, "p"))["spec"]


async def test_of_several_at_once_one_binds(api: server.Api) -> None:
    await create(api, "p")
    replies = await asyncio.gather(*(bind(api, "p", f"n{number}") for number in range(5)))
    assert sorted(reply.status for reply in replies) == [201, 409, 409, 409, 409]
    node = (await read(api, "p"))["spec"]["nodeName"]
    assert all(f'already assigned to node "{node}"' in each.json["message"] for each in replies if each.status == 409)


async def test_another_pod_of_that_name_is_not_bound(api: server.Api) -> None:
    await create(api, "p")
    assert (await bind(api, "p", "n", uid="another")).status == 409


async def test_a_gated_pod_says_so_and_cannot_be_bound(api: server.Api) -> None:
    made = (await create(api, "p", schedulingGates=[{"name": "a"}])).json
    assert made["status"]["conditions"] == [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
        }
    ]
    reply = await bind(api, "p", "n")
    assert (reply.status, reply.json["reason"]) == (409, "Conflict")
    assert "pod p has non-empty .spec.schedulingGates" in reply.json["message"]


async def test_gates_only_go(api: server.Api) -> None:
    async def gates(*names: str) -> server.Reply:
        change = {"spec": {"schedulingGates": [{"name": name} for name in names]}}
        return await server.send(api.app, "PATCH", f"{PODS}/p", change, headers=MERGE)

    await create(api, "p", schedulingGates=[{"name": "a"}, {"name": "example.com/b"}])
    assert fields(await gates("a", "c")) == {
        "spec.schedulingGates[1].name": "Forbidden: only deletion is allowed, but found new scheduling gate 'c'"
    }
    assert (await gates("example.com/b")).status == 200
    assert "spec.schedulingGates[0].name" in fields(await gates("a"))
    assert (await gates()).status == 200
    assert (await bind(api, "p", "n")).status == 201


async def test_gates_that_cannot_be(api: server.Api) -> None:
    assert fields(await create(api, "p", nodeName="n", schedulingGates=[{"name": "a"}])) == {
        "spec.nodeName": "Forbidden: cannot be set until all schedulingGates have been cleared"
    }
    assert "spec.schedulingGates[0].name" in fields(await create(api, "p", schedulingGates=[{"name": "no key"}]))
    assert list(fields(await create(api, "p", schedulingGates=[{"name": "a"}, {"name": "a"}]))) == [
        "spec.schedulingGates[1]"
    ]
