"""Questions about rights and identity."""

from typing import Any

import pytest
from tests.unit.apiserver.access import bed

from boxfleet.testing import server

pytestmark = pytest.mark.anyio
ASK = "/apis/authorization.k8s.io/v1"
WHO = "/apis/authentication.k8s.io"
PODS = {"verb": "list", "resource": "pods", "namespace": "default"}


async def ask(api: server.Api, kind: str, spec: Any, *, who: str = "", where: str = ASK) -> Any:
    reply = await bed.call(api, who, "POST", f"{where}/{kind}", {"spec": spec} if spec is not None else {})
    assert reply.status == 201, reply.body
    assert reply.json["kind"].lower() + "s" == kind.rpartition("/")[2]
    return reply.json["status"]


async def test_may_i(api: server.Api) -> None:
    await bed.give(api, "jane", bed.rule("pods", "list"))
    wish = {"resourceAttributes": PODS}
    assert (await ask(api, "selfsubjectaccessreviews", wish, who="jane"))["allowed"]
    assert await ask(api, "selfsubjectaccessreviews", wish, who="joe") == {"allowed": False}
    path = {"nonResourceAttributes": {"verb": "get", "path": "/metrics"}}
    assert await ask(api, "selfsubjectaccessreviews", path, who="jane") == {"allowed": False}
    assert await ask(api, "selfsubjectaccessreviews", path) == {"allowed": True}


async def test_the_empty_answer_in_a_question_is_no_part_of_it(api: server.Api) -> None:
    """As kubectl 1.20 asks in `auth can-i --list`."""
    empty = {"resourceRules": None, "nonResourceRules": None, "incomplete": False}
    body = {"spec": {"namespace": "default"}, "status": empty}
    reply = await bed.call(api, "", "POST", f"{ASK}/selfsubjectrulesreviews", body)
    assert (reply.status, reply.json["status"]["incomplete"]) == (201, False)


async def test_may_somebody(api: server.Api) -> None:
    await bed.give(api, "jane", bed.rule("pods", "list"))
    for kind in ("subjectaccessreviews", "namespaces/default/localsubjectaccessreviews"):
        found = await ask(api, kind, {"resourceAttributes": PODS, "user": "jane", "extra": {"a": ["b"]}})
        assert found == {
            "allowed": True,
            "reason": 'RBAC: allowed by ClusterRoleBinding "of-jane" of ClusterRole "of-jane" to User "jane"',
        }
        assert not (await ask(api, kind, {"resourceAttributes": PODS, "groups": ["jane"]}))["allowed"]
        assert (await ask(api, kind, {"resourceAttributes": PODS, "groups": ["system:masters"]}))["allowed"]
    own = {"rawSelector": f"spec.nodeName={server.NODE}"}
    node = {"user": f"system:node:{server.NODE}", "groups": ["system:nodes"]}
    for fields, allowed in ((own, True), ({"rawSelector": "spec.nodeName=other"}, False), ({}, False)):
        wish = {"resourceAttributes": PODS | {"fieldSelector": fields}}
        assert (await ask(api, "subjectaccessreviews", node | wish))["allowed"] == allowed


@pytest.mark.parametrize(
    ("kind", "spec", "fields"),
    [
        ("selfsubjectaccessreviews", {}, ["spec.resourceAttributes"]),
        ("subjectaccessreviews", {"resourceAttributes": PODS}, ["spec.user"]),
        (
            "subjectaccessreviews",
            {"user": "a", "resourceAttributes": PODS, "nonResourceAttributes": {}},
            ["spec.nonResourceAttributes"],
        ),
        (
            "namespaces/default/localsubjectaccessreviews",
            {"user": "a", "resourceAttributes": PODS | {"namespace": "other"}},
            ["spec.resourceAttributes.namespace"],
        ),
        (
            "namespaces/default/localsubjectaccessreviews",
            {"user": "a", "nonResourceAttributes": {"path": "/"}},
            ["spec.nonResourceAttributes"],
        ),
    ],
)
async def test_questions_that_make_no_sense(api: server.Api, kind: str, spec: Any, fields: list[str]) -> None:
    reply = await bed.call(api, "", "POST", f"{ASK}/{kind}", {"spec": spec})
    assert (reply.status, [each["field"] for each in reply.json["details"]["causes"]]) == (422, fields)


async def test_questions_have_no_name(api: server.Api) -> None:
    body = {"metadata": {"name": "a"}, "spec": {"resourceAttributes": PODS}}
    reply = await bed.call(api, "", "POST", f"{ASK}/selfsubjectaccessreviews", body)
    assert (reply.status, reply.json["details"]["causes"][0]["field"]) == (422, "metadata")
    body = {"metadata": {"namespace": "other"}, "spec": {"resourceAttributes": PODS, "user": "a"}}
    reply = await bed.call(api, "", "POST", f"{ASK}/namespaces/default/localsubjectaccessreviews", body)
    assert reply.status == 400
    for body in ({"spec": 7}, {"spec": {"resourceAttributes": {"verb": 1}}}, {"kind": "Pod"}, [], None):
        reply = await bed.call(api, "", "POST", f"{ASK}/selfsubjectaccessreviews", body)
        assert 400 <= reply.status < 500
    assert (await bed.call(api, "", "GET", f"{ASK}/selfsubjectaccessreviews")).status == 405


async def test_what_may_i(api: server.Api) -> None:
    await bed.give(api, "jane", bed.rule("pods", "list"), {"nonResourceURLs": ["/a/*"], "verbs": ["get"]})
    await bed.made(api, "namespaces/default/roles", bed.role("r", bed.rule("secrets", "get", names="s")))
    await bed.made(api, "namespaces/default/rolebindings", bed.binding("r", "r", user="jane", kind="Role"))
    found = await ask(api, "selfsubjectrulesreviews", {"namespace": "default"}, who="jane")
    assert not found["incomplete"]
    assert bed.rule("pods", "list") in found["resourceRules"]
    assert bed.rule("secrets", "get", names="s") in found["resourceRules"]
    assert {"verbs": ["get"], "nonResourceURLs": ["/a/*"]} in found["nonResourceRules"]
    elsewhere = await ask(api, "selfsubjectrulesreviews", {"namespace": "kube-system"}, who="jane")
    assert bed.rule("secrets", "get", names="s") not in elsewhere["resourceRules"]
    assert (
        bed.rule("*", "*", group="*")
        in (await ask(api, "selfsubjectrulesreviews", {"namespace": "x"}))["resourceRules"]
    )
    reply = await bed.call(api, "jane", "POST", f"{ASK}/selfsubjectrulesreviews", {"spec": {}})
    assert (reply.status, reply.json["message"]) == (400, "no namespace on request")


async def test_an_agents_rules_are_bounded_by_its_node(api: server.Api) -> None:
    reply = await server.send(
        api.app, "POST", f"{ASK}/selfsubjectrulesreviews", {"spec": {"namespace": "x"}}, token=server.NODE_TOKEN
    )
    status = reply.json["status"]
    assert status["incomplete"]
    assert any("addresses" in each["resources"] for each in status["resourceRules"])


async def test_who_am_i(api: server.Api) -> None:
    for version in ("v1", "v1beta1"):
        found = await ask(api, "selfsubjectreviews", None, who="jane", where=f"{WHO}/{version}")
        assert found == {"userInfo": {"username": "jane", "groups": ["system:authenticated"]}}


async def test_whose_token_is_this(api: server.Api) -> None:
    found = await ask(api, "tokenreviews", {"token": server.NODE_TOKEN}, where=f"{WHO}/v1")
    user = {"username": f"system:node:{server.NODE}", "groups": ["system:nodes", "system:authenticated"]}
    assert found == {"authenticated": True, "user": user}
    found = await ask(api, "tokenreviews", {"token": "other"}, where=f"{WHO}/v1")
    assert found == {"user": {}, "error": "invalid bearer token"}
    for spec, status in (({}, 422), ({"token": ""}, 400)):
        assert (await bed.call(api, "", "POST", f"{WHO}/v1/tokenreviews", {"spec": spec})).status == status
