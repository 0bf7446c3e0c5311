"""kubectl's ways to ask for proofs of identity and to use them."""

import asyncio
import base64
import contextlib
import os
import pathlib
import shutil
from collections.abc import AsyncIterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

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


_REQUEST = """
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: jane}
spec: {request: %s, signerName: kubernetes.io/kube-apiserver-client, usages: [client auth], expirationSeconds: 86400}
"""


async def test_a_certificate_by_kubectl(kubectl: Kubectl, tmp_path: pathlib.Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "developers")]
    names.append(x509.NameAttribute(x509.NameOID.COMMON_NAME, "jane"))
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names)).sign(key, hashes.SHA256())
    body = base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()
    file = tmp_path / "request.yaml"
    file.write_text(_REQUEST % body)
    await kubectl("create", "-f", str(file))
    shown = await kubectl("get", "csr")
    assert shown.split()[:5] == ["NAME", "AGE", "SIGNERNAME", "REQUESTOR", "REQUESTEDDURATION"]
    assert shown.split()[-2:] == ["24h", "Pending"]
    assert "approved" in await kubectl("certificate", "approve", "jane")
    async with asyncio.timeout(5):
        while not (signed := await kubectl("get", "csr", "jane", "-o", "jsonpath={.status.certificate}")):
            await asyncio.sleep(0.05)
    assert "Approved,Issued" in await kubectl("get", "csr", "jane")
    (tmp_path / "jane.crt").write_bytes(base64.b64decode(signed))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "jane.key").write_bytes(pem)
    socket = kubectl.socket
    way = ["--server", socket.url, "--certificate-authority", str(socket.ca_file)]
    way += ["--client-certificate", str(tmp_path / "jane.crt"), "--client-key", str(tmp_path / "jane.key")]
    told = await kubectl("auth", "whoami", *way, "--kubeconfig", "/dev/null")
    assert "jane" in told and "developers" in told
    await kubectl("create", "-f", str(file.with_name("request.yaml")), fails=True)
    await kubectl("delete", "csr", "jane")
    await kubectl("create", "-f", str(file))
    await kubectl("certificate", "deny", "jane")
    assert "Denied" in await kubectl("get", "csr", "jane")
