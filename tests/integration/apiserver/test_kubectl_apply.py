"""The real kubectl's ways of changing objects: apply on either side, diff, edit, replace, set, label, annotate."""

import asyncio
import os
import pathlib
import shutil
from collections.abc import AsyncIterator

import pytest
import yaml

from boxfleet.testing import server

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="this machine lacks kubectl; ./run test installs it"),
]

EXAMPLES = pathlib.Path(__file__).parents[3] / "examples"
CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: a, labels: {app: x}}
data: {k: "%s"}
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  containers:
  - {name: web, image: "x:1", ports: [{containerPort: 80}], env: [{name: A, value: "1"}]}
  - {name: log, image: "y:1"}
"""
SERVER_SIDE = ("apply", "--server-side", "-f", "-")


class Kubectl:
    """Runs kubectl with a kubeconfig."""

    def __init__(self, kubeconfig: pathlib.Path, home: pathlib.Path) -> None:
        self._environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "HOME": str(home)}

    async def __call__(self, *arguments: str, stdin: str = "", **environment: str) -> str:
        """Standard output of a call that goes well."""
        code, out, err = await self.raw(*arguments, stdin=stdin, **environment)
        assert code == 0, f"kubectl {' '.join(arguments)}: {err}"
        return out

    async def fails(self, *arguments: str, stdin: str = "", **environment: str) -> str:
        """Standard error of a call that does not."""
        code, out, err = await self.raw(*arguments, stdin=stdin, **environment)
        assert code != 0, f"kubectl {' '.join(arguments)} went well: {out}"
        return err.strip()

    async def raw(self, *arguments: str, stdin: str = "", **environment: str) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            "kubectl",
            *arguments,
            env=self._environment | environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            out, err = await process.communicate(stdin.encode())
        return process.returncode or 0, out.decode(), err.decode()

    async def managers(self, *what: str) -> list[str]:
        """Who owns something of an object."""
        found = await self("get", *what, "--show-managed-fields", "-o", "jsonpath={.metadata.managedFields[*].manager}")
        return found.split()


@pytest.fixture
async def kubectl(tmp_path: pathlib.Path, anyio_backend: str) -> AsyncIterator[Kubectl]:
    async with server.running(tmp_path) as api, server.on_socket(api, tmp_path) as socket:
        yield Kubectl(socket.kubeconfig, tmp_path)


async def test_server_side_apply(kubectl: Kubectl) -> None:
    for value in ("1", "1", "2"):
        assert await kubectl(*SERVER_SIDE, stdin=CONFIG % value) == "configmap/a serverside-applied\n"
    revision = await kubectl("get", "cm", "a", "-o", "jsonpath={.metadata.resourceVersion}")
    await kubectl(*SERVER_SIDE, stdin=CONFIG % "2")
    assert await kubectl("get", "cm", "a", "-o", "jsonpath={.metadata.resourceVersion}") == revision
    assert await kubectl.managers("cm", "a") == ["kubectl"]
    assert "managedFields" not in await kubectl("get", "cm", "a", "-o", "yaml")


async def test_conflicts_are_shown_and_can_be_forced(kubectl: Kubectl) -> None:
    await kubectl("create", "-f", "-", stdin=CONFIG % "1")
    text = await kubectl.fails(*SERVER_SIDE, stdin=CONFIG % "2")
    assert 'Apply failed with 1 conflict: conflict with "kubectl-create" using v1: .data.k' in text
    assert "Please review the fields above" in text
    await kubectl(*SERVER_SIDE, "--force-conflicts", stdin=CONFIG % "2")
    text = await kubectl.fails(*SERVER_SIDE, "--field-manager=other", stdin=CONFIG % "3")
    assert 'conflict with "kubectl": .data.k' in text
    assert await kubectl("get", "cm", "a", "-o", "jsonpath={.data.k}") == "2"


async def test_from_client_side_to_server_side_and_back(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=CONFIG % "1")
    assert await kubectl.managers("cm", "a") == ["kubectl-client-side-apply"]
    shown = yaml.safe_load(await kubectl("apply", "view-last-applied", "cm", "a"))
    assert shown["data"] == {"k": "1"}
    await kubectl(*SERVER_SIDE, stdin=CONFIG % "2")
    assert await kubectl("get", "cm", "a", "-o", "jsonpath={.data.k}") == "2"
    # kubectl itself has handed the fields of the client side over.
    assert "kubectl-client-side-apply" not in await kubectl.managers("cm", "a")
    await kubectl(*SERVER_SIDE, stdin=CONFIG.replace("labels: {app: x}", "labels: {}") % "3")
    assert await kubectl("get", "cm", "a", "-o", "jsonpath={.metadata.labels}") in ("", "{}")
    assert yaml.safe_load(await kubectl("apply", "view-last-applied", "cm", "a"))["data"] == {"k": "3"}
    assert await kubectl("apply", "-f", "-", stdin=CONFIG % "3") == "configmap/a configured\n"
    assert await kubectl("apply", "-f", "-", stdin=CONFIG % "3") == "configmap/a unchanged\n"


async def test_client_side_apply_takes_back_what_it_gave(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=POD)
    assert await kubectl("apply", "-f", "-", stdin=POD) == "pod/p unchanged\n"
    assert await kubectl("apply", "-f", "-", stdin=POD.replace("x:1", "x:2")) == "pod/p configured\n"
    assert await kubectl("get", "pod", "p", "-o", "jsonpath={.spec.containers[*].image}") == "x:2 y:1"
    more = CONFIG.replace("\ndata: {", '\ndata: {l: "1", ')
    await kubectl("apply", "-f", "-", stdin=more % "1")
    await kubectl("patch", "cm", "a", "-p", '{"data":{"mine":"1"}}')
    await kubectl("apply", "-f", "-", stdin=CONFIG % "1")
    assert await kubectl("get", "cm", "a", "-o", "jsonpath={.data}") == '{"k":"1","mine":"1"}'


async def test_diff_both_ways(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=CONFIG % "1")
    for side in ((), ("--server-side",)):
        assert await kubectl("diff", *side, "-f", "-", stdin=CONFIG % "1") == ""
        code, out, _ = await kubectl.raw("diff", *side, "-f", "-", stdin=CONFIG % "2")
        assert code == 1
        assert '+  k: "2"' in out
    code, out, _ = await kubectl.raw("diff", "-f", "-", stdin=POD)
    assert code == 1
    assert "+kind: Pod" in out
    assert await kubectl("get", "cm,pod", "-o", "name") == "configmap/a\n"


async def test_edit_and_replace(kubectl: Kubectl, tmp_path: pathlib.Path) -> None:
    await kubectl("create", "-f", "-", stdin=CONFIG % "1")
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i \'s/k: "1"/k: "9"/\' "$1"\n')
    editor.chmod(0o755)
    assert await kubectl("edit", "cm", "a", EDITOR=str(editor)) == "configmap/a edited\n"
    assert await kubectl("get", "cm", "a", "-o", "jsonpath={.data.k}") == "9"
    assert "kubectl-edit" in await kubectl.managers("cm", "a")
    assert await kubectl("replace", "-f", "-", stdin=CONFIG % "3") == "configmap/a replaced\n"
    uid = await kubectl("get", "cm", "a", "-o", "jsonpath={.metadata.uid}")
    assert "configmap/a replaced" in await kubectl("replace", "--force", "-f", "-", stdin=CONFIG % "4")
    assert await kubectl("get", "cm", "a", "-o", "jsonpath={.metadata.uid}") != uid


async def test_single_fields(kubectl: Kubectl) -> None:
    await kubectl("create", "-f", "-", stdin=POD)
    assert await kubectl("set", "image", "pod/p", "web=x:3") == "pod/p image updated\n"
    assert await kubectl("get", "pod", "p", "-o", "jsonpath={.spec.containers[*].image}") == "x:3 y:1"
    await kubectl("label", "pod", "p", "tier=web")
    assert "--overwrite is false" in await kubectl.fails("label", "pod", "p", "tier=db")
    assert await kubectl("label", "pod", "p", "tier=db", "--overwrite") == "pod/p labeled\n"
    assert await kubectl("label", "pod", "p", "tier-") == "pod/p unlabeled\n"
    assert await kubectl("annotate", "pod", "p", "note=one") == "pod/p annotated\n"
    assert await kubectl("annotate", "pod", "p", "note=two", "--overwrite") == "pod/p annotated\n"
    assert "Forbidden: pod updates may not change fields other than" in await kubectl.fails(
        "patch", "pod", "p", "-p", '{"spec":{"restartPolicy":"Never"}}'
    )
    assert set(await kubectl.managers("pod", "p")) == {
        "kubectl-create", "kubectl-set", "kubectl-label", "kubectl-annotate",
    }  # fmt: skip


async def test_dry_run_and_validation(kubectl: Kubectl) -> None:
    for side in ((), ("--server-side",)):
        text = await kubectl("apply", *side, "--dry-run=server", "-f", "-", stdin=CONFIG % "1")
        assert "server dry run" in text
    assert await kubectl("get", "cm", "-o", "name") == ""
    bogus = CONFIG % "1" + "bogus: 1\n"
    text = await kubectl.fails("apply", "--validate=strict", "-f", "-", stdin=bogus)
    assert 'strict decoding error: unknown field "bogus"' in text
    code, _, text = await kubectl.raw("create", "--validate=warn", "-f", "-", stdin=bogus)
    assert code == 0
    assert 'Warning: unknown field "bogus"' in text
    code, _, text = await kubectl.raw("replace", "--validate=ignore", "-f", "-", stdin=bogus)
    assert (code, text) == (0, "")
    text = await kubectl.fails(*SERVER_SIDE, stdin=bogus)
    assert ".bogus: field not declared in schema" in text


@pytest.mark.parametrize("example", sorted(path.parent.name for path in EXAMPLES.glob("*/box.yaml")))
async def test_examples_are_applied_on_the_server_and_stay(kubectl: Kubectl, example: str) -> None:
    manifest = str(EXAMPLES / example / "box.yaml")
    await kubectl("apply", "--server-side", "-f", manifest)
    states = []
    for _ in range(2):
        states.append(await kubectl("get", "-f", manifest, "--show-managed-fields", "-o", "yaml"))
        await kubectl("apply", "--server-side", "-f", manifest)
    assert states[0] == states[1]
    assert await kubectl("diff", "--server-side", "-f", manifest) == ""
    # The other way of applying takes over without a word.
    await kubectl("apply", "-f", manifest)
    assert "unchanged" in await kubectl("apply", "-f", manifest)
