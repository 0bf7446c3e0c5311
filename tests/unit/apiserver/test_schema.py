import subprocess
import sys
from typing import Any

import pytest

from boxfleet.api import address_pool, box, catalog, config, kind, lease, node, pod, unit
from boxfleet.apiserver import schema
from boxfleet.apiserver.schema import models, nodes

SCHEMAS = schema.Schemas(catalog.TYPES)


def a_pod(**changes: Any) -> dict[str, Any]:
    container = {"name": "web", "image": "nginx", "ports": [{"containerPort": 80}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [container | changes]}}


def a_box(**changes: Any) -> dict[str, Any]:
    found = {"template": {"spec": {"containers": [{"name": "web", "image": "nginx"}]}}} | changes
    return {"metadata": {"name": "b"}, "spec": {"units": {"web": found}}}


def test_good_objects_have_no_findings() -> None:
    checked = SCHEMAS.check(pod.Pod.KIND, a_pod())
    assert (checked.errors, checked.unknown, checked.prunable) == ([], [], False)


@pytest.mark.parametrize("type_", catalog.TYPES, ids=lambda type_: type_.__name__)
def test_every_kind_knows_its_metadata_and_no_bogus_fields(type_: Any) -> None:
    obj = {"metadata": {"name": "a", "labels": {"a": "b"}, "managedFields": [], "bogus": 1}, "bogus": {}}
    checked = SCHEMAS.check(type_.KIND, obj)
    assert checked.unknown == ["metadata.bogus", "bogus"]
    assert checked.prunable


@pytest.mark.parametrize(
    ("changes", "field", "words", "reason"),
    [
        ({"image": 1}, "image", "Invalid value: 1: must be a string, not an integer", kind.Reason.TYPE),
        ({"ports": {}}, "ports", "must be a list, not an object", kind.Reason.TYPE),
        ({"ports": ["x"]}, "ports[0]", "must be an object, not a string", kind.Reason.TYPE),
        ({"ports": [{"containerPort": "80"}]}, "ports[0].containerPort", "must be an integer", kind.Reason.TYPE),
        ({"ports": [{"containerPort": 80.5}]}, "ports[0].containerPort", "not a number", kind.Reason.TYPE),
        ({"ports": [{}]}, "ports[0].containerPort", "Required value", kind.Reason.REQUIRED),
        ({"ports": [{"containerPort": 2**31}]}, "ports[0].containerPort", "must fit into int32", kind.Reason.INVALID),
        ({"tty": "yes"}, "tty", "must be true or false", kind.Reason.TYPE),
        ({"tty": 1}, "tty", "must be true or false", kind.Reason.TYPE),
        ({"stdin": None, "name": None}, "name", "Required value", kind.Reason.REQUIRED),
        ({"resources": {"limits": {"cpu": "1x"}}}, "resources.limits[cpu]", "quantity", kind.Reason.INVALID),
        ({"resources": {"limits": {"cpu": True}}}, "resources.limits[cpu]", "quantity", kind.Reason.TYPE),
        ({"livenessProbe": {"tcpSocket": {"port": 1.5}}}, "livenessProbe.tcpSocket.port", "integer or a string",
         kind.Reason.TYPE),
        ({"args": ["a", None]}, "args[1]", "must be a string, not null", kind.Reason.TYPE),
    ],
)  # fmt: skip
def test_names_the_field_and_the_fault(changes: dict[str, Any], field: str, words: str, reason: kind.Reason) -> None:
    [error] = SCHEMAS.check(pod.Pod.KIND, a_pod(**changes)).errors
    assert error.field == f"spec.containers[0].{field}"
    assert words in error.message
    assert error.reason is reason


@pytest.mark.parametrize("good", [0, 1.5, "500m", "1Gi", -1])
def test_quantities_are_texts_or_numbers(good: Any) -> None:
    assert not SCHEMAS.check(pod.Pod.KIND, a_pod(resources={"limits": {"cpu": good}})).errors


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("2026-01-31T12:00:00Z", True),
        ("2026-01-31T12:00:00.123456Z", True),
        ("2026-01-31t12:00:00+01:00", True),
        ("2026-02-31T12:00:00Z", False),
        ("2026-01-31", False),
        ("", False),
        ("now", False),
    ],
)
def test_times(text: str, good: bool) -> None:
    checked = SCHEMAS.check(lease.Lease.KIND, {"metadata": {"name": "a"}, "spec": {"renewTime": text}})
    assert (not checked.errors) is good


def test_bytes_are_base64_and_never_shown() -> None:
    good = {"metadata": {"name": "a"}, "data": {"key": "c2Vj\ncmV0"}}
    assert not SCHEMAS.check(config.Secret.KIND, good).errors
    [error] = SCHEMAS.check(config.Secret.KIND, {"data": {"key": "s3cret!"}}).errors
    assert error.field == "data[key]"
    assert "s3cret" not in error.message


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"replicas": -1}, "replicas", "greater than or equal to 0"),
        ({"replicas": 10001}, "replicas", "less than or equal to 10000"),
        ({"dependsOn": [{"unit": "db", "condition": "Red"}]}, "dependsOn[0].condition",
         'supported values: "Started", "Ready", "Completed"'),
        ({"dependsOn": [{}]}, "dependsOn[0].unit", "Required value"),
        ({"files": [{"path": "/a", "content": "", "mode": "99"}]}, "files[0].mode", "must match"),
        ({"template": {"spec": {"containers": [{"nam": "x"}]}}}, "template.spec.containers[0].name", "Required value"),
        ({"template": None}, "template", "Required value"),
    ],
)  # fmt: skip
def test_own_kinds_keep_the_bounds_of_their_types(changes: dict[str, Any], field: str, words: str) -> None:
    [error] = SCHEMAS.check(box.Box.KIND, a_box(**changes)).errors
    assert error.field == f"spec.units[web].{field}"
    assert words in error.message


def test_standard_parts_of_own_kinds_have_the_whole_standard_schema() -> None:
    spec = {"containers": [{"name": "a", "image": "b"}], "topologySpreadConstraints": [], "bogus": 1}
    obj = a_box(
        template={"spec": spec}, volumeClaimTemplates=[{"spec": {"dataSource": {"kind": "a", "name": "b"}, "x": 1}}]
    )
    checked = SCHEMAS.check(box.Box.KIND, obj)
    assert not checked.errors
    assert checked.unknown == [
        "spec.units[web].template.spec.bogus",
        "spec.units[web].volumeClaimTemplates[0].spec.x",
    ]


def test_length_of_own_texts_is_bounded() -> None:
    obj = {"metadata": {}, "spec": {"cidr": "10.0.0.0/8", "bridge": "x" * 16}}
    [error] = SCHEMAS.check(address_pool.AddressPool.KIND, obj).errors
    assert (error.field, error.reason) == ("spec.bridge", kind.Reason.TOO_LONG)


def test_prune_drops_what_no_schema_names_and_nulls() -> None:
    obj = a_pod(bogus=1, ports=[{"containerPort": 1, "x": {}}], workingDir=None, resources={"limits": {"cpu": None}})
    obj["metadata"] |= {"creationTimestamp": None, "labels": {"a": None, "b": "c"}}
    assert SCHEMAS.check(pod.Pod.KIND, obj).prunable
    SCHEMAS.prune(pod.Pod.KIND, obj)
    expected = a_pod(resources={"limits": {}}, ports=[{"containerPort": 1}])
    expected["metadata"]["labels"] = {"a": "", "b": "c"}
    assert obj == expected
    assert not SCHEMAS.check(pod.Pod.KIND, obj).prunable


def test_prune_reaches_into_templates_of_own_kinds() -> None:
    obj = a_box(template={"spec": {"containers": [{"name": "a", "bogus": 1}], "nodeName": None}})
    SCHEMAS.prune(box.Box.KIND, obj)
    assert obj["spec"]["units"]["web"]["template"] == {"spec": {"containers": [{"name": "a"}]}}


def test_nulls_alone_are_prunable_but_neither_wrong_nor_unknown() -> None:
    obj = a_pod()
    obj["metadata"]["creationTimestamp"] = None
    checked = SCHEMAS.check(pod.Pod.KIND, obj)
    assert (checked.errors, checked.unknown, checked.prunable) == ([], [], True)


def test_findings_are_fresh_lists() -> None:
    SCHEMAS.check(pod.Pod.KIND, a_pod()).errors.append(kind.FieldError("x", "y"))
    assert not SCHEMAS.check(pod.Pod.KIND, a_pod()).errors


def test_unknown_models_are_named() -> None:
    with pytest.raises(models.ModelError, match=r"core_v1\.Nonsense"):
        models.Library().record("core_v1.Nonsense", describe=False)


def test_the_models_are_read_not_imported() -> None:
    code = (
        "import sys; from boxfleet.api import catalog; from boxfleet.apiserver import schema;"
        "known = schema.Schemas(catalog.TYPES);"
        "[known.check(type_.KIND, {}) for type_ in catalog.TYPES];"
        "sys.exit(any(name.split('.')[0] == 'lightkube' for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def fields_of(name: str) -> dict[str, nodes.Field]:
    return SCHEMAS.record(name).fields


def test_integers_have_their_width() -> None:
    assert fields_of(models.component("core_v1.PodSpec"))["terminationGracePeriodSeconds"].node == nodes.Scalar(
        type="integer", format="int64"
    )
    assert fields_of(models.component("core_v1.Probe"))["periodSeconds"].node == nodes.Scalar(
        type="integer", format="int32"
    )


def test_reserved_words_have_their_json_names() -> None:
    assert "continue" in fields_of(models.component("meta_v1.ListMeta"))


@pytest.mark.parametrize("kind_", [node.Node.KIND, unit.Unit.KIND])
def test_empty_objects_do_not_crash(kind_: kind.Kind) -> None:
    SCHEMAS.check(kind_, {})
    SCHEMAS.prune(kind_, {})
