"""`boxfleet controllers` against a real Kubernetes API server, as the Deployment runs it."""

import json
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
import yaml
from tests.integration.hub import hub

from boxfleet.testing.kubernetes import server

pytestmark = hub.MARKS

SYSTEM = "boxfleet-system"
BOX = {
    "apiVersion": "boxfleet.dev/v1",
    "kind": "Box",
    "metadata": {"name": "shop", "namespace": "default"},
    "spec": {"units": {"web": {"replicas": 2, "template": {"spec": {"containers": [{"name": "w", "image": "w:1"}]}}}}},
}


def _until(process: subprocess.Popen[bytes], log: pathlib.Path, holds: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert process.poll() is None and time.monotonic() < end, log.read_text()[-3000:]
        # There is no other way than to look again.
        time.sleep(0.2)


@pytest.fixture
def account(kube: server.Server, kubeconfig: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """The kubeconfig of the account that the Deployment runs as."""
    assert hub.boxfleet("install", "--kubeconfig", str(kubeconfig)).returncode == 0
    name = ""
    end = time.monotonic() + 30
    while not name and time.monotonic() < end:
        name = hub.done(kube, "get", "sa", "controllers", "-n", SYSTEM, "-o", "jsonpath={.secrets[0].name}")
    path = "go-template={{.data.token | base64decode}}"
    known = yaml.safe_load(kubeconfig.read_text())
    known["users"] = [
        {"name": "test", "user": {"token": hub.done(kube, "get", "secret", name, "-n", SYSTEM, "-o", path)}}
    ]
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(known))
    return file


def test_a_box_becomes_units_and_addresses_with_the_accounts_own_rights(
    kube: server.Server, kubeconfig: pathlib.Path, account: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    log = tmp_path / "log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "boxfleet", "controllers", "--kubeconfig", str(account)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        hub.done(kube, "create", "-f", "-", stdin=BOX)
        _until(process, log, lambda: hub.done(kube, "get", "addresses", "-o", "name").count("/") == 2)
        unit = json.loads(hub.done(kube, "get", "unit", "shop-web", "-o", "json"))
        assert unit["metadata"]["ownerReferences"][0]["kind"] == "Box"
        conditions = "jsonpath={.status.conditions[*].type}"
        _until(process, log, lambda: "Ready" in hub.done(kube, "get", "box", "shop", "-o", conditions))
        holder = ("get", "lease", "-n", SYSTEM, "boxfleet-controllers", "-o", "jsonpath={.spec.holderIdentity}")
        assert hub.done(kube, *holder)
        said = log.read_text()
        assert "forbidden" not in said.lower()
        # Every kind is there that is watched, disruption budgets in their older version.
        assert "watch interrupted" not in said
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        # Given back, so that another can begin at once.
        assert hub.done(kube, *holder) == ""
    finally:
        process.kill()
        process.wait()
    gone = hub.boxfleet("uninstall", "--kubeconfig", str(kubeconfig))
    assert gone.returncode == 0, gone.stderr


def test_outside_of_a_cluster_a_kubeconfig_is_asked_for() -> None:
    refused = hub.boxfleet("controllers")
    assert refused.returncode == 1
    assert "name a kubeconfig with --kubeconfig" in refused.stderr
