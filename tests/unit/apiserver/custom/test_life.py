"""Definitions come, change and go, and what is served follows."""

import asyncio
import contextlib
import pathlib

import msgspec
import pytest
from tests.unit.apiserver.custom import crontab

from boxfleet.api import catalog, namespace
from boxfleet.apiserver import app as apps
from boxfleet.client import inprocess
from boxfleet.controllers.namespace import empty
from boxfleet.testing import server

pytestmark = pytest.mark.anyio


async def test_a_kind_comes_and_goes(api: server.Api) -> None:
    assert (await server.send(api.app, "GET", crontab.TABS)).status == 404
    crd = await crontab.established(api)
    assert crd["metadata"]["generation"] == 1
    assert crd["spec"]["names"]["listKind"] == "CronTabList"
    assert crd["status"]["acceptedNames"] == {
        "plural": "crontabs", "singular": "crontab", "kind": "CronTab", "listKind": "CronTabList", "shortNames": ["ct"],
    }  # fmt: skip
    assert crd["status"]["storedVersions"] == ["v1"]
    tab = await crontab.made(api, crontab.tab())
    assert tab["spec"]["replicas"] == 1
    assert tab["metadata"]["generation"] == 1
    listed = (await server.send(api.app, "GET", crontab.TABS)).json
    assert (listed["kind"], listed["apiVersion"], len(listed["items"])) == ("CronTabList", "stable.example.com/v1", 1)
    everywhere = "/apis/stable.example.com/v1/crontabs"
    assert len((await server.send(api.app, "GET", everywhere)).json["items"]) == 1
    assert (await server.send(api.app, "DELETE", f"{crontab.CRDS}/{crontab.NAME}")).status == 200
    async with asyncio.timeout(20):
        while (await server.send(api.app, "GET", f"{crontab.CRDS}/{crontab.NAME}")).status != 404:
            await asyncio.sleep(0)
    assert (await server.send(api.app, "GET", crontab.TABS)).status == 404
    assert api.store.range("/stable.example.com/") == []
    again = await crontab.established(api)
    assert again["metadata"]["uid"] != crd["metadata"]["uid"]
    assert (await server.send(api.app, "GET", crontab.TABS)).json["items"] == []


async def test_discovery_and_openapi_follow_at_once(api: server.Api) -> None:
    aggregated = {"accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}
    before = (await server.send(api.app, "GET", "/apis", headers=aggregated)).json
    assert "stable.example.com" not in [each["metadata"]["name"] for each in before["items"]]
    beta = crontab.version("v1beta1", storage=False)
    await crontab.established(api, crontab.definition(beta, crontab.version(subresources={"status": {}})))
    after = (await server.send(api.app, "GET", "/apis", headers=aggregated)).json
    [group] = [each for each in after["items"] if each["metadata"]["name"] == "stable.example.com"]
    assert [each["version"] for each in group["versions"]] == ["v1", "v1beta1"]
    [resource] = group["versions"][0]["resources"]
    assert (resource["resource"], resource["shortNames"]) == ("crontabs", ["ct"])
    assert [part["subresource"] for part in resource["subresources"]] == ["status"]
    plain = (await server.send(api.app, "GET", "/apis/stable.example.com")).json
    assert plain["preferredVersion"]["version"] == "v1"
    resources = (await server.send(api.app, "GET", "/apis/stable.example.com/v1")).json["resources"]
    assert [each["name"] for each in resources] == ["crontabs", "crontabs/status"]
    index = (await server.send(api.app, "GET", "/openapi/v3")).json["paths"]
    url = index["apis/stable.example.com/v1"]["serverRelativeURL"]
    document = (await server.send(api.app, "GET", url)).json
    schema = document["components"]["schemas"]["com.example.stable.v1.CronTab"]
    assert schema["properties"]["spec"]["properties"]["replicas"]["default"] == 1
    assert f"{crontab.TABS.replace('default', '{namespace}')}/{{name}}/status" in document["paths"]
    assert "com.example.stable.v1.CronTab" in (await server.send(api.app, "GET", "/openapi/v2")).json["definitions"]
    await server.send(api.app, "DELETE", f"{crontab.CRDS}/{crontab.NAME}")
    async with asyncio.timeout(20):
        while (await server.send(api.app, "GET", "/apis/stable.example.com")).status != 404:
            await asyncio.sleep(0)
    assert "apis/stable.example.com/v1" not in (await server.send(api.app, "GET", "/openapi/v3")).json["paths"]
    assert "com.example.stable.v1.CronTab" not in (await server.send(api.app, "GET", "/openapi/v2")).json["definitions"]


async def test_a_change_is_served_at_once(api: server.Api) -> None:
    crd = await crontab.established(api)
    assert (await server.send(api.app, "GET", f"{crontab.TABS}/a/scale")).json["message"].startswith("the server could")
    crd["spec"]["versions"][0]["subresources"] = {
        "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
    }
    reply = await server.send(api.app, "PUT", f"{crontab.CRDS}/{crontab.NAME}", crd)
    assert (reply.status, reply.json["metadata"]["generation"]) == (200, 2)
    await crontab.made(api, crontab.tab(replicas=3))
    scale = (await server.send(api.app, "GET", f"{crontab.TABS}/a/scale")).json
    assert (scale["kind"], scale["spec"]["replicas"]) == ("Scale", 3)


async def test_names_that_are_taken(api: server.Api) -> None:
    await crontab.established(api)
    other = crontab.definition()
    other["metadata"]["name"] = "others.stable.example.com"
    other["spec"]["names"] = {"plural": "others", "singular": "other", "kind": "CronTab", "listKind": "OtherList"}
    assert (await server.send(api.app, "POST", crontab.CRDS, other)).status == 201
    found = await crontab.condition(api, "NamesAccepted", "False", name="others.stable.example.com")
    assert (found["reason"], found["message"]) == ("KindConflict", '"CronTab" is already in use')
    assert (await server.send(api.app, "GET", crontab.TABS.replace("crontabs", "others"))).status == 404
    await server.send(api.app, "DELETE", f"{crontab.CRDS}/{crontab.NAME}")
    await crontab.condition(api, "Established", "True", name="others.stable.example.com")
    assert (await server.send(api.app, "GET", crontab.TABS.replace("crontabs", "others"))).status == 200


async def test_a_definition_waits_for_its_objects(api: server.Api) -> None:
    await crontab.established(api)
    tab = crontab.tab()
    tab["metadata"]["finalizers"] = ["example.com/hold"]
    await crontab.made(api, tab)
    await crontab.made(api, crontab.tab("b"))
    reply = await server.send(api.app, "DELETE", f"{crontab.CRDS}/{crontab.NAME}")
    assert reply.json["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
    await crontab.condition(api, "Terminating", "True")
    reply = await server.send(api.app, "POST", crontab.TABS, crontab.tab("c"))
    assert (reply.status, reply.json["message"]) == (
        405, "create not allowed while custom resource definition is terminating",
    )  # fmt: skip
    async with asyncio.timeout(20):
        while len(items := (await server.send(api.app, "GET", crontab.TABS)).json["items"]) != 1:
            await asyncio.sleep(0)
    assert "deletionTimestamp" in items[0]["metadata"]
    change = {"metadata": {"finalizers": None}}
    assert (await server.send(api.app, "PATCH", f"{crontab.TABS}/a", change, headers=crontab.MERGE)).status == 200
    async with asyncio.timeout(20):
        while (await server.send(api.app, "GET", f"{crontab.CRDS}/{crontab.NAME}")).status != 404:
            await asyncio.sleep(0)


async def test_watches_of_a_kind_that_goes_end(api: server.Api) -> None:
    await crontab.established(api)
    await crontab.made(api, crontab.tab())
    lines = inprocess.InProcess(api.app, token=server.ADMIN_TOKEN).lines(crontab.TABS, query={"watch": "1"})
    async with contextlib.aclosing(lines), asyncio.timeout(30):
        events = [msgspec.json.decode(await anext(lines))]
        await server.send(api.app, "DELETE", f"{crontab.CRDS}/{crontab.NAME}")
        events.append(msgspec.json.decode(await anext(lines)))
        while (await server.send(api.app, "GET", f"{crontab.CRDS}/{crontab.NAME}")).status != 404:
            await asyncio.sleep(0)
        assert [line async for line in lines] == []
    assert [event["type"] for event in events] == ["ADDED", "DELETED"]


async def test_several_servers_follow_the_store(api: server.Api) -> None:
    other = apps.ApiServer(api.store, types=catalog.TYPES, authenticators=[server.authenticator()])
    await other.start()
    await crontab.established(api)
    assert (await server.send(other, "POST", crontab.TABS, crontab.tab())).status == 201
    assert len((await server.send(api.app, "GET", crontab.TABS)).json["items"]) == 1
    await server.send(other, "DELETE", f"{crontab.CRDS}/{crontab.NAME}")
    async with asyncio.timeout(20):
        while (await server.send(api.app, "GET", f"{crontab.CRDS}/{crontab.NAME}")).status != 404:
            await asyncio.sleep(0)
    for one in (api.app, other):
        assert (await server.send(one, "GET", crontab.TABS)).status == 404


async def test_a_restart_serves_what_is_there(tmp_path: pathlib.Path) -> None:
    async with server.running(tmp_path) as first:
        await crontab.established(first)
        await crontab.made(first, crontab.tab())
    async with server.running(tmp_path) as second:
        assert len((await server.send(second.app, "GET", crontab.TABS)).json["items"]) == 1


async def test_a_namespace_takes_custom_objects_along(api: server.Api) -> None:
    await crontab.established(api)
    await crontab.made(api, crontab.tab())
    subject = await api.admin.get(namespace.Namespace, "default")
    await empty.empty(api.admin, subject, concurrency=2)
    assert (await server.send(api.app, "GET", crontab.TABS)).json["items"] == []


async def test_a_kind_beside_the_definitions_is_one_like_others(api: server.Api) -> None:
    crd = crontab.definition()
    crd["metadata"] = {"name": "tabs.apiextensions.k8s.io", "annotations": {"api-approved.kubernetes.io": "unapproved"}}
    crd["spec"] |= {"group": "apiextensions.k8s.io", "names": {"plural": "tabs", "kind": "Tab"}}
    await crontab.established(api, crd)
    path = "/apis/apiextensions.k8s.io/v1/namespaces/default/tabs"
    made = await crontab.made(api, {"metadata": {"name": "a"}, "spec": {}}, path)
    assert "status" not in made
    assert (await server.send(api.app, "DELETE", f"{path}/a")).status == 200
    assert (await server.send(api.app, "GET", f"{path}/a")).status == 404
    assert (await server.send(api.app, "GET", crontab.CRDS)).status == 200
