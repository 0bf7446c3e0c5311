"""Environments and files of instances."""

import base64
from typing import Any

import msgspec
import pytest

from boxfleet.api import config, meta, pod_sources
from boxfleet.api import pod as pods
from boxfleet.planning import environment, pod_volumes


def facts(**changes: Any) -> environment.Facts:
    pod = pods.Pod(
        metadata=meta.ObjectMeta(name="p", namespace="n", uid="u", labels={"a": "1", "b": 'say "x"'}),
        spec=pods.PodSpec(containers=[], nodeName="node"),
    )
    base: dict[str, Any] = {
        "pod": pod, "pod_ip": "10.0.0.2", "host_ip": "192.0.2.1", "allocatable": {"cpu": "1800m", "memory": "1Gi"},
        "config_maps": {"m": config.ConfigMap(data={"k": "v", "1bad": "x"})},
        "secrets": {"s": config.Secret(data={"k": base64.b64encode(b"hidden").decode(), "raw": "/w=="})},
    }  # fmt: skip
    return environment.Facts(**base | changes)


def build(*env: dict[str, Any], **container: Any) -> dict[str, str]:
    return environment.build(msgspec.convert({"name": "c", "env": list(env), **container}, pods.Container), facts())


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("$(A)", "1"), ("$(B)", "$(B)"), ("$$(A)", "$(A)"), ("$$$(A)", "$1"), ("$A", "$A"), ("$", "$"), ("$(A", "$(A"),
        ("x$(A)y$(A)", "x1y1"), ("$()", "$()"),
    ],
)  # fmt: skip
def test_expansion_is_that_of_kubernetes(text: str, result: str) -> None:
    assert environment.expand(text, {"A": "1"}) == result


def test_a_variable_sees_those_before_it() -> None:
    assert build({"name": "A", "value": "1"}, {"name": "B", "value": "$(A)2$(C)"}, {"name": "C", "value": "3"}) == {
        "A": "1", "B": "12$(C)", "C": "3",
    }  # fmt: skip


def test_whole_objects_come_first_and_bad_names_stay_out() -> None:
    got = build({"name": "k", "value": "own"}, envFrom=[{"configMapRef": {"name": "m"}}])
    assert got == {"k": "own"}
    assert build(envFrom=[{"secretRef": {"name": "none", "optional": True}}]) == {}


def test_what_is_missing_is_named() -> None:
    with pytest.raises(pod_volumes.Missing, match='configmap "none" not found'):
        build(envFrom=[{"configMapRef": {"name": "none"}}])
    with pytest.raises(pod_volumes.Missing, match="couldn't find key z in secret s"):
        build({"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "z"}}})
    with pytest.raises(pod_volumes.Missing, match="is not text"):
        build({"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "raw"}}})
    with pytest.raises(pod_volumes.Missing, match="is not supported"):
        build({"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.secret"}}})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "p"), ("metadata.labels['a']", "1"), ("metadata.labels['z']", ""), ("spec.nodeName", "node"),
        ("status.podIP", "10.0.0.2"), ("status.hostIP", "192.0.2.1"), ("metadata.labels", 'a="1"\nb="say \\"x\\""'),
    ],
)  # fmt: skip
def test_fields_of_the_pod(path: str, value: str) -> None:
    assert environment.field(path, facts()) == value


@pytest.mark.parametrize(
    ("resource", "divisor", "value"),
    [
        ("limits.cpu", "1", "1"), ("limits.cpu", "1m", "250"), ("requests.memory", "1Mi", "64"),
        ("limits.memory", "1Mi", "1024"),
        ("limits.memory", "0", "1073741824"), ("requests.ephemeral-storage", "", "0"),
    ],
)  # fmt: skip
def test_resources_are_divided_and_rounded_up(resource: str, divisor: str, value: str) -> None:
    got = build(
        {"name": "A", "valueFrom": {"resourceFieldRef": {"resource": resource, "divisor": divisor}}},
        resources={"limits": {"cpu": "250m"}, "requests": {"memory": "64Mi"}},
    )
    assert got == {"A": value}


def test_files_of_volumes() -> None:
    known = {"m": config.ConfigMap(data={"b": "2", "a": "1"}, binaryData={"c": "Aw=="})}
    every = pod_volumes.config_map_files(pod_sources.ConfigMapVolumeSource(name="m"), known, namespace="n")
    assert [(one.path, one.content, one.mode) for one in every] == [
        ("a", b"1", 0o644), ("b", b"2", 0o644), ("c", b"\x03", 0o644),
    ]  # fmt: skip
    chosen = pod_sources.ConfigMapVolumeSource(
        name="m",
        defaultMode=0o600,
        items=[pod_sources.KeyToPath(key="a", path="x/y"), pod_sources.KeyToPath(key="b", path="z", mode=0o400)],
    )
    some = pod_volumes.config_map_files(chosen, known, namespace="n")
    assert [(one.path, one.mode) for one in some] == [("x/y", 0o600), ("z", 0o400)]
    assert (
        pod_volumes.config_map_files(pod_sources.ConfigMapVolumeSource(name="q", optional=True), known, namespace="n")
        == []
    )
    with pytest.raises(pod_volumes.Missing, match='configmap "n/q" not found'):
        pod_volumes.config_map_files(pod_sources.ConfigMapVolumeSource(name="q"), known, namespace="n")


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "..data", "a//b", ""])
def test_no_file_leaves_its_volume(path: str) -> None:
    source = pod_sources.ConfigMapVolumeSource(name="m", items=[pod_sources.KeyToPath(key="a", path=path)])
    with pytest.raises(pod_volumes.Missing, match="cannot be a file of a volume"):
        pod_volumes.config_map_files(source, {"m": config.ConfigMap(data={"a": ""})}, namespace="n")


def test_references_are_all_found() -> None:
    spec = msgspec.convert(
        {
            "volumes": [
                {"name": "a", "configMap": {"name": "m1"}}, {"name": "b", "secret": {"secretName": "s1"}},
                {"name": "c", "persistentVolumeClaim": {"claimName": "c1"}},
            ],
            "initContainers": [
                {"name": "i", "envFrom": [{"configMapRef": {"name": "m2"}}, {"secretRef": {"name": "s2"}}]}
            ],
            "containers": [{"name": "c", "env": [
                {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "m3", "key": "k"}}},
                {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s3", "key": "k"}}}]}],
        },
        pods.PodSpec,
    )  # fmt: skip
    assert pod_volumes.references(spec) == pod_volumes.References(
        config_maps=frozenset({"m1", "m2", "m3"}), secrets=frozenset({"s1", "s2", "s3"}), claims=frozenset({"c1"})
    )


def test_whole_tables_are_quoted_as_kubernetes_does() -> None:
    odd = {"b": "tab\there", "a": 'say "x"\n\\', "c": "\x00\x1b\x7f\u0085\u200b\U000e0001", "d": "größe / 漢"}
    given = environment.Facts(pod=pods.Pod(metadata=meta.ObjectMeta(annotations=odd)))
    assert environment.field("metadata.annotations", given).split("\n") == [
        r'a="say \"x\"\n\\"',
        r'b="tab\there"',
        r'c="\x00\x1b\x7f\u0085\u200b\U000e0001"',
        'd="größe / 漢"',
    ]
