"""A real kube-apiserver as the home of our kinds, with Kubernetes' own controllers, and without a node."""

import pathlib
from collections.abc import Iterator

import pytest

from boxfleet.testing.kubernetes import server


@pytest.fixture(scope="session")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.Server]:
    with server.running(tmp_path_factory.mktemp("hub"), accounts=True) as running, server.controlled(running):
        yield running


@pytest.fixture
def kubeconfig(kube: server.Server) -> pathlib.Path:
    return kube.kubeconfig
