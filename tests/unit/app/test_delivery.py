"""Delivering to a real server: kinds that it serves, also ones that the delivery itself defines."""

import contextlib
import pathlib
from collections.abc import AsyncIterator

import pytest

from boxfleet.app import delivery, manifests
from boxfleet.testing import server, views

pytestmark = pytest.mark.anyio

TAB = "apiVersion: example.com/v1\nkind: CronTab\nmetadata: {name: a}\nspec: {replicas: 2}\n"
DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: crontabs.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: crontabs, singular: crontab, kind: CronTab}
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties: {spec: {type: object, properties: {replicas: {type: integer, maximum: 3}}}}
"""
BOX = """
kind: Box
metadata: {name: b}
spec: {units: {x: {template: {spec: {containers: [{name: m, image: x}]}}}}}
"""


@pytest.fixture
async def api(tmp_path: pathlib.Path, anyio_backend: str) -> AsyncIterator[server.Api]:
    async with server.running(tmp_path / "server") as running:
        yield running


async def deliver(api: server.Api, folder: pathlib.Path, *documents: str) -> list[str]:
    """What is said of the delivery of a file of these documents."""
    file = folder / "all.yaml"
    file.write_text("---\n".join(documents))
    said: list[str] = []
    bundle = await delivery.resolved(api.admin, manifests.read(file, namespace="default"))
    await delivery.check(api.admin, bundle)
    await delivery.apply(api.admin, bundle, say=said.append)
    return said


async def test_a_kind_is_defined_before_its_objects_are_made(api: server.Api, tmp_path: pathlib.Path) -> None:
    said = await deliver(api, tmp_path, TAB, DEFINITION)
    assert said == ["customresourcedefinition crontabs.example.com created", "crontab default/a created"]
    made = await api.admin.call("GET", "/apis/example.com/v1/namespaces/default/crontabs/a")
    assert made["spec"] == {"replicas": 2}
    assert await deliver(api, tmp_path, TAB) == ["crontab default/a unchanged"]
    assert await deliver(api, tmp_path, TAB.replace("2", "3"), DEFINITION) == [
        "customresourcedefinition crontabs.example.com unchanged",
        "crontab default/a configured",
    ]


async def test_what_the_server_says_against_it_is_told(api: server.Api, tmp_path: pathlib.Path) -> None:
    with pytest.raises(delivery.Refused, match=r"(?s)crontab default/a:.*spec.replicas.*what came before it was"):
        await deliver(api, tmp_path, DEFINITION, TAB.replace("2", "9"))
    with pytest.raises(delivery.Refused, match=r"spec.versions"):
        await deliver(api, tmp_path, DEFINITION.replace("storage: true", "storage: false").replace("example", "other"))


@pytest.mark.parametrize(
    ("version", "kind", "words"),
    [
        ("boxfleet.dev/v1", "Boxx", "does not serve boxfleet.dev/v1 Boxx; did you mean boxfleet.dev/v1 Box"),
        ("v1beta7", "ConfigMap", "did you mean v1 ConfigMap\\?$"),
        ("apps/v1", "Deployment", "kubectl api-resources lists"),
        ("example.com/v1", "CronTabs", "did you mean example.com/v1 CronTab"),
    ],
)
async def test_unknown_kinds_get_a_near_one(
    api: server.Api, tmp_path: pathlib.Path, version: str, kind: str, words: str
) -> None:
    await deliver(api, tmp_path, DEFINITION, TAB)
    with pytest.raises(delivery.Refused, match=words):
        await deliver(api, tmp_path, f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\n")


async def test_a_version_that_is_not_defined_is_refused_before_anything_is_made(
    api: server.Api, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(delivery.Refused, match=r"does not serve example.com/v2 CronTab"):
        await deliver(api, tmp_path, DEFINITION, TAB.replace("v1", "v2"))
    definitions = await api.admin.call("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
    assert definitions["items"] == []


async def test_older_versions_of_own_kinds_are_watched_like_the_newest(api: server.Api, tmp_path: pathlib.Path) -> None:
    (tmp_path / "box.yaml").write_text("apiVersion: boxfleet.dev/v1beta1" + BOX)
    bundle = await delivery.resolved(api.admin, manifests.read(tmp_path / "box.yaml", namespace="default"))
    await delivery.apply(api.admin, bundle, say=lambda _: None)
    async with contextlib.aclosing(delivery.progress(api.admin, bundle, timeout=0, since=views.NOW)) as looks:
        async for look in looks:
            assert not look.done and [part.name for part in look.parts] == ["default/b"]
