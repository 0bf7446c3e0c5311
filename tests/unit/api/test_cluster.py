"""What a Cluster must say before it is accepted."""

import pytest

from boxfleet.api import cluster_rules


def _faults(spec: dict[str, object], *, before: dict[str, object] | None = None) -> list[str]:
    old = {"spec": before} if before is not None else None
    return [each.field for each in cluster_rules.validate({"spec": spec}, old)]


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "hosts"},
        {"type": "kubernetes", "credentials": {"secret": "east"}, "kubernetes": {"namespacePrefix": "bf-"}},
        {"type": "docker", "docker": {"host": "unix:///var/run/docker.sock"}},
        {"type": "docker", "docker": {"host": "tcp://engine:2376"}, "credentials": {"secret": "engine"}},
    ],
)
def test_each_type_with_its_access_is_accepted(spec: dict[str, object]) -> None:
    assert _faults(spec) == []


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"type": "kubernetes"}, "spec.credentials.secret"),
        ({"type": "docker"}, "spec.docker.host"),
        ({"type": "docker", "docker": {"host": "tcp://engine:2376"}}, "spec.credentials.secret"),
        ({"type": "hosts", "docker": {"host": "unix:///run/docker.sock"}}, "spec.docker"),
        ({"type": "docker", "docker": {"host": "unix:///d"}, "kubernetes": {}}, "spec.kubernetes"),
        ({"type": "hosts", "taints": [{"key": "a", "effect": "Never"}]}, "spec.taints[0].effect"),
    ],
)
def test_what_is_missing_or_does_not_belong_is_named(spec: dict[str, object], field: str) -> None:
    assert _faults(spec) == [field]


def test_the_type_cannot_be_changed() -> None:
    assert _faults({"type": "hosts"}, before={"type": "libvirt"}) == ["spec.type"]
