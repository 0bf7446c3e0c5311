"""Ownership of fields that have other names and forms in another version: entries keep the paths of their version."""

from typing import Any

import pytest
from tests.unit.apiserver import test_apply

from boxfleet.testing import server

pytestmark = pytest.mark.anyio

Json = dict[str, Any]
NEW = "/apis/boxfleet.dev/v1/namespaces/default/units/u"
OLD = "/apis/boxfleet.dev/v1beta1/namespaces/default/units/u"
MERGE = {"content-type": "application/merge-patch+json"}
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def unit(version: str = "v1", env: Any = None, **spec: Any) -> Json:
    if isinstance(env, dict) and version == "v1beta1":
        env = [{"name": name, "value": value} for name, value in env.items()]
    stated = spec | ({"env": env} if env is not None else {})
    return {"apiVersion": f"boxfleet.dev/{version}", "kind": "Unit", "metadata": {"name": "u"}, "spec": stated}


def whole(version: str = "v1", **spec: Any) -> Json:
    return unit(version, template={"spec": {"containers": [{"name": "c", "image": "x"}]}}, **spec)


def path(body: Json) -> str:
    return OLD if body["apiVersion"].endswith("v1beta1") else NEW


async def applied(api: server.Api, body: Json, manager: str, query: str = "") -> Json:
    return await test_apply.applied(api, body, manager=manager, path=path(body), query=query)


async def refused(api: server.Api, body: Json, manager: str) -> str:
    reply = await test_apply.apply(api, body, manager=manager, path=path(body))
    assert reply.status == 409, reply.json
    message: str = reply.json["message"]
    return message


def entry_of(obj: Json, manager: str) -> Json:
    [found] = [one for one in obj["metadata"]["managedFields"] if one["manager"] == manager]
    return {"version": found["apiVersion"].rpartition("/")[2], **found["fieldsV1"].get("f:spec", {})}


async def test_entries_keep_their_versions_paths(api: server.Api) -> None:
    await applied(api, whole(env={"A": "1"}), "new")
    obj = await applied(api, unit("v1beta1", env={"B": "1"}), "old")
    assert entry_of(obj, "new")["f:env"] == {"f:A": {}}
    assert entry_of(obj, "old") == {
        "version": "v1beta1",
        "f:env": {'k:{"name":"B"}': {".": {}, "f:name": {}, "f:value": {}}},
    }
    assert await test_apply.stored(api, OLD) == obj
    assert (await test_apply.stored(api, NEW))["spec"]["env"] == {"A": "1", "B": "1"}


async def test_conflicts_are_seen_from_either_version(api: server.Api) -> None:
    await applied(api, whole(env={"A": "1"}), "new")
    assert await refused(api, unit("v1beta1", env={"A": "2"}), "old") == (
        'Apply failed with 1 conflict: conflict with "new": .spec.env.A'
    )
    # The same value is shared.
    await applied(api, unit("v1beta1", env={"A": "1"}), "old")
    assert await refused(api, unit(env={"A": "2"}), "third") == (
        'Apply failed with 2 conflicts: conflicts with "new":\n- .spec.env.A\n'
        'conflicts with "old":\n- .spec.env[name="A"].value'
    )
    obj = await applied(api, unit("v1beta1", env={"A": "3"}), "old", "&force=true")
    assert "f:env" not in entry_of(obj, "new")
    obj = await applied(api, unit(env={"A": "4"}), "third", "&force=true")
    assert obj["spec"]["env"] == {"A": "4"}
    # Of the item in the list, its name is not the winner's, nor is the item itself.
    assert entry_of(obj, "old")["f:env"] == {'k:{"name":"A"}': {".": {}, "f:name": {}}}


async def test_updates_take_fields_from_entries_of_the_other_version(api: server.Api) -> None:
    await applied(api, whole("v1beta1", env={"A": "1", "B": "1"}), "old")
    reply = await server.send(
        api.app, "PATCH", f"{NEW}?fieldManager=hand", {"spec": {"env": {"A": "2", "B": None}}}, headers=MERGE
    )
    obj = reply.json
    assert entry_of(obj, "hand") == {"version": "v1", "f:env": {"f:A": {}}}
    # The name of the item and the item itself are nobody else's.
    assert entry_of(obj, "old")["f:env"] == {'k:{"name":"A"}': {".": {}, "f:name": {}}}
    assert await refused(api, whole("v1beta1", env={"A": "1"}), "old") == (
        'Apply failed with 1 conflict: conflict with "hand" using boxfleet.dev/v1: .spec.env.A'
    )


async def test_what_was_applied_in_one_version_is_given_up_in_the_other(api: server.Api) -> None:
    await applied(api, whole("v1beta1", env={"A": "1", "B": "1", "C": "1"}), "me")
    await applied(api, unit(env={"C": "1"}), "other")
    obj = await applied(api, whole(env={"A": "1"}), "me")
    # Nobody else wants B; C is another's, in the other version.
    assert obj["spec"]["env"] == {"A": "1", "C": "1"}
    assert entry_of(obj, "me")["f:env"] == {"f:A": {}}
    # And back.
    obj = await applied(api, whole("v1beta1", env={"D": "1"}), "me")
    assert obj["spec"]["env"] == [{"name": "C", "value": "1"}, {"name": "D", "value": "1"}]
    obj = await applied(api, whole("v1beta1"), "me")
    assert obj["spec"]["env"] == [{"name": "C", "value": "1"}]


async def test_renamed_lists(api: server.Api) -> None:
    claim = {"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}}
    await applied(api, whole(volumeClaimTemplates=[claim]), "new")
    other = {"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "2Gi"}}}}
    message = await refused(api, unit("v1beta1", volumeClaims=[other]), "old")
    assert message.startswith('Apply failed with 1 conflict: conflict with "new": .spec.volumeClaimTemplates')
    obj = await applied(api, unit("v1beta1", volumeClaims=[claim]), "old")
    assert "f:volumeClaims" in entry_of(obj, "old") and "f:volumeClaimTemplates" in entry_of(obj, "new")
    # Given up by the one, kept by the other.
    obj = await applied(api, whole(), "new")
    assert [each["metadata"]["name"] for each in obj["spec"]["volumeClaimTemplates"]] == ["data"]
    obj = await applied(api, unit("v1beta1"), "old")
    assert "volumeClaims" not in obj["spec"]


async def test_an_apply_that_makes_no_object_of_its_version_is_refused(api: server.Api) -> None:
    await applied(api, whole(env={"A": "1"}), "me")
    reply = await test_apply.apply(api, unit("v1beta1", env=[{"name": "B"}]), manager="me", path=OLD)
    assert (reply.status, reply.json["reason"]) == (422, "Invalid")
    reply = await test_apply.apply(api, unit("v1beta1", env=[{"name": "B"}]), manager="other", path=OLD)
    assert (reply.status, reply.json["reason"]) == (422, "Invalid")


async def test_versions_of_a_custom_kind(api: server.Api) -> None:
    def version(name: str, **fields: str) -> Json:
        members = {field: {"type": type_} for field, type_ in fields.items()}
        schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": members}}}
        stored = name == "v1"
        return {"name": name, "served": True, "storage": stored, "schema": {"openAPIV3Schema": schema}}

    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "foos.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"kind": "Foo", "plural": "foos", "singular": "foo"},
            "versions": [version("v1", a="string", b="string"), version("v1beta1", a="string", b="string")],
        },
    }
    with api.store.watch("/", after=api.store.revision) as changes:
        assert (await server.send(api.app, "POST", DEFINITIONS, definition)).status == 201
        while (await server.send(api.app, "GET", "/apis/example.com/v1/foos")).status != 200:
            assert await changes.take(timeout=20.0)

    async def send(version: str, manager: str, query: str = "", **spec: str) -> server.Reply:
        body = {"apiVersion": f"example.com/{version}", "kind": "Foo", "metadata": {"name": "f"}, "spec": spec}
        where = f"/apis/example.com/{version}/namespaces/default/foos/f"
        return await test_apply.apply(api, body, manager=manager, path=where, query=query)

    assert (await send("v1", "new", a="1")).status == 201
    reply = await send("v1beta1", "old", a="2")
    assert reply.json["message"] == 'Apply failed with 1 conflict: conflict with "new": .spec.a'
    obj = (await send("v1beta1", "old", b="1")).json
    assert (entry_of(obj, "old"), entry_of(obj, "new")) == (
        {"version": "v1beta1", "f:b": {}},
        {"version": "v1", "f:a": {}},
    )
    obj = (await send("v1beta1", "new", b="1")).json
    assert obj["spec"] == {"b": "1"}
    assert entry_of(obj, "new") == {"version": "v1beta1", "f:b": {}}
