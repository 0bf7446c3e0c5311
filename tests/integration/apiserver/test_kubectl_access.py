"""Roles, questions and impersonation with the real kubectl over TLS."""

import pathlib
import shutil
from collections.abc import AsyncIterator

import pytest
from tests.integration.apiserver import test_kubectl

from boxfleet.testing import server

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="this machine lacks kubectl; ./run test installs it"),
]

RECONCILED = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: rec}
rules: [{apiGroups: [""], resources: [pods], verbs: [%s]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: rec}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: %s}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: a}]
"""


@pytest.fixture
async def kubectl(tmp_path: pathlib.Path, anyio_backend: str) -> AsyncIterator[test_kubectl.Kubectl]:
    async with server.running(tmp_path) as api, server.on_socket(api, tmp_path) as socket:
        yield test_kubectl.Kubectl(socket.kubeconfig, tmp_path)


async def test_roles_are_made_and_shown(kubectl: test_kubectl.Kubectl) -> None:
    await kubectl("create", "role", "reader", "--verb=get,list", "--resource=pods,pods/log")
    await kubectl("create", "rolebinding", "reads", "--role=reader", "--user=jane", "--serviceaccount=default:bot")
    await kubectl("create", "clusterrole", "paths", "--verb=get", "--non-resource-url=/metrics")
    await kubectl("create", "clusterrole", "all", "--aggregation-rule=of=all")
    await kubectl("create", "clusterrolebinding", "paths", "--clusterrole=paths", "--group=ops")
    rows = (await kubectl("get", "rolebindings", "-o", "wide")).splitlines()
    assert rows[0].split() == ["NAME", "ROLE", "AGE", "USERS", "GROUPS", "SERVICEACCOUNTS"]
    assert rows[1].split()[:2] == ["reads", "Role/reader"]
    assert rows[1].split()[3:] == ["jane", "default/bot"]
    assert "pods/log" in await kubectl("describe", "role", "reader")
    assert "ServiceAccount  bot   default" in await kubectl("describe", "rolebinding", "reads")
    refused = await kubectl.fails("patch", "rolebinding", "reads", "-p", '{"roleRef":{"name":"x"}}')
    assert refused == (
        'The RoleBinding "reads" is invalid: roleRef: Invalid value: '
        'rbac.RoleRef{APIGroup:"rbac.authorization.k8s.io", Kind:"Role", Name:"x"}: cannot change roleRef'
    )
    await kubectl("set", "subject", "rolebinding", "reads", "--user=joe")
    assert await kubectl("auth", "can-i", "list", "pods", "--as=joe") == "yes\n"


async def test_can_i_and_who_am_i(kubectl: test_kubectl.Kubectl) -> None:
    await kubectl("create", "rolebinding", "devs", "--clusterrole=developer", "--group=devs")
    jane = ("--as=jane", "--as-group=devs")
    assert await kubectl("auth", "can-i", "create", "boxes", *jane) == "yes\n"
    assert await kubectl("auth", "can-i", "update", "units/x", "--subresource=scale", *jane) == "yes\n"
    for wish in (("create", "roles"), ("create", "boxes", "-n", "kube-system"), ("get", "/metrics")):
        code, out, _ = await kubectl.raw("auth", "can-i", *wish, *jane)
        assert (code, out) == (1, "no\n"), wish
    listed = await kubectl("auth", "can-i", "--list", *jane)
    assert "boxes.boxfleet.dev" in listed
    assert "*.*" in await kubectl("auth", "can-i", "--list")
    assert "Groups      [devs system:authenticated]" in await kubectl("auth", "whoami", *jane, "--as-uid=7")
    refused = await kubectl.fails("get", "nodes", *jane)
    assert refused == (
        'Error from server (Forbidden): nodes is forbidden: User "jane" cannot list resource "nodes" '
        'in API group "" at the cluster scope'
    )


async def test_nobody_gives_what_he_has_not(kubectl: test_kubectl.Kubectl) -> None:
    await kubectl("create", "rolebinding", "own", "--clusterrole=tenant-admin", "--user=tina")
    await kubectl("create", "role", "mine", "--verb=get", "--resource=pods", "--as=tina")
    await kubectl("create", "rolebinding", "mine", "--role=mine", "--user=joe", "--as=tina")
    refused = await kubectl.fails("create", "role", "more", "--verb=get,list", "--resource=nodes", "--as=tina")
    assert refused.splitlines()[-1] == '{APIGroups:[""], Resources:["nodes"], Verbs:["get" "list"]}'
    assert "cluster-admin" not in await kubectl("get", "rolebindings", "-o", "name")
    await kubectl.fails("create", "rolebinding", "more", "--clusterrole=cluster-admin", "--user=tina", "--as=tina")


async def test_reconcile(kubectl: test_kubectl.Kubectl) -> None:
    await kubectl("auth", "reconcile", "-f", "-", stdin=RECONCILED % ("get", "rec"))
    # Roles are added to; a binding to another role is made anew.
    await kubectl("auth", "reconcile", "-f", "-", stdin=RECONCILED % ("list", "view"))
    assert await kubectl("get", "clusterrole", "rec", "-o", "jsonpath={.rules[*].verbs[0]}") == "get list"
    assert await kubectl("get", "clusterrolebinding", "rec", "-o", "jsonpath={.roleRef.name}") == "view"


async def test_questions_as_files(kubectl: test_kubectl.Kubectl) -> None:
    question = """
apiVersion: authorization.k8s.io/v1
kind: SubjectAccessReview
spec: {user: jane, groups: ["system:masters"], resourceAttributes: {verb: list, resource: pods}}
"""
    path = "jsonpath={.status.allowed}"
    # Without --validate=false kubectl looks for the kind among CustomResourceDefinitions.
    assert await kubectl("create", "--validate=false", "-f", "-", "-o", path, stdin=question) == "true"
    assert "resourceAttributes" in await kubectl("explain", "subjectaccessreview.spec")
    assert "selfsubjectreviews" in await kubectl("api-resources")
