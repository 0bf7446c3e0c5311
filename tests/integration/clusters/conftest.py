"""A real Kubernetes and a real Docker engine, both joined to a control plane that is spoken to with kubectl."""

import asyncio
import json
from collections.abc import Iterator

import pytest
import yaml

from boxfleet.drivers.kubernetes import rbac
from boxfleet.testing import docker, tools
from boxfleet.testing.kubernetes import cluster as kubernetes


@pytest.fixture(scope="session")
def kube() -> Iterator[kubernetes.Running]:
    with kubernetes.running(archives=[tools.archive()]) as running:
        running.apply(*rbac.manifests())
        yield running
    assert kubernetes.leftovers(running.folder.name) == []


@pytest.fixture(scope="session")
def kubeconfig(kube: kubernetes.Running) -> str:
    """Of an account that has only the rights that `boxfleet cluster rbac` prints."""
    secret = json.loads(kube.kubectl("get", "secret", "-n", "boxfleet-access", "boxfleet-token", "-o", "json"))
    authority = secret["data"]["ca.crt"]
    token = kube.kubectl(
        "get", "secret", "-n", "boxfleet-access", "boxfleet-token", "-o", "go-template={{.data.token | base64decode}}"
    )
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "east", "user": "u"}}],
            "clusters": [
                {"name": "east", "cluster": {"server": kube.api.url, "certificate-authority-data": authority}}
            ],
            "users": [{"name": "u", "user": {"token": token}}],
        }
    )


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.Engine]:
    engine = docker.Engine()
    try:
        asyncio.run(engine.start())
        yield engine
    finally:
        asyncio.run(engine.stop())
    assert engine.leftovers() == []
