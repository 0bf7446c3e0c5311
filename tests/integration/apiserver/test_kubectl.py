"""The real kubectl against the real server over TLS."""

import asyncio
import contextlib
import os
import pathlib
import shutil
from collections.abc import AsyncIterator

import pytest

from boxfleet.testing import server

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="this machine lacks kubectl; ./run test installs it"),
]

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
  replicas: %s
  template: {spec: {containers: [{name: c, image: "x:1"}]}}
"""


class Kubectl:
    """Runs kubectl with a kubeconfig."""

    def __init__(self, kubeconfig: pathlib.Path, home: pathlib.Path) -> None:
        self._environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "HOME": str(home)}

    def set(self, name: str, value: str) -> None:
        """Run it with a further environment variable."""
        self._environment[name] = value

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            "kubectl",
            *arguments,
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def __call__(self, *arguments: str, stdin: str = "") -> str:
        """Standard output of a call that goes well."""
        code, out, err = await self.raw(*arguments, stdin=stdin)
        assert code == 0, f"kubectl {' '.join(arguments)}: {err}"
        return out

    async def fails(self, *arguments: str, stdin: str = "") -> str:
        """Standard error of a call that does not."""
        code, out, err = await self.raw(*arguments, stdin=stdin)
        assert code != 0, f"kubectl {' '.join(arguments)} went well: {out}"
        return err.strip()

    async def raw(self, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
        process = await self.start(*arguments)
        async with asyncio.timeout(30):
            out, err = await process.communicate(stdin.encode())
        return process.returncode or 0, out.decode(), err.decode()


@pytest.fixture
async def api(tmp_path: pathlib.Path, anyio_backend: str) -> AsyncIterator[server.Api]:
    async with server.running(tmp_path) as running:
        yield running


@pytest.fixture
async def kubectl(api: server.Api, tmp_path: pathlib.Path) -> AsyncIterator[Kubectl]:
    async with server.on_socket(api, tmp_path) as socket:
        yield Kubectl(socket.kubeconfig, tmp_path)


async def test_create_get_label_patch_delete(kubectl: Kubectl) -> None:
    assert await kubectl("create", "-f", "-", stdin=CONFIG % 1) == "configmap/a created\n"
    assert "AlreadyExists" in await kubectl.fails("create", "-f", "-", stdin=CONFIG % 1)
    assert (await kubectl("get", "cm", "-A")).split()[:4] == ["NAMESPACE", "NAME", "DATA", "AGE"]
    assert await kubectl("label", "cm", "a", "tier=web") == "configmap/a labeled\n"
    assert await kubectl("get", "cm", "-l", "tier in (web),app=x", "-o", "name") == "configmap/a\n"
    await kubectl("patch", "cm", "a", "-p", '{"data":{"l":"2"}}')
    await kubectl("patch", "cm", "a", "--type=merge", "-p", '{"data":{"k":null}}')
    await kubectl("patch", "cm", "a", "--type=json", "-p", '[{"op":"add","path":"/data/m","value":"3"}]')
    assert await kubectl("get", "cm", "a", "-o", "jsonpath={.data}") == '{"l":"2","m":"3"}'
    assert await kubectl("delete", "cm", "a") == 'configmap "a" deleted\n'
    assert await kubectl.fails("get", "cm", "a") == 'Error from server (NotFound): configmaps "a" not found'


async def test_apply_and_apply_again(kubectl: Kubectl) -> None:
    for manifest, created, changed in (
        (CONFIG, "configmap/a", "configmap/a"),
        (BOX, "box.boxfleet.dev/shop", "box.boxfleet.dev/shop"),
    ):
        assert await kubectl("apply", "-f", "-", stdin=manifest % 1) == f"{created} created\n"
        assert await kubectl("apply", "-f", "-", stdin=manifest % 1) == f"{changed} unchanged\n"
        assert await kubectl("apply", "-f", "-", stdin=manifest % 2) == f"{changed} configured\n"
    assert await kubectl("get", "box", "shop", "-o", "jsonpath={.spec.units.db.replicas}{.metadata.generation}") == "22"
    assert "replicas" in await kubectl("explain", "box.spec.units")
    assert "Kind:         Box" in await kubectl("describe", "box", "shop")


async def test_kubectls_own_generators(kubectl: Kubectl) -> None:
    await kubectl("create", "namespace", "team")
    await kubectl("create", "configmap", "c", "--from-literal=a=b", "-n", "team")
    await kubectl("create", "secret", "generic", "s", "--from-literal=a=b", "-n", "team")
    await kubectl("create", "serviceaccount", "robot", "-n", "team")
    await kubectl("run", "web", "--image=x:1", "-n", "team")
    names = await kubectl("get", "cm,secret,sa,pod", "-n", "team", "-o", "name")
    assert names.split() == ["configmap/c", "secret/s", "serviceaccount/robot", "pod/web"]
    assert await kubectl("get", "secret", "s", "-n", "team", "-o", "jsonpath={.data.a}") == "Yg=="


async def test_scale_and_wait(kubectl: Kubectl, api: server.Api) -> None:
    await kubectl("apply", "-f", "-", stdin=UNIT % 1)
    assert await kubectl("scale", "unit/u", "--replicas=3") == "unit.boxfleet.dev/u scaled\n"
    assert await kubectl("get", "unit", "u", "-o", "jsonpath={.spec.replicas}") == "3"
    waiting = await kubectl.start("wait", "--for=condition=Ready", "unit/u", "--timeout=20s")
    ready = {"type": "Ready", "status": "True", "reason": "AllReady", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    status = {"status": {"conditions": [ready], "replicas": 3}}
    headers = {"content-type": "application/merge-patch+json"}
    path = "/apis/boxfleet.dev/v1/namespaces/default/units/u/status"
    reply = await server.send(api.app, "PATCH", path, status, headers=headers)
    assert reply.status == 200, reply.body
    out, _ = await asyncio.wait_for(waiting.communicate(), 20)
    assert out == b"unit.boxfleet.dev/u condition met\n"
    assert "timed out waiting" in await kubectl.fails("wait", "--for=condition=Odd", "unit/u", "--timeout=1s")


async def test_watching(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=CONFIG % 1)
    process = await kubectl.start(
        "get", "cm", "a", "-w", "--output-watch-events", "-o", "custom-columns=EVENT:.type,K:.object.data.k"
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            lines = [await process.stdout.readline() for _ in range(2)]
            await kubectl("apply", "-f", "-", stdin=CONFIG % 2)
            lines.append(await process.stdout.readline())
            await kubectl("delete", "cm", "a")
            lines.append(await process.stdout.readline())
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
    assert [line.split() for line in lines] == [
        [b"EVENT", b"K"],
        [b"ADDED", b"1"],
        [b"MODIFIED", b"2"],
        [b"DELETED", b"2"],
    ]


async def test_what_is_wrong_is_said(kubectl: Kubectl) -> None:
    unknown = UNIT % 1 + "  bogus: 1\n"
    error = await kubectl.fails("create", "-f", "-", stdin=unknown)
    assert 'strict decoding error: unknown field "spec.bogus"' in error
    code, out, err = await kubectl.raw("create", "--validate=warn", "-f", "-", stdin=unknown)
    assert (code, out) == (0, "unit.boxfleet.dev/u created\n")
    assert 'Warning: unknown field "spec.bogus"' in err
    error = await kubectl.fails("apply", "-f", "-", stdin=(UNIT % -1).replace("name: u}", "name: v}"))
    assert error.startswith('The Unit "v" is invalid: spec.replicas: Invalid value: -1')
    error = await kubectl.fails("apply", "-f", "-", "-n", "nowhere", stdin=CONFIG % 1)
    assert error.endswith('namespaces "nowhere" not found')
    assert "the server doesn't have a resource type" in await kubectl.fails("get", "widgets")


async def test_a_stale_edit_is_a_conflict(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=CONFIG % 1)
    stale = await kubectl("get", "cm", "a", "-o", "json")
    await kubectl("label", "cm", "a", "x=y")
    error = await kubectl.fails("replace", "-f", "-", stdin=stale)
    assert "Error from server (Conflict)" in error
    assert error.endswith(
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )


async def test_the_server_about_itself(kubectl: Kubectl) -> None:
    assert await kubectl("get", "--raw", "/readyz") == "ok"
    assert "Server Version: v1.32.0" in await kubectl("version")
    listed = await kubectl("api-resources", "--no-headers")
    assert {"boxes", "units", "pods", "nodes", "addresses"} <= {line.split()[0] for line in listed.splitlines()}


async def test_strangers_are_turned_away(api: server.Api, tmp_path: pathlib.Path) -> None:
    async with server.on_socket(api, tmp_path) as socket:
        node = Kubectl(socket.node_kubeconfig, tmp_path)
        error = await node.fails("get", "boxes")
        assert error.startswith("Error from server (Forbidden): boxes.boxfleet.dev is forbidden: User")
        socket.node_kubeconfig.write_text(socket.node_kubeconfig.read_text().replace(server.NODE_TOKEN, "guess"))
        assert "Unauthorized" in await node.fails("get", "pods")


async def test_a_stopping_server_ends_watches(api: server.Api, tmp_path: pathlib.Path) -> None:
    async with server.on_socket(api, tmp_path) as socket:
        kubectl = Kubectl(socket.kubeconfig, tmp_path)
        process = await kubectl.start("get", "cm", "-A", "-w", "-o", "name")
        await kubectl("apply", "-f", "-", stdin=CONFIG % 1)
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 20) == b"configmap/a\n"
    await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0


async def test_what_kubectl_cannot_do_with_a_unit_it_does_by_label(kubectl: Kubectl) -> None:
    await kubectl("create", "-f", "-", stdin=UNIT % 1)
    for words in (["logs", "unit/u"], ["exec", "unit/u", "--", "id"], ["port-forward", "unit/u", "8080"]):
        assert 'no kind "Unit" is registered' in await kubectl.fails(*words)
    assert 'no kind "Unit" is registered' in await kubectl.fails("set", "image", "unit/u", "c=y:1")
    assert "No resources found" in (await kubectl.raw("logs", "-l", "boxfleet.dev/unit=u"))[2]
