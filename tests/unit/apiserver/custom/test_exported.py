"""Our own kinds as definitions: a server that knows them only so takes the same objects."""

import asyncio
import pathlib
from typing import Any

import pytest
import yaml

from boxfleet.api import catalog, kind
from boxfleet.apiserver.custom import definition_rules, exported
from boxfleet.testing import server

pytestmark = pytest.mark.anyio

OWN = [each for each in catalog.TYPES if each.KIND.group == kind.GROUP]
OTHERS = [each for each in catalog.TYPES if each.KIND.group != kind.GROUP]
EXAMPLES = pathlib.Path(__file__).parents[4] / "examples"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def _definitions(*, selectable: bool = True) -> dict[str, dict[str, Any]]:
    return {each["spec"]["names"]["kind"]: each for each in exported.definitions(OWN, selectable=selectable)}


def _schema(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = _definitions()[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


async def test_every_own_kind_has_a_definition_without_fault() -> None:
    for selectable in (False, True):
        found = _definitions(selectable=selectable)
        assert sorted(found) == sorted(each.KIND.kind for each in OWN)
        for each in found.values():
            definition_rules.default(each)
            assert definition_rules.validate(each, None) == []


async def test_names_subresources_and_columns_are_those_of_the_kind() -> None:
    unit = _definitions()["Unit"]["spec"]
    assert unit["names"] == {
        "plural": "units", "singular": "unit", "kind": "Unit", "listKind": "UnitList", "shortNames": ["un"],
        "categories": ["all", "boxfleet"],
    }  # fmt: skip
    assert unit["scope"] == "Namespaced"
    [version] = unit["versions"]
    assert version["subresources"] == {
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    }  # fmt: skip
    columns = {each["name"]: (each["type"], each["jsonPath"]) for each in version["additionalPrinterColumns"]}
    assert columns["Ready"] == ("string", ".status.readyReplicas")
    assert columns["Status"] == ("string", '.status.conditions[?(@.type=="Ready")].reason')
    assert columns["Age"] == ("date", ".metadata.creationTimestamp")
    assert "subresources" not in _definitions()["NamespaceSet"]["spec"]["versions"][0]


async def test_fields_are_selectable_where_the_server_knows_such() -> None:
    [version] = _definitions()["Placement"]["spec"]["versions"]
    assert version["selectableFields"] == [{"jsonPath": ".spec.unit"}, {"jsonPath": ".spec.cluster"}]
    [older] = _definitions(selectable=False)["Placement"]["spec"]["versions"]
    assert "selectableFields" not in older


async def test_a_pod_template_is_known_to_its_last_field_and_has_no_bookkeeping() -> None:
    units = _schema("Box")["properties"]["spec"]["properties"]["units"]["additionalProperties"]["properties"]
    template = units["template"]["properties"]
    assert "creationTimestamp" not in template["metadata"]["properties"]
    assert "labels" in template["metadata"]["properties"]
    container = template["spec"]["properties"]["containers"]["items"]
    assert container["required"] == ["name"]
    assert container["properties"]["volumeMounts"]["x-kubernetes-list-map-keys"] == ["mountPath"]
    # A protocol may be missing there, and what a list holds is not filled in.
    assert container["properties"]["ports"]["x-kubernetes-list-type"] == "atomic"
    assert container["properties"]["resources"]["properties"]["limits"]["additionalProperties"]["pattern"]
    assert units["replicas"]["default"] == 1
    # As our own server, which keeps lists as they were written.
    assert "default" not in units["dependsOn"]["items"]["properties"]["condition"]


async def test_names_are_as_short_as_the_kind_asks() -> None:
    assert _schema("Box")["properties"]["metadata"]["properties"]["name"]["maxLength"] == 63
    assert _schema("Address")["properties"]["metadata"] == {"type": "object"}


async def test_a_server_that_knows_them_as_custom_kinds_stores_the_same(tmp_path: pathlib.Path) -> None:
    for folder in ("own", "custom"):
        (tmp_path / folder).mkdir()
    async with (
        server.running(tmp_path / "own") as own,
        server.running(tmp_path / "custom", types=OTHERS) as custom,
    ):
        for each in _definitions().values():
            answer = await server.send(custom.app, "POST", CRDS, each)
            assert answer.status == 201, answer.json
            await _established(custom, each["metadata"]["name"])
        for file in ("wordpress/box.yaml", "zookeeper/box.yaml"):
            for found in yaml.safe_load_all((EXAMPLES / file).read_text()):
                if found["kind"] != "Box":
                    continue
                path = f"/apis/{kind.GROUP}/v1/namespaces/default/boxes"
                stored = [await server.send(each.app, "POST", path, found) for each in (own, custom)]
                assert [each.status for each in stored] == [201, 201], stored[1].json
                assert stored[0].json["spec"] == stored[1].json["spec"]


async def _established(api: server.Api, name: str) -> None:
    async with asyncio.timeout(20):
        while True:
            crd = (await server.send(api.app, "GET", f"{CRDS}/{name}")).json
            conditions = {each["type"]: each["status"] for each in crd.get("status", {}).get("conditions", [])}
            if conditions.get("Established") == "True":
                return
            await asyncio.sleep(0)
