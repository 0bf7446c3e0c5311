"""An old kubectl and today's do the same with the same words."""

import json

import pytest
from tests.integration.streams import bed as beds

from boxfleet.api import pod as pods

pytestmark = [pytest.mark.anyio, pytest.mark.machine]

CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: a, labels: {app: x}}
data: {k: "%s"}
"""
BOX = """
apiVersion: boxfleet.dev/v1
kind: Box
metadata: {name: shop}
spec:
  units:
    db:
      replicas: %s
      template: {spec: {containers: [{name: c, image: "x:1"}]}}
"""
UNIT = """
apiVersion: boxfleet.dev/v1
kind: Unit
metadata: {name: u}
spec:
  replicas: 1
  template: {spec: {containers: [{name: c, image: "x:1"}]}}
"""


@pytest.fixture(params=beds.VERSIONS)
def kubectl(bed: beds.Bed, request: pytest.FixtureRequest) -> beds.Bed:
    return bed.speaking(request.param)


async def does(bed: beds.Bed, *words: str, stdin: str | None = None) -> str:
    done = await bed.kubectl(*words, stdin=None if stdin is None else stdin.encode())
    assert done.code == 0, f"{' '.join(words)}: {done.err}"
    return done.out.decode()


async def test_objects(kubectl: beds.Bed) -> None:
    assert await does(kubectl, "create", "-f", "-", stdin=CONFIG % 1) == "configmap/a created\n"
    assert await does(kubectl, "apply", "-f", "-", stdin=CONFIG % 2) == "configmap/a configured\n"
    assert await does(kubectl, "apply", "-f", "-", stdin=CONFIG % 2) == "configmap/a unchanged\n"
    assert (await does(kubectl, "get", "cm", "a")).split()[:3] == ["NAME", "DATA", "AGE"]
    assert await does(kubectl, "get", "cm", "a", "-o", "jsonpath={.data.k}") == "2"
    assert json.loads(await does(kubectl, "get", "cm", "-o", "json"))["kind"] == "List"
    for kind, patch in (
        ("merge", '{"data":{"l":"1"}}'),
        ("strategic", '{"data":{"m":"1"}}'),
        ("json", '[{"op":"remove","path":"/data/k"}]'),
    ):
        assert await does(kubectl, "patch", "cm", "a", f"--type={kind}", "-p", patch) == "configmap/a patched\n"
    assert await does(kubectl, "get", "cm", "a", "-o", "jsonpath={.data}") == '{"l":"1","m":"1"}'
    assert "Name:         a" in await does(kubectl, "describe", "cm", "a")
    await does(kubectl, "label", "cm", "a", "tier=web")
    await does(kubectl, "annotate", "cm", "a", "x.io/y=z")
    assert await does(kubectl, "get", "cm", "-l", "tier=web", "-o", "name") == "configmap/a\n"
    replaced = CONFIG % 3
    assert await does(kubectl, "replace", "-f", "-", stdin=replaced) == "configmap/a replaced\n"
    assert await does(kubectl, "delete", "cm", "a") == 'configmap "a" deleted\n'
    assert "NotFound" in (await kubectl.kubectl("get", "cm", "a")).err


async def test_own_kinds(kubectl: beds.Bed) -> None:
    assert await does(kubectl, "apply", "-f", "-", stdin=BOX % 1) == "box.boxfleet.dev/shop created\n"
    assert await does(kubectl, "apply", "-f", "-", stdin=BOX % 2) == "box.boxfleet.dev/shop configured\n"
    assert await does(kubectl, "apply", "-f", "-", stdin=BOX % 2) == "box.boxfleet.dev/shop unchanged\n"
    assert await does(kubectl, "apply", "-f", "-", stdin=UNIT) == "unit.boxfleet.dev/u created\n"
    assert await does(kubectl, "scale", "unit/u", "--replicas=3") == "unit.boxfleet.dev/u scaled\n"
    assert await does(kubectl, "get", "unit", "u", "-o", "jsonpath={.spec.replicas}") == "3"
    assert "replicas" in await does(kubectl, "explain", "box.spec.units")
    assert "Kind:         Box" in await does(kubectl, "describe", "box", "shop")
    assert "boxes" in await does(kubectl, "api-resources", "--api-group=boxfleet.dev", "-o", "name")
    await does(kubectl, "delete", "box/shop", "unit/u", "--wait=false")


async def test_what_is_wrong_is_found(kubectl: beds.Bed) -> None:
    done = await kubectl.kubectl("apply", "-f", "-", stdin=(UNIT + "  bogus: 1\n").encode())
    assert done.code != 0
    assert "bogus" in done.err
    done = await kubectl.kubectl("apply", "-f", "-", stdin=UNIT.replace("replicas: 1", "replicas: -1").encode())
    assert done.code != 0
    assert "spec.replicas" in done.err
    done = await kubectl.kubectl("create", "--dry-run=server", "-f", "-", stdin=(CONFIG % 1).encode())
    assert (done.code, done.out) == (0, b"configmap/a created (server dry run)\n"), done.err
    assert (await kubectl.kubectl("get", "cm", "a")).code != 0


async def test_pods(kubectl: beds.Bed) -> None:
    await kubectl.pod("p", ["sh", "-c", "echo hello; exec sleep 100000"])
    assert "p" in await does(kubectl, "get", "pods", "-A")
    assert await does(kubectl, "logs", "p") == "hello\n"
    done = await kubectl.kubectl("exec", "-i", "p", "--", "sh", "-c", "cat; exit 7", stdin=b"in")
    assert (done.code, done.out) == (7, b"in")
    assert "Node:" in await does(kubectl, "describe", "pod", "p")
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    waiting = await kubectl.start("wait", "--for=condition=Ready", "pod/p", "--timeout=20s")
    await does(kubectl, "get", "pod", "p", "-o", "yaml")
    await kubectl.api.node.patch(pods.Pod, "p", ready, namespace="default", subresource="status")
    out, err = await waiting.communicate()
    assert out == b"pod/p condition met\n", err
    assert await does(kubectl, "delete", "pod", "p", "--grace-period=0", "--force") == ('pod "p" force deleted\n')
