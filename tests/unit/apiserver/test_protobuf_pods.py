"""Pods and all else that is read in protobuf form: what was said comes through whole, or is refused."""

from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies
from tests.unit.apiserver import protobuf_writing as writing

from boxfleet.apiserver import faults, protobuf
from boxfleet.apiserver import protobuf_records as records
from boxfleet.apiserver.schema import models, nodes
from boxfleet.testing import server

field = writing.field
KINDS = sorted(name for name in records.RECORDS if "/" in name)


def read(pod: bytes) -> dict[str, Any]:
    return protobuf.decode(writing.envelope("v1", "Pod", pod))


def spec(*parts: bytes) -> dict[str, Any]:
    found = read(field(2, b"".join(parts)))["spec"]
    assert isinstance(found, dict)
    return found


def refused(body: bytes) -> faults.Fault:
    with pytest.raises(faults.Fault) as caught:
        protobuf.decode(body)
    return caught.value


def test_fields_of_an_inner_message_that_json_does_not_have() -> None:
    mount = field(1, "root") + field(2, field(1, field(1, "/") + field(2, "")))
    probe = field(1, field(2, field(2, field(1, 0) + field(2, 80) + field(3, "")))) + field(2, 0) + field(6, 5)
    look = field(1, field(1, "look") + field(11, probe)) + field(2, "main")
    assert spec(field(1, mount), field(34, look)) == {
        "volumes": [{"name": "root", "hostPath": {"path": "/"}}],
        "ephemeralContainers": [
            {
                "name": "look",
                "readinessProbe": {"httpGet": {"port": 80}, "failureThreshold": 5},
                "targetContainerName": "main",
            }
        ],
    }


def test_zero_counts_where_json_has_it() -> None:
    unset = [field(number, 0) for number in (11, 12, 13)]
    assert spec(*unset, field(4, 0), field(21, 0)) == {
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
    }
    assert spec(field(14, field(4, 5) + field(4, b"\x06\x07"))) == {
        "securityContext": {"supplementalGroups": [5, 6, 7]}
    }


def test_a_message_in_two_parts_is_one() -> None:
    assert spec(field(14, field(2, 1)), field(14, field(5, 2))) == {"securityContext": {"runAsUser": 1, "fsGroup": 2}}
    assert read(field(2, field(12, 1)) + field(2, field(13, 1)))["spec"] == {"hostPID": True, "hostIPC": True}


@pytest.mark.parametrize(
    ("pod", "named"),
    [
        (field(2, field(1, field(2, field(7, field(1, "server"))))), "number 7 of VolumeSource"),
        (field(2, field(99, 1)), "number 99 of PodSpec"),
        (field(2, field(7, field(1, "a") + field(3, 1))), "number 3 of an entry of PodSpec.nodeSelector"),
        (field(3, field(1, "Running")), "number 1 of Unset"),
        (field(1, field(8, field(1, 5) + field(2, 1))), "number 2 of Time"),
        (field(77, "x"), "number 77 of v1/Pod"),
    ],
)
def test_what_is_not_read_is_refused_by_its_number(pod: bytes, named: str) -> None:
    fault = refused(writing.envelope("v1", "Pod", pod))
    assert fault.code == 415
    assert named in fault.message


def test_zeros_of_unknown_fields_say_nothing() -> None:
    assert spec(field(99, 0), field(98, "")) == {}
    assert read(field(3, field(1, "") + field(2, "") + field(14, 0))) == {"apiVersion": "v1", "kind": "Pod"}


@pytest.mark.parametrize(
    "pod",
    [
        field(2, field(11, b"x")),
        field(2, field(3, 5)),
        field(2, field(2, 5)),
        # A fixed number, a group, the field zero, a number of more than 64 bits.
        b"\x15\0\0\0\0",
        b"\x13",
        b"\x02\x01x",
        b"\x10" + b"\xff" * 9 + b"\x7f",
        field(2, field(14, field(4, b"\xff"))),
        field(1, field(8, field(1, 2**63))),
        field(1, field(17, field(7, field(1, b"[" * 100_000)))),
        field(1, field(17, field(7, field(1, b'"\\ud800"')))),
        field(2, field(2, field(10, field(1, field(3, field(1, field(1, 2))))))),
    ],
)
def test_malformed_pods(pod: bytes) -> None:
    assert refused(writing.envelope("v1", "Pod", pod)).code == 400


@hypothesis.settings(deadline=None, max_examples=60, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(strategies.data())
def test_every_kind_comes_through_whole(data: strategies.DataObject) -> None:
    name = data.draw(strategies.sampled_from(["v1/Pod", *KINDS]))
    api_version, _, kind = name.rpartition("/")
    obj = {"apiVersion": api_version, "kind": kind, **data.draw(writing.objects(name))}
    assert protobuf.decode(writing.body(obj)) == obj


@hypothesis.settings(deadline=None, max_examples=200, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(strategies.data())
def test_changed_bytes_end_in_an_object_or_a_fault(data: strategies.DataObject) -> None:
    whole = bytearray(writing.message("v1/Pod", data.draw(writing.objects("v1/Pod"))) + data.draw(strategies.binary()))
    for _ in range(data.draw(strategies.integers(1, 4))):
        at = data.draw(strategies.integers(0, len(whole)))
        whole[at : at + data.draw(strategies.integers(0, 3))] = data.draw(strategies.binary(max_size=4))
    for body in (bytes(whole), writing.envelope("v1", "Pod", bytes(whole)), b"k8s\0" + bytes(whole)):
        try:
            assert isinstance(protobuf.decode(body), dict)
        except faults.Fault as fault:
            assert fault.code in (400, 415)


@pytest.mark.parametrize("part", [field(2, b""), field(11, 1), field(14, field(4, b"\1" * 99)), field(99, 0)])
def test_a_body_of_nothing_but_fields_is_not_read_to_its_end(part: bytes) -> None:
    fault = refused(writing.envelope("v1", "Pod", field(2, part * 50_001)))
    assert fault.code == 400
    assert "50000 fields" in fault.message


def test_no_message_holds_itself() -> None:
    """So the tables bound how deep a body goes."""
    height: dict[str, int] = {}

    def measure(name: str, above: tuple[str, ...]) -> int:
        assert name not in above, above
        if name not in height:
            inner = [each.type for each in records.RECORDS[name].values() if each.type in records.RECORDS]
            height[name] = 1 + max((measure(each, (*above, name)) for each in inner), default=0)
        return height[name]

    assert max(measure(name, ()) for name in records.RECORDS) < 20


def test_names_are_those_of_the_schema() -> None:
    library = models.Library()
    wrong = list(_unknown(library, "v1/Pod", "core_v1.Pod"))
    assert not wrong


def _unknown(library: models.Library, record: str, model: str) -> Iterator[str]:
    known = library.record(model, describe=False).fields
    for each in records.RECORDS[record].values():
        if each.shape == "&":
            yield from _unknown(library, each.type, model)
            continue
        if each.type.startswith("Unset"):
            continue
        if each.name not in known:
            yield f"{model}.{each.name}"
            continue
        node = known[each.name].node
        if isinstance(node, nodes.Array):
            assert each.shape == "*", (model, each)
            node = node.items
        elif isinstance(node, nodes.Mapping):
            assert each.shape == "{}", (model, each)
            node = node.values
        else:
            assert not each.shape, (model, each)
        match node:
            case nodes.Ref(name):
                yield from _unknown(library, each.type, models.model_of(name))
            case nodes.Quantity():
                assert each.type == "quantity", (model, each)
            case nodes.IntOrString():
                assert each.type == "number or text", (model, each)
            case nodes.Scalar(type="integer"):
                assert each.type in ("int", "count"), (model, each)
            case nodes.Scalar(type="boolean"):
                assert each.type in ("bool", "flag"), (model, each)
            case nodes.Scalar(type="string", format="date-time"):
                assert each.type == "time", (model, each)
            case nodes.Scalar(type="string"):
                assert each.type in ("text", "value"), (model, each)


@pytest.mark.anyio
async def test_the_server_says_which_field_it_does_not_read(api: server.Api) -> None:
    headers = {"content-type": protobuf.MEDIA_TYPE}
    path = "/api/v1/namespaces/default/pods"
    main = field(2, field(1, "main") + field(2, "x:1"))
    body = writing.envelope("v1", "Pod", field(1, field(1, "a")) + field(2, main))
    made = await server.send(api.app, "POST", path, body, headers=headers)
    assert (made.status, made.json["spec"]["containers"][0]["image"]) == (201, "x:1")
    nfs = field(1, field(1, "v") + field(2, field(7, field(1, "server"))))
    body = writing.envelope("v1", "Pod", field(1, field(1, "b")) + field(2, main + nfs))
    refusal = await server.send(api.app, "POST", path, body, headers=headers)
    assert (refusal.status, refusal.json["reason"]) == (415, "UnsupportedMediaType")
    assert "number 7 of VolumeSource" in refusal.json["message"]
