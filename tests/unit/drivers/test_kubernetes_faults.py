"""What an answer of a cluster's API means."""

import json

import pytest

from boxfleet.drivers.kubernetes import faults
from boxfleet.ports import cluster

RBAC = 'secrets is forbidden: User "system:serviceaccount:a:b" cannot list resource "secrets" in API group ""'


@pytest.mark.parametrize(
    ("code", "message", "kind", "word"),
    [
        (401, "Unauthorized", cluster.Denied, "fresh kubeconfig"),
        (403, RBAC, cluster.Denied, 'may not list resource "secrets"'),
        (403, 'pods "x" is forbidden: exceeded quota: q', cluster.ClusterFault, "exceeded quota"),
        (404, "gone", faults.NotFound, "gone"),
        (409, "there", faults.Conflict, "there"),
        (410, "too old", faults.Expired, "too old"),
        (422, "wrong", faults.Invalid, "wrong"),
        (429, "slowly", cluster.Unreachable, "slowly"),
        (500, "etcd", cluster.Unreachable, "etcd"),
        (500, "failed to create typed patch object: .spec.x: field not declared in schema", faults.Invalid, "spec.x"),
        (500, 'failed calling webhook "w": timeout', cluster.ClusterFault, "webhook"),
        (400, 'admission webhook "w" denied the request: no', faults.Invalid, "denied the request: no"),
    ],
)
def test_faults(code: int, message: str, kind: type[Exception], word: str) -> None:
    found = faults.of_answer(code, json.dumps({"kind": "Status", "message": message}).encode(), what="do it")
    assert type(found) is kind
    assert word in str(found)
    assert "do it" in str(found)


def test_an_answer_that_is_no_status() -> None:
    found = faults.of_answer(502, b"<html>bad gateway</html>", what="read", hint="")
    assert isinstance(found, cluster.Unreachable)
    assert "bad gateway" in str(found)


def test_old_credentials_are_named() -> None:
    found = faults.of_answer(401, b"{}", what="read", hint="they expired 2020")
    assert "they expired 2020" in str(found)
