"""A real kube-apiserver as the home of our kinds, with Kubernetes' own controllers, and without a node."""

import pathlib
from collections.abc import Iterator

import pytest

from boxfleet.testing.kubernetes import programs, server


@pytest.fixture(scope="session")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.Server]:
    folder = tmp_path_factory.mktemp("hub")
    with server.running(folder, accounts=True) as running:
        words = [
            str(programs.path("kube-controller-manager")),
            f"--kubeconfig={running.kubeconfig}",
            "--bind-address=127.0.0.1",
            "--port=0",
            "--leader-elect=false",
            f"--service-account-private-key-file={folder / 'accounts.key'}",
            f"--root-ca-file={running.ca_file}",
            "--controllers=namespace,garbagecollector,serviceaccount,serviceaccount-token,root-ca-cert-publisher,"
            "clusterrole-aggregation,nodelifecycle,podgc",
        ]
        # Certificates of its own go to the folder that it runs in.
        with server.program(words, log=folder / "kube-controller-manager.log", cwd=folder):
            yield running


@pytest.fixture
def kubeconfig(kube: server.Server) -> pathlib.Path:
    return kube.kubeconfig
