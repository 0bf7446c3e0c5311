"""kubectl's ways to ask for proofs of identity and to use them."""

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


class Kubectl:
    """Runs kubectl as the administrator, or as whoever a token stands for."""

    def __init__(self, api: server.Api, socket: server.Socket, home: pathlib.Path) -> None:
        self.api = api
        self.socket = socket
        self.home = home

    async def __call__(self, *words: str, token: str = "", fails: bool = False) -> str:
        way = ["--kubeconfig", str(self.socket.kubeconfig)]
        if token:
            way = ["--server", self.socket.url, "--certificate-authority", str(self.socket.ca_file), "--token", token]
        environment = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
        process = await asyncio.create_subprocess_exec(
            "kubectl", *way, *words, env=environment | {"HOME": str(self.home)},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert (process.returncode != 0) == fails, err.decode()
        return (err if fails else out).decode().strip()


@pytest.fixture
async def kubectl(tmp_path: pathlib.Path, anyio_backend: str) -> AsyncIterator[Kubectl]:
    async with contextlib.AsyncExitStack() as stack:
        api = await stack.enter_async_context(server.running(tmp_path))
        yield Kubectl(api, await stack.enter_async_context(server.on_socket(api, tmp_path)), tmp_path)


async def test_a_token_made_by_kubectl_is_its_service_account(kubectl: Kubectl) -> None:
    await kubectl("create", "serviceaccount", "robot")
    token = await kubectl("create", "token", "robot", "--duration=10m")
    shown = await kubectl("auth", "whoami", token=token)
    assert "system:serviceaccount:default:robot" in shown
    assert "system:serviceaccounts:default" in shown
    assert "cannot list resource" in await kubectl("get", "pods", token=token, fails=True)
    await kubectl("create", "rolebinding", "robot", "--clusterrole=view", "--serviceaccount=default:robot")
    assert await kubectl("get", "pods", token=token) == ""
    await kubectl("create", "secret", "generic", "anchor")
    bound = await kubectl("create", "token", "robot", "--bound-object-kind=Secret", "--bound-object-name=anchor")
    await kubectl("get", "pods", token=bound)
    await kubectl("delete", "secret", "anchor")
    assert "Unauthorized" in await kubectl("get", "pods", token=bound, fails=True)
    for_others = await kubectl("create", "token", "robot", "--audience=vault")
    assert "Unauthorized" in await kubectl("get", "pods", token=for_others, fails=True)
    assert "less than 10 minutes" in await kubectl("create", "token", "robot", "--duration=5m", fails=True)
