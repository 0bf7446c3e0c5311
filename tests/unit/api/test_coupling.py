"""What a Unit may say of memory that it shares."""

from typing import Any

import pytest

from boxfleet.api import pod, unit

CONTAINER = {"name": "main", "image": "x:1"}


def errors(**said: Any) -> dict[str, str]:
    container = CONTAINER | {"volumeMounts": [{"name": "v", "mountPath": "/there/"}]}
    template = {"spec": {"containers": [container], "volumes": [{"name": "v", "emptyDir": {}}]}}
    obj = {"metadata": {"name": "app"}, "spec": {"replicas": 1, "template": template, **said}}
    return {error.field: error.message for error in unit.Unit.KIND.validate(obj, None)}


def test_good_ones() -> None:
    assert errors(provides=[{"name": "ipc/a", "size": "1Gi", "exclusive": True}, {"name": "ipc/b-2"}]) == {}
    # That nobody provides it is for the scheduler to see: it waits.
    assert errors(consumes=[{"name": "ipc/a", "path": "/dev/shm"}, {"name": "ipc/b", "exclusive": True}]) == {}


@pytest.mark.parametrize(
    ("said", "field", "words"),
    [
        ({"provides": [{"name": "orders"}]}, "provides[0].name", "ipc/orders"),
        ({"provides": [{"name": "ipc/Orders"}]}, "provides[0].name", "DNS label"),
        ({"consumes": [{"name": "ipc/" + "x" * 49}]}, "consumes[0].name", "48 characters"),
        ({"provides": [{"name": "ipc/a"}, {"name": "ipc/a", "path": "/b"}]}, "provides[1].name", "Duplicate"),
        (
            {"provides": [{"name": "ipc/a"}], "consumes": [{"name": "ipc/a", "path": "/b"}]},
            "consumes[0].name",
            "itself",
        ),
        ({"provides": [{"name": "ipc/a", "size": "much"}]}, "provides[0].size", "64Mi"),
        ({"provides": [{"name": "ipc/a", "size": "0"}]}, "provides[0].size", "64Mi"),
        ({"provides": [{"name": "ipc/a", "path": "shm"}]}, "provides[0].path", "absolute"),
        ({"provides": [{"name": "ipc/a", "path": "/there"}]}, "provides[0].path", "mounted there"),
        (
            {"consumes": [{"name": "ipc/a", "path": "/dev/shm"}, {"name": "ipc/b", "path": "/dev/shm"}]},
            "consumes[1].path",
            "mounted there",
        ),
    ],
)
def test_bad_ones(said: dict[str, Any], field: str, words: str) -> None:
    found = errors(**said)
    assert list(found) == [f"spec.{field}"]
    assert words in found[f"spec.{field}"]


def test_a_pod_that_asks_by_itself() -> None:
    def faults(**said: str) -> list[str]:
        volume = {"name": "v", "csi": {"driver": "ipc.boxfleet.dev", "volumeAttributes": said}}
        obj = {"metadata": {"name": "p"}, "spec": {"containers": [CONTAINER], "volumes": [volume]}}
        pod.Pod.KIND.default(obj)
        return [error.field for error in pod.Pod.KIND.validate(obj, None)]

    at = "spec.volumes[0].csi.volumeAttributes"
    assert faults(name="ipc/a", role="consumes") == []
    assert faults(name="a", role="has", size="-") == [f"{at}.name", f"{at}.role", f"{at}.size"]
