"""Custom resources with the real kubectl and the official Python client: the CronTab of Kubernetes' documentation."""

import asyncio
import pathlib
from collections.abc import AsyncIterator

import kubernetes
import pytest
import yaml
from tests.integration.apiserver import test_kubectl

from boxfleet.testing import server

pytestmark = test_kubectl.pytestmark

NAME = "crontabs.stable.example.com"
CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: crontabs.stable.example.com
spec:
  group: stable.example.com
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              description: What is wanted.
              properties:
                cronSpec:
                  type: string
                  description: When it runs.
                  pattern: '^(\\d+|\\*)(/\\d+)?(\\s+(\\d+|\\*)(/\\d+)?){4}$'
                image:
                  type: string
                replicas:
                  type: integer
                  minimum: 1
                  maximum: 10
            status:
              type: object
              properties:
                replicas:
                  type: integer
                labelSelector:
                  type: string
      subresources:
        status: {}
        scale:
          specReplicasPath: .spec.replicas
          statusReplicasPath: .status.replicas
          labelSelectorPath: .status.labelSelector
      additionalPrinterColumns:
        - {name: Spec, type: string, description: The cron spec, jsonPath: .spec.cronSpec}
        - {name: Replicas, type: integer, description: How many, jsonPath: .spec.replicas}
        - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
  scope: Namespaced
  names:
    plural: crontabs
    singular: crontab
    kind: CronTab
    shortNames: [ct]
    categories: [all]
"""
TAB = """
apiVersion: "stable.example.com/v1"
kind: CronTab
metadata:
  name: my-new-cron-object
spec:
  cronSpec: "* * * * */5"
  image: my-awesome-cron-image
  replicas: %s
"""


@pytest.fixture
async def socket(tmp_path: pathlib.Path, anyio_backend: str) -> AsyncIterator[server.Socket]:
    async with server.running(tmp_path) as api, server.on_socket(api, tmp_path) as found:
        yield found


@pytest.fixture
async def kubectl(socket: server.Socket, tmp_path: pathlib.Path) -> test_kubectl.Kubectl:
    return test_kubectl.Kubectl(socket.kubeconfig, tmp_path)


async def test_the_documentations_crontab(kubectl: test_kubectl.Kubectl) -> None:
    made = await kubectl("apply", "-f", "-", stdin=CRD)
    assert made == f"customresourcedefinition.apiextensions.k8s.io/{NAME} created\n"
    met = await kubectl("wait", "--for=condition=Established", f"crd/{NAME}", "--timeout=20s")
    assert met.endswith("condition met\n")
    assert (await kubectl("apply", "-f", "-", stdin=CRD)).endswith("unchanged\n")
    assert (await kubectl("get", "crd")).split()[:3] == ["NAME", "CREATED", "AT"]
    fields = await kubectl("explain", "crontab", "--recursive")
    assert "cronSpec\t<string>" in fields
    assert "When it runs." in await kubectl("explain", "ct.spec.cronSpec")
    one = "crontab.stable.example.com/my-new-cron-object"
    assert await kubectl("apply", "-f", "-", stdin=TAB % 1) == f"{one} created\n"
    assert await kubectl("apply", "-f", "-", stdin=TAB % 1) == f"{one} unchanged\n"
    assert await kubectl("apply", "-f", "-", stdin=TAB % 2) == f"{one} configured\n"
    head, row = (await kubectl("get", "ct")).splitlines()
    assert head.split() == ["NAME", "SPEC", "REPLICAS", "AGE"]
    assert row.split()[:7] == ["my-new-cron-object", "*", "*", "*", "*", "*/5", "2"]
    assert "my-new-cron-object" in await kubectl("get", "all")
    assert await kubectl("scale", "ct/my-new-cron-object", "--replicas=5") == f"{one} scaled\n"
    assert await kubectl("get", "ct", "-o", "jsonpath={.items[0].spec.replicas}") == "5"
    assert "Spec:" in await kubectl("describe", "ct", "my-new-cron-object")
    await kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=TAB % 3)
    assert "unknown field" in await kubectl.fails(
        "apply", "--validate=strict", "-f", "-", stdin=TAB % 3 + "  bogus: 1\n"
    )
    refused = await kubectl.fails("apply", "-f", "-", stdin=TAB % 11)
    assert "spec.replicas in body should be less than or equal to 10" in refused
    assert await kubectl("delete", "crd", NAME) == f'customresourcedefinition.apiextensions.k8s.io "{NAME}" deleted\n'
    assert "the server" in await kubectl.fails("get", "ct")


async def test_edit(kubectl: test_kubectl.Kubectl, tmp_path: pathlib.Path) -> None:
    await kubectl("apply", "-f", "-", stdin=CRD)
    await kubectl("wait", "--for=condition=Established", f"crd/{NAME}", "--timeout=20s")
    await kubectl("apply", "-f", "-", stdin=TAB % 1)
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/replicas: 1/replicas: 7/" "$1"\n')
    editor.chmod(0o755)
    kubectl.set("KUBE_EDITOR", str(editor))
    assert (await kubectl("edit", "ct", "my-new-cron-object")).endswith("edited\n")
    assert await kubectl("get", "ct", "-o", "jsonpath={.items[0].spec.replicas}") == "7"
    await kubectl("edit", "crd", NAME)


async def test_the_older_version_of_our_own_kinds(kubectl: test_kubectl.Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=test_kubectl.BOX % 1)
    old = yaml.safe_load(await kubectl("get", "boxes.v1beta1.boxfleet.dev", "shop", "-o", "yaml"))
    assert old["apiVersion"] == "boxfleet.dev/v1beta1"
    code, _, err = await kubectl.raw("get", "boxes.v1beta1.boxfleet.dev")
    assert (code, "Warning: boxfleet.dev/v1beta1 Box is deprecated; use boxfleet.dev/v1 Box" in err) == (0, True)
    old["spec"]["units"]["db"]["env"] = [{"name": "A", "value": "1"}]
    await kubectl("apply", "-f", "-", stdin=yaml.safe_dump(old))
    assert await kubectl("get", "box", "shop", "-o", "jsonpath={.spec.units.db.env}") == '{"A":"1"}'


async def test_the_official_python_client(socket: server.Socket) -> None:
    await asyncio.to_thread(_with_the_python_client, socket)


def _with_the_python_client(socket: server.Socket) -> None:
    settings = kubernetes.client.Configuration(host=socket.url)
    settings.ssl_ca_cert = str(socket.ca_file)
    settings.api_key = {"authorization": f"Bearer {server.ADMIN_TOKEN}"}
    with kubernetes.client.ApiClient(settings) as client:
        kubernetes.utils.create_from_dict(client, yaml.safe_load(CRD))
        extensions = kubernetes.client.ApiextensionsV1Api(client)
        watch = kubernetes.watch.Watch()
        for event in watch.stream(extensions.list_custom_resource_definition, timeout_seconds=20):
            conditions = event["object"].status.conditions or []
            if any(each.type == "Established" and each.status == "True" for each in conditions):
                watch.stop()
        tabs = kubernetes.client.CustomObjectsApi(client)
        where = {"group": "stable.example.com", "version": "v1", "namespace": "default", "plural": "crontabs"}
        made = tabs.create_namespaced_custom_object(**where, body=yaml.safe_load(TAB % 1))
        name = made["metadata"]["name"]
        changed = tabs.patch_namespaced_custom_object(**where, name=name, body={"spec": {"replicas": 4}})
        assert changed["spec"]["replicas"] == 4
        scale = tabs.get_namespaced_custom_object_scale(**where, name=name)
        assert scale["spec"]["replicas"] == 4
        status = tabs.patch_namespaced_custom_object_status(**where, name=name, body={"status": {"replicas": 4}})
        assert status["status"] == {"replicas": 4}
        assert len(tabs.list_namespaced_custom_object(**where)["items"]) == 1
        tabs.delete_namespaced_custom_object(**where, name=name)
        extensions.delete_custom_resource_definition(NAME)
