"""Get and list: selectors, pages, revisions, forms."""

from typing import Any

import pytest

from boxfleet.store import settings
from boxfleet.testing import server

pytestmark = pytest.mark.anyio

MAPS = "/api/v1/namespaces/default/configmaps"
EVERYWHERE = "/api/v1/configmaps"
TABLE = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
PARTIAL = {"accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}


async def put(api: server.Api, name: str, namespace: str = "default", **labels: str) -> dict[str, Any]:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    reply = await server.send(
        api.app, "POST", path, {"metadata": {"name": name, "labels": labels}, "data": {"k": name}}
    )
    assert reply.status == 201
    obj: dict[str, Any] = reply.json
    return obj


async def names(api: server.Api, path: str) -> list[str]:
    reply = await server.send(api.app, "GET", path)
    assert reply.status == 200, reply.body
    return [item["metadata"]["name"] for item in reply.json["items"]]


async def test_a_list_is_in_order_and_says_its_revision(api: server.Api) -> None:
    for name in ("b", "a", "c"):
        last = await put(api, name)
    await put(api, "other", "kube-system")
    reply = (await server.send(api.app, "GET", MAPS)).json
    assert (reply["kind"], reply["apiVersion"]) == ("ConfigMapList", "v1")
    assert int(reply["metadata"]["resourceVersion"]) > int(last["metadata"]["resourceVersion"])
    assert await names(api, MAPS) == ["a", "b", "c"]
    assert await names(api, EVERYWHERE) == ["a", "b", "c", "other"]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("app=x", ["a", "b"]),
        ("app==x,tier=1", ["a"]),
        ("app!=x", ["c", "d"]),
        ("app in (x, y)", ["a", "b", "c"]),
        ("app notin (x)", ["c", "d"]),
        ("app", ["a", "b", "c"]),
        ("!app", ["d"]),
        ("tier>1", ["b"]),
        ("tier<2", ["a"]),
        ("example.com/x=", ["d"]),
        ("in=1", []),
        ("", ["a", "b", "c", "d"]),
    ],
)
async def test_label_selectors(api: server.Api, selector: str, expected: list[str]) -> None:
    await put(api, "a", app="x", tier="1")
    await put(api, "b", app="x", tier="2")
    await put(api, "c", app="y")
    await put(api, "d", **{"example.com/x": ""})
    quoted = selector.replace(" ", "%20").replace("<", "%3C").replace(">", "%3E").replace("=", "%3D")
    assert await names(api, f"{MAPS}?labelSelector={quoted}") == expected


@pytest.mark.parametrize("selector", ["a in b", "=x", "a=b,", "a in (b", "a b", "!a=b", "a>x", "-a=b", "a=-"])
async def test_bad_label_selectors(api: server.Api, selector: str) -> None:
    quoted = selector.replace(" ", "%20").replace(">", "%3E")
    reply = await server.send(api.app, "GET", f"{MAPS}?labelSelector={quoted}")
    assert (reply.status, reply.json["reason"]) == (400, "BadRequest")


async def test_field_selectors(api: server.Api) -> None:
    await put(api, "a")
    await put(api, "b")
    await put(api, "a", "kube-system")
    assert await names(api, f"{MAPS}?fieldSelector=metadata.name%3Da") == ["a"]
    assert await names(api, f"{EVERYWHERE}?fieldSelector=metadata.name%3Da") == ["a", "a"]
    assert await names(api, f"{EVERYWHERE}?fieldSelector=metadata.namespace!%3Ddefault") == ["a"]
    reply = await server.send(api.app, "GET", f"{MAPS}?fieldSelector=data.k%3Da")
    assert reply.status == 400
    assert reply.json["message"].endswith("field label not supported: data.k")
    pods = "/api/v1/namespaces/default/pods"
    for name, node in (("x", "n1"), ("y", "")):
        spec = {"containers": [{"name": "c", "image": "i"}], **({"nodeName": node} if node else {})}
        assert (await server.send(api.app, "POST", pods, {"metadata": {"name": name}, "spec": spec})).status == 201
    assert await names(api, f"{pods}?fieldSelector=spec.nodeName%3Dn1") == ["x"]
    assert await names(api, f"{pods}?fieldSelector=spec.nodeName%3D") == ["y"]
    assert await names(api, f"{pods}?fieldSelector=spec.hostNetwork%3Dfalse") == ["x", "y"]


async def test_pages_show_one_moment(api: server.Api) -> None:
    for name in "abcde":
        await put(api, name)
    first = (await server.send(api.app, "GET", f"{MAPS}?limit=2")).json
    assert [item["metadata"]["name"] for item in first["items"]] == ["a", "b"]
    assert first["metadata"]["remainingItemCount"] == 3
    await server.send(api.app, "DELETE", f"{MAPS}/c")
    await put(api, "bb")
    token = first["metadata"]["continue"]
    second = (await server.send(api.app, "GET", f"{MAPS}?limit=2&continue={token}")).json
    assert [item["metadata"]["name"] for item in second["items"]] == ["c", "d"]
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    third = (await server.send(api.app, "GET", f"{MAPS}?limit=2&continue={second['metadata']['continue']}")).json
    assert [item["metadata"]["name"] for item in third["items"]] == ["e"]
    assert "continue" not in third["metadata"]
    assert (await server.send(api.app, "GET", f"{MAPS}?continue=nonsense")).status == 400


async def test_an_expired_page_offers_to_go_on(tmp_path: Any) -> None:
    async with server.running(tmp_path, settings=settings.Settings(history_changes=5)) as api:
        for name in "abc":
            await put(api, name)
        first = (await server.send(api.app, "GET", f"{MAPS}?limit=1")).json
        for number in range(10):
            await put(api, f"x{number}")
        token = first["metadata"]["continue"]
        gone = await server.send(api.app, "GET", f"{MAPS}?limit=1&continue={token}")
        assert (gone.status, gone.json["reason"]) == (410, "Expired")
        fresh = gone.json["metadata"]["continue"]
        more = (await server.send(api.app, "GET", f"{MAPS}?limit=1&continue={fresh}")).json
        assert [item["metadata"]["name"] for item in more["items"]] == ["b"]
        old = await server.send(api.app, "GET", f"{MAPS}?resourceVersion=1&resourceVersionMatch=Exact")
        assert old.status == 410


async def test_resource_versions_of_lists(api: server.Api) -> None:
    first = await put(api, "a")
    await put(api, "b")
    revision = first["metadata"]["resourceVersion"]
    assert await names(api, f"{MAPS}?resourceVersion={revision}&resourceVersionMatch=Exact") == ["a"]
    assert await names(api, f"{MAPS}?resourceVersion={revision}&resourceVersionMatch=NotOlderThan") == ["a", "b"]
    assert await names(api, f"{MAPS}?resourceVersion=0") == ["a", "b"]
    for query, status in (
        ("resourceVersion=abc", 400),
        ("resourceVersion=-1", 400),
        ("resourceVersion=99999", 504),
        ("resourceVersionMatch=Exact", 422),
        ("resourceVersion=0&resourceVersionMatch=Exact", 422),
        ("resourceVersion=1&resourceVersionMatch=Odd", 422),
        ("limit=x", 400),
        ("limit=-1", 200),
    ):
        assert (await server.send(api.app, "GET", f"{MAPS}?{query}")).status == status, query
    late = await server.send(api.app, "GET", f"{MAPS}/a?resourceVersion=99999")
    assert late.status == 504
    assert late.json["message"].startswith("Too large resource version: 99999, current: ")


async def test_tables_and_metadata(api: server.Api) -> None:
    await put(api, "a")
    table = (await server.send(api.app, "GET", MAPS, headers=TABLE)).json
    assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert table["rows"][0]["cells"][0] == "a"
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    assert table["metadata"]["resourceVersion"]
    one = (await server.send(api.app, "GET", f"{MAPS}/a?includeObject=None", headers=TABLE)).json
    assert [row["object"] for row in one["rows"]] == [None]
    assert (await server.send(api.app, "GET", f"{MAPS}?includeObject=All", headers=TABLE)).status == 400
    cut = (await server.send(api.app, "GET", MAPS, headers=PARTIAL)).json
    assert cut["kind"] == "PartialObjectMetadataList"
    assert "data" not in cut["items"][0]


async def test_people_get_it_pretty(api: server.Api) -> None:
    await put(api, "a")
    plain = await server.send(api.app, "GET", f"{MAPS}/a")
    pretty = await server.send(api.app, "GET", f"{MAPS}/a", headers={"user-agent": "curl/8"})
    assert plain.json == pretty.json
    assert b'\n  "apiVersion"' in pretty.body
    assert (await server.send(api.app, "GET", f"{MAPS}/a?pretty=true")).body == pretty.body
