"""No answer repeats what may be a secret, nor what is only long."""

import time
from typing import Any

import pytest

from boxfleet.testing import server

pytestmark = pytest.mark.anyio

NAMESPACE = "/api/v1/namespaces/default"


@pytest.mark.parametrize(
    "wrong",
    [
        {"stringData": {"a": 424242}}, {"stringData": "424242"}, {"data": {"a": ["424242"]}},
        {"data": {"a": "424242!"}}, {"data": 424242}, {"stringData": {"a": {"b": "424242: must be "}}},
    ],
)  # fmt: skip
async def test_values_of_secrets_are_not_repeated(api: server.Api, wrong: dict[str, Any]) -> None:
    reply = await server.send(api.app, "POST", f"{NAMESPACE}/secrets", {"metadata": {"name": "s"}} | wrong)
    assert reply.status == 422
    assert "must be" in reply.json["message"]
    assert b"424242" not in reply.body
    await server.send(api.app, "POST", f"{NAMESPACE}/secrets", {"metadata": {"name": "s"}})
    merge = {"content-type": "application/merge-patch+json"}
    patched = await server.send(api.app, "PATCH", f"{NAMESPACE}/secrets/s", wrong, headers=merge)
    assert (patched.status, b"424242" in patched.body) == (422, False)


async def test_values_of_environments_are_not_repeated(api: server.Api) -> None:
    containers = [{"name": "a", "image": "i", "env": [{"name": "PASSWORD", "value": 424242}]}]
    pod = {"metadata": {"name": "p"}, "spec": {"containers": containers}}
    reply = await server.send(api.app, "POST", f"{NAMESPACE}/pods", pod)
    assert (reply.status, b"424242" in reply.body) == (422, False)
    box = {"metadata": {"name": "b"}, "spec": {"units": {"u": {"env": {"PASSWORD": 424242}}}}}
    reply = await server.send(api.app, "POST", "/apis/boxfleet.dev/v1/namespaces/default/boxes", box)
    assert (reply.status, b"424242" in reply.body) == (422, False)
    # What is no secret is still named.
    reply = await server.send(api.app, "POST", f"{NAMESPACE}/configmaps", {"metadata": {"name": "c"}, "data": {"a": 7}})
    assert "Invalid value: 7: must be a string" in reply.json["message"]


async def test_overlong_names_cost_nothing(api: server.Api) -> None:
    began = time.process_time()
    for metadata in (
        {"name": "a" * 2_500_000 + "!"}, {"name": "a." * 1_200_000 + "!"},
        {"name": "a", "labels": {"a.-" * 500_000 + "!": "b" * 1_000_000 + "!"}},
    ):  # fmt: skip
        reply = await server.send(api.app, "POST", f"{NAMESPACE}/configmaps", {"metadata": metadata})
        assert reply.status == 422
    # The patterns would take seconds.
    assert time.process_time() - began < 1


async def test_nothing_can_be_slipped_into_files_of_an_instance(api: server.Api) -> None:
    for spec in (
        {"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a\n10.0.0.2 b"]}]},
        {"hostAliases": [{"ip": "fe80::1%eth0\n10.0.0.2", "hostnames": ["a"]}]},
        {"dnsConfig": {"searches": ["a\nnameserver 10.0.0.2"]}},
        {"dnsConfig": {"nameservers": ["fe80::1%\n"]}},
        {"dnsConfig": {"options": [{"name": "ndots\nnameserver", "value": "2"}]}},
        {"dnsConfig": {"options": [{"name": "ndots", "value": "2\nnameserver 10.0.0.2"}]}},
        {"hostname": "a\nb"}, {"subdomain": "a\nb"},
    ):  # fmt: skip
        pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a", "image": "i"}], **spec}}
        reply = await server.send(api.app, "POST", f"{NAMESPACE}/pods", pod)
        assert reply.status == 422, spec
    good = {
        "hostAliases": [{"ip": "fe80::1", "hostnames": ["a.b", "c"]}],
        "dnsConfig": {
            "nameservers": ["10.0.0.1"], "searches": [".", "a.example.com.", "_tcp.example.com"],
            "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
        },
    }  # fmt: skip
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a", "image": "i"}], **good}}
    reply = await server.send(api.app, "POST", f"{NAMESPACE}/pods", pod)
    assert reply.status == 201, reply.body
