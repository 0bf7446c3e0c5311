"""`boxfleet install` and `uninstall` on a real Kubernetes API server."""

import base64
import json
import pathlib

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.integration.hub import hub

from boxfleet.testing import certificates
from boxfleet.testing.kubernetes import server

pytestmark = hub.MARKS

SYSTEM = "boxfleet-system"


def _names(kube: server.Server, kind: str, *words: str) -> set[str]:
    found = hub.done(kube, "get", kind, "-l", "app.kubernetes.io/managed-by=boxfleet", "-o", "name", *words)
    return {line.rpartition("/")[2] for line in found.splitlines()}


@pytest.fixture
def installed(kube: server.Server, kubeconfig: pathlib.Path) -> pathlib.Path:
    done = hub.boxfleet("install", "--kubeconfig", str(kubeconfig), "--image", "example.org/boxfleet:1")
    assert done.returncode == 0, done.stderr
    return kubeconfig


def test_a_dry_run_changes_nothing_and_says_what_would_be(kube: server.Server, kubeconfig: pathlib.Path) -> None:
    done = hub.boxfleet("install", "--kubeconfig", str(kubeconfig), "--dry-run")
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert "CustomResourceDefinition boxes.boxfleet.dev created" in said
    assert "Deployment controllers created" in said
    assert said[-1] == "dry run: nothing was changed"
    assert _names(kube, "crd") == set() and _names(kube, "namespace") == set()
    shown = hub.boxfleet("install", "--kubeconfig", str(kubeconfig), "--dry-run", "-o", "yaml")
    objects = list(yaml.safe_load_all(shown.stdout))
    assert len(objects) == len(said) - 1
    # What is shown can be applied by itself.
    hub.done(kube, "create", "--dry-run=client", "-f", "-", stdin=shown.stdout)


def test_it_is_installed_once_and_taken_away_whole(kube: server.Server, installed: pathlib.Path) -> None:
    assert len(_names(kube, "crd")) == len(hub.OWN)
    accounts = _names(kube, "serviceaccount", "-n", SYSTEM)
    assert accounts == {"controllers", "cluster-controller", "scheduler", "tenant-controller"}
    found = json.loads(hub.done(kube, "get", "deployment", "-n", SYSTEM, "controllers", "-o", "json"))
    [container] = found["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "example.org/boxfleet:1"
    again = hub.boxfleet("install", "--kubeconfig", str(installed), "--image", "example.org/boxfleet:1")
    assert {line.rpartition(" ")[2] for line in again.stdout.splitlines()[:-1]} == {"unchanged"}
    other = hub.boxfleet("install", "--kubeconfig", str(installed), "--image", "example.org/boxfleet:2", "--dry-run")
    changed = [line for line in other.stdout.splitlines() if line.endswith("configured")]
    assert changed == ["Deployment controllers configured"]
    hub.done(kube, "apply", "-f", str(hub.EXAMPLES / "zookeeper/box.yaml"))
    gone = hub.boxfleet("uninstall", "--kubeconfig", str(installed))
    assert gone.returncode == 0, gone.stderr
    assert "Box default/zookeeper removed" in gone.stdout
    for kind in ("crd", "clusterrole", "clusterrolebinding", "namespace"):
        assert _names(kube, kind) == set()
    assert hub.boxfleet("uninstall", "--kubeconfig", str(installed)).returncode == 0


def test_data_can_be_kept(kube: server.Server, installed: pathlib.Path) -> None:
    hub.done(kube, "apply", "-f", str(hub.EXAMPLES / "zookeeper/box.yaml"))
    gone = hub.boxfleet("uninstall", "--kubeconfig", str(installed), "--keep-data")
    assert gone.returncode == 0, gone.stderr
    assert "zookeeper" in hub.done(kube, "get", "boxes", "-o", "name")
    assert _names(kube, "clusterrole") == set()
    assert hub.boxfleet("install", "--kubeconfig", str(installed)).returncode == 0
    assert "zookeeper" in hub.done(kube, "get", "boxes", "-o", "name")
    assert hub.boxfleet("uninstall", "--kubeconfig", str(installed)).returncode == 0


def test_what_somebody_else_manages_is_taken_over_only_when_told(kube: server.Server, installed: pathlib.Path) -> None:
    own = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "controllers", "namespace": SYSTEM},
        "spec": {"replicas": 2},
    }  # fmt: skip
    hub.done(
        kube,
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager=me",
        "--validate=false",
        "-f",
        "-",
        stdin=own,
    )
    refused = hub.boxfleet("install", "--kubeconfig", str(installed), "--image", "example.org/boxfleet:1")
    assert refused.returncode == 1
    assert "conflict with" in refused.stderr and "--force-conflicts" in refused.stderr
    words = ("--image", "example.org/boxfleet:1", "--force-conflicts")
    assert hub.boxfleet("install", "--kubeconfig", str(installed), *words).returncode == 0
    assert hub.boxfleet("uninstall", "--kubeconfig", str(installed)).returncode == 0


def test_who_lacks_rights_is_told_which(kube: server.Server, tmp_path: pathlib.Path) -> None:
    """By a certificate, as administrators of most clusters are known."""
    key = serialization.load_pem_private_key((kube.folder / "ca.key").read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    certificate = x509.load_pem_x509_certificate(kube.ca_file.read_bytes())
    authority = certificates.Authority(certificate=certificate, key=key)
    pair = authority.issue("nobody")
    known = yaml.safe_load(kube.kubeconfig.read_text())
    known["users"] = [
        {
            "name": "test",
            "user": {
                "client-certificate-data": base64.b64encode(pair.certificate_pem).decode(),
                "client-key-data": base64.b64encode(pair.key_pem).decode(),
            },
        }
    ]
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(known))
    refused = hub.boxfleet("install", "--kubeconfig", str(path))
    assert refused.returncode == 1
    assert "may not get namespaces, not create namespaces" in refused.stderr
    assert "create customresourcedefinitions.apiextensions.k8s.io" in refused.stderr
    assert "nothing was changed" in refused.stderr
