"""A kube-apiserver on its own etcd, on loopback, with self-made certificates and tokens from a file."""

import contextlib
import dataclasses
import json
import pathlib
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import yaml

from boxfleet.testing import certificates
from boxfleet.testing.kubernetes import programs, space

# Opens test servers only.
ADMIN_TOKEN = "test-admin-token"  # noqa: S105
# Seconds until a server that does not answer is given up.
_PATIENCE = 60


class StartError(Exception):
    """A server did not come up; the text holds the last of its words."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running kube-apiserver."""

    url: str
    ca_file: pathlib.Path
    kubeconfig: pathlib.Path
    etcd: str
    # What its keys and certificates are in, for programs that join it.
    folder: pathlib.Path

    def compact(self) -> None:
        """Forget all history up to now, as the server does itself every few minutes."""
        status = _post(f"{self.etcd}/v3/maintenance/status", {})
        revision = status["header"]["revision"]
        _post(f"{self.etcd}/v3/kv/compaction", {"revision": revision, "physical": True})


@contextlib.contextmanager
def running(
    folder: pathlib.Path, *, flags: tuple[str, ...] = (), accounts: bool = False, way: space.Way | None = None
) -> Iterator[Server]:
    """Start etcd and kube-apiserver with their files in a folder; both are gone at the end.

    Admission of ServiceAccounts is off unless `accounts`, since without controllers nobody makes them. Leases have no
    cache before etcd, so that what is compacted there can be seen to be gone. `way` leads to a network namespace that
    they run in. Raises StartError.
    """
    authority = certificates.Authority.make()
    (folder / "ca.crt").write_bytes(authority.certificate_pem)
    (folder / "ca.key").write_bytes(authority.key_pem)
    pair = authority.issue("kube-apiserver", addresses=("127.0.0.1", "10.0.0.1"), names=("localhost", "kubernetes"))
    (folder / "server.crt").write_bytes(pair.certificate_pem)
    (folder / "server.key").write_bytes(pair.key_pem)
    # What the server shows to kubelets.
    own = authority.issue("kube-apiserver-kubelet", organizations=("system:masters",))
    (folder / "kubelet-client.crt").write_bytes(own.certificate_pem)
    (folder / "kubelet-client.key").write_bytes(own.key_pem)
    (folder / "accounts.key").write_bytes(certificates.rsa_key_pem())
    (folder / "tokens.csv").write_text(f'{ADMIN_TOKEN},admin,admin,"system:masters"\n')
    with contextlib.ExitStack() as stack:
        etcd = stack.enter_context(_etcd(folder, way))
        port = _port(way)
        url = f"https://127.0.0.1:{port}"
        arguments = [
            str(programs.path("kube-apiserver")),
            f"--etcd-servers={etcd}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",
            f"--secure-port={port}",
            f"--tls-cert-file={folder / 'server.crt'}",
            f"--tls-private-key-file={folder / 'server.key'}",
            f"--client-ca-file={folder / 'ca.crt'}",
            f"--kubelet-client-certificate={folder / 'kubelet-client.crt'}",
            f"--kubelet-client-key={folder / 'kubelet-client.key'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-signing-key-file={folder / 'accounts.key'}",
            f"--service-account-key-file={folder / 'accounts.key'}",
            f"--token-auth-file={folder / 'tokens.csv'}",
            "--anonymous-auth=false",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged=true",
            *([] if accounts else ["--disable-admission-plugins=ServiceAccount"]),
            "--watch-cache-sizes=leases.coordination.k8s.io#0",
            "--service-cluster-ip-range=10.0.0.0/24",
            *flags,
        ]
        process = stack.enter_context(program(_within(way, arguments), log=folder / "kube-apiserver.log", cwd=folder))
        wait(process, f"{url}/readyz", log=folder / "kube-apiserver.log", ca_file=folder / "ca.crt")
        yield Server(
            url=url,
            ca_file=folder / "ca.crt",
            kubeconfig=_kubeconfig(folder, url),
            etcd=etcd,
            folder=folder,
        )


@contextlib.contextmanager
def controlled(server: Server) -> Iterator[None]:
    """Run those of Kubernetes' own controllers that need no node, beside a server that was started with `accounts`."""
    words = [
        str(programs.path("kube-controller-manager")),
        f"--kubeconfig={server.kubeconfig}",
        # It has nothing to say to anybody, and the next one would want the same port.
        "--port=0",
        "--secure-port=0",
        "--leader-elect=false",
        f"--service-account-private-key-file={server.folder / 'accounts.key'}",
        f"--root-ca-file={server.ca_file}",
        "--controllers=namespace,garbagecollector,serviceaccount,serviceaccount-token,root-ca-cert-publisher,"
        "clusterrole-aggregation,nodelifecycle,podgc,disruption,resourcequota",
    ]
    # Certificates of its own go to the folder that it runs in.
    with program(words, log=server.folder / "kube-controller-manager.log", cwd=server.folder):
        yield


def free_port() -> int:
    """A port of the loopback address that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def _etcd(folder: pathlib.Path, way: space.Way | None) -> Iterator[str]:
    client, peer = (f"http://127.0.0.1:{port}" for port in (_port(way), free_port()))
    arguments = [
        "etcd",
        "--name=test",
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=test={peer}",
    ]
    with program(_within(way, arguments), log=folder / "etcd.log", cwd=folder) as process:
        wait(process, f"{client}/health", log=folder / "etcd.log", ca_file=None)
        yield client


@contextlib.contextmanager
def program(arguments: list[str], *, log: pathlib.Path, cwd: pathlib.Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process with its output in a file; ended at the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=cwd)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait(process: subprocess.Popen[bytes], url: str, *, log: pathlib.Path, ca_file: pathlib.Path | None) -> None:
    """Return when a URL answers 200; raises StartError when the process ended or took too long."""
    context = ssl.create_default_context(cafile=ca_file) if ca_file else None
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})  # noqa: S310
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(request, timeout=5, context=context) as answer:  # noqa: S310
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            # There is no other way than to ask again.
            time.sleep(0.05)
    words = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
    raise StartError(f"cannot start {log.stem}: the last of its words:\n{words}")


def _port(way: space.Way | None) -> int:
    return free_port() if way is None else way.open()


def _within(way: space.Way | None, arguments: list[str]) -> list[str]:
    return arguments if way is None else [*way.inside, *arguments]


def _post(url: str, document: object) -> dict[str, dict[str, str]]:
    request = urllib.request.Request(url, data=json.dumps(document).encode())  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        found: dict[str, dict[str, str]] = json.load(answer)
        return found


def _kubeconfig(folder: pathlib.Path, url: str) -> pathlib.Path:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": url, "certificate-authority": str(folder / "ca.crt")}}],
        "users": [{"name": "test", "user": {"token": ADMIN_TOKEN}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "default"}}],
        "current-context": "test",
    }
    path = folder / "admin.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path
