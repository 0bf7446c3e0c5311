"""Bodies in protobuf form, built here by hand from the wire format's rules."""

import pytest
from tests.unit.apiserver.protobuf_writing import envelope, field

from boxfleet.apiserver import faults, protobuf
from boxfleet.testing import server

META = (
    field(1, "a") + field(3, "") + field(8, b"") + field(11, field(1, "l") + field(2, "v")) + field(14, "example.com/f")
)


def test_a_config_map() -> None:
    raw = (
        field(1, META)
        + field(2, field(1, "k") + field(2, "v"))
        + field(3, field(1, "b") + field(2, b"\xff"))
        + field(4, 1)
    )
    assert protobuf.decode(envelope("v1", "ConfigMap", raw)) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "labels": {"l": "v"}, "finalizers": ["example.com/f"]},
        "data": {"k": "v"},
        "binaryData": {"b": "/w=="},
        "immutable": True,
    }


def test_times_and_negative_numbers() -> None:
    times = field(8, field(1, 1700000000)) + field(10, 2**64 - 1)
    metadata = protobuf.decode(envelope("v1", "Namespace", field(1, times)))["metadata"]
    assert metadata == {"creationTimestamp": "2023-11-14T22:13:20Z", "deletionGracePeriodSeconds": -1}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"k8s\x00\x0a",
        b"k8s\x00\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        envelope("v1", "ConfigMap", b"\x0b"),
        envelope("v1", "ConfigMap", field(1, 5)),
        envelope("v1", "ConfigMap", field(1, field(1, b"\xff"))),
        envelope("v1", "ConfigMap", field(4, b"x")),
    ],
)
def test_malformed_bodies(body: bytes) -> None:
    with pytest.raises(faults.Fault) as caught:
        protobuf.decode(body)
    assert caught.value.code in (400, 415)


@pytest.mark.anyio
async def test_the_server_takes_them(api: server.Api) -> None:
    headers = {"content-type": protobuf.MEDIA_TYPE}
    path = "/api/v1/namespaces/default/configmaps"
    body = envelope("v1", "ConfigMap", field(1, field(1, "a")))
    assert (await server.send(api.app, "POST", path, body, headers=headers)).status == 201
    options = envelope("v1", "DeleteOptions", field(2, field(1, "other")))
    assert (await server.send(api.app, "DELETE", f"{path}/a", options, headers=headers)).status == 409
    node = envelope("v1", "Node", field(1, field(1, "a")))
    assert (await server.send(api.app, "POST", "/api/v1/nodes", node, headers=headers)).status == 415
