"""Our kinds as objects of a real Kubernetes API server: the same files, with kubectl."""

from collections.abc import Iterator

import pytest
from tests.integration.hub import hub

from boxfleet.apiserver.custom import exported
from boxfleet.testing.kubernetes import server

pytestmark = hub.MARKS


@pytest.fixture(scope="module", autouse=True)
def _defined(kube: server.Server) -> Iterator[None]:
    items = exported.definitions(hub.OWN, selectable=False)
    hub.done(kube, "apply", "--server-side", "-f", "-", stdin={"apiVersion": "v1", "kind": "List", "items": items})
    hub.done(kube, "wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    yield
    hub.done(kube, "delete", "crd", "--all")


def test_all_are_structural_and_their_names_accepted(kube: server.Server) -> None:
    path = "{range .items[*]}{.metadata.name} {range .status.conditions[*]}{.type}={.status} {end}{'\\n'}{end}"
    found = hub.done(kube, "get", "crd", "-o", f"jsonpath={path}").splitlines()
    assert len(found) == len(hub.OWN)
    for line in found:
        name, *conditions = line.split()
        assert sorted(conditions) == ["Established=True", "NamesAccepted=True"], name


@pytest.mark.parametrize("file", ["wordpress/box.yaml", "zookeeper/box.yaml", "tenant/tenant.yaml"])
def test_the_examples_are_applied_and_unchanged_when_applied_again(kube: server.Server, file: str) -> None:
    path = str(hub.EXAMPLES / file)
    assert "created" in hub.done(kube, "apply", "-f", path)
    again = hub.done(kube, "apply", "-f", path).splitlines()
    assert [line.rpartition(" ")[2] for line in again] == ["unchanged"] * len(again)
    hub.done(kube, "delete", "-f", path)


UNIT = {
    "apiVersion": "boxfleet.dev/v1",
    "kind": "Unit",
    "metadata": {"name": "web"},
    "spec": {
        "template": {
            # As `kubectl create --dry-run` writes it.
            "metadata": {"labels": {"a": "b"}, "creationTimestamp": None},
            "spec": {"containers": [{"name": "web", "image": "web:1", "resources": {"limits": {"cpu": 1}}}]},
        }
    },
}


def test_a_unit_has_its_default_scale_status_and_columns(kube: server.Server) -> None:
    hub.done(kube, "create", "-f", "-", stdin=UNIT)
    assert hub.done(kube, "get", "un", "web", "-o", "jsonpath={.spec.replicas} {.spec.template.metadata}") == (
        '1 {"labels":{"a":"b"}}'
    )
    hub.done(kube, "scale", "unit/web", "--replicas=3")
    assert hub.done(kube, "get", "unit", "web", "-o", "jsonpath={.spec.replicas}") == "3"
    head, row = hub.done(kube, "get", "units").splitlines()
    assert head.split() == ["NAME", "READY", "UP-TO-DATE", "STATUS", "DOMAIN", "AGE"]
    assert row.startswith("web")
    assert "unit.boxfleet.dev/web" in hub.done(kube, "get", "boxfleet", "-o", "name")
    assert "How many instances." in hub.done(kube, "explain", "unit.spec.replicas")
    hub.done(kube, "delete", "unit", "web")


POOL = {"apiVersion": "boxfleet.dev/v1", "kind": "AddressPool", "metadata": {"name": "one"}}


def test_what_is_wrong_is_refused_by_field(kube: server.Server) -> None:
    pool = {**POOL, "spec": {"cidr": "10.9.0.0/24", "bridge": "bf0"}}
    hub.done(kube, "create", "-f", "-", stdin=pool)
    refused = hub.kubectl(kube, "create", "-f", "-", stdin={**UNIT, "spec": {**UNIT["spec"], "replicas": -1}})  # type: ignore[dict-item]
    assert "spec.replicas: Invalid value: -1" in refused.stderr
    lacking = hub.kubectl(kube, "create", "--validate=false", "-f", "-", stdin={**POOL, "metadata": {"name": "two"}})
    assert "spec" in lacking.stderr and "Required value" in lacking.stderr
    long = {**UNIT, "metadata": {"name": "w" * 64}}
    assert "metadata.name" in hub.kubectl(kube, "create", "-f", "-", stdin=long).stderr
    hub.done(kube, "delete", "addresspool", "one")
