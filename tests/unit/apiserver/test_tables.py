import datetime
from typing import Any

import msgspec
import pytest

from boxfleet.api import address, address_pool, box, catalog, cells, config, event, kind, node, pod, unit, volume_claim
from boxfleet.apiserver import tables

NOW = datetime.datetime(2026, 1, 31, 12, 0, tzinfo=datetime.UTC)
META = {"name": "a", "namespace": "default", "creationTimestamp": "2026-01-31T11:55:00Z"}


def row(type_: Any, obj: dict[str, Any]) -> dict[str, Any]:
    found = tables.table(type_.KIND, [{"metadata": META} | obj], now=NOW)
    names = [column["name"] for column in found["columnDefinitions"]]
    [only] = found["rows"]
    return dict(zip(names, only["cells"], strict=True))


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(-5, "<invalid>"), (-0.5, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (125, "2m5s"), (600, "10m"),
     (10799, "179m"), (10800, "3h"), (11100, "3h5m"), (28800, "8h"), (172799, "47h"), (172800, "2d"), (176400, "2d1h"),
     (691200, "8d"), (63072000, "2y"), (63158400, "2y1d"), (252288000, "8y")],
)  # fmt: skip
def test_durations_read_as_in_kubectl(seconds: float, written: str) -> None:
    assert cells.duration(seconds) == written


def test_table_and_its_rows() -> None:
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": META, "data": {"a": "b"}, "binaryData": {"c": "ZA=="}}
    found = tables.table(config.ConfigMap.KIND, [obj], now=NOW, resource_version="7", continue_token="t", remaining=3)
    assert (found["kind"], found["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert found["metadata"] == {"resourceVersion": "7", "continue": "t", "remainingItemCount": 3}
    assert [column["name"] for column in found["columnDefinitions"]] == ["Name", "Data", "Age"]
    assert found["columnDefinitions"][0]["format"] == "name"
    [only] = found["rows"]
    assert only["cells"] == ["a", 2, "5m"]
    assert only["object"] == {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": META}


def test_rows_include_what_is_asked() -> None:
    obj = {"metadata": META, "data": {}}
    assert tables.table(config.ConfigMap.KIND, [obj], now=NOW, include="Object")["rows"][0]["object"] == obj
    assert tables.table(config.ConfigMap.KIND, [obj], now=NOW, include="None")["rows"][0]["object"] is None
    assert tables.table(config.ConfigMap.KIND, [], now=NOW, headers=False)["columnDefinitions"] is None


@pytest.mark.parametrize("type_", catalog.TYPES, ids=lambda type_: type_.__name__)
def test_every_kind_has_a_table_even_of_empty_objects(type_: Any) -> None:
    for obj in ({"metadata": {"name": "a"}}, {"metadata": {"name": "a"}, "spec": {}, "status": {}}):
        found = tables.table(type_.KIND, [obj], now=NOW)
        msgspec.json.encode(found)
        assert all(column["description"] for column in found["columnDefinitions"])
        names = {column["name"] for column in found["columnDefinitions"]}
        assert names & {"Age", "Created At"} or type_ is event.Event


def test_partial_metadata() -> None:
    found = tables.partial_metadata_list(
        [tables.partial_metadata({"metadata": META, "spec": {}})], metadata={"resourceVersion": "1"}
    )
    assert found["items"] == [tables.partial_metadata({"metadata": META})]
    assert found["metadata"] == {"resourceVersion": "1"}


def waiting(reason: str) -> dict[str, Any]:
    return {"state": {"waiting": {"reason": reason}}, "ready": False, "restartCount": 0}


def ended(code: int, *, reason: str = "", restarts: int = 0, signal: int = 0) -> dict[str, Any]:
    found = {"exitCode": code, "signal": signal} | ({"reason": reason} if reason else {})
    return {"state": {"terminated": found}, "ready": False, "restartCount": restarts}


RUNNING: dict[str, Any] = {
    "state": {"running": {"startedAt": "2026-01-31T11:56:00Z"}},
    "ready": True,
    "restartCount": 0,
}
UNREADY = RUNNING | {"ready": False}
READY = {"type": "Ready", "status": "True"}


def a_pod(*statuses: dict[str, Any], inits: tuple[dict[str, Any], ...] = (), **rest: Any) -> dict[str, Any]:
    names = [f"c{number}" for number in range(max(len(statuses), 1))]
    init_names = [f"i{number}" for number in range(len(inits))]
    sidecars = rest.pop("sidecars", ())
    meta = META | ({"deletionTimestamp": "2026-01-31T12:00:00Z"} if rest.pop("deleting", False) else {})
    listed = [status | {"name": name} for name, status in zip(names, statuses, strict=False)]
    return {
        "metadata": meta,
        "spec": {
            "containers": [{"name": name} for name in names],
            "initContainers": [
                {"name": name} | ({"restartPolicy": "Always"} if name in sidecars else {}) for name in init_names
            ],
        },
        "status": {
            "phase": rest.pop("phase", "Running"),
            "containerStatuses": listed,
            "initContainerStatuses": [status | {"name": n} for n, status in zip(init_names, inits, strict=True)],
        }
        | rest,
    }


@pytest.mark.parametrize(
    ("found", "ready", "status"),
    [
        (a_pod(phase="Pending"), "0/1", "Pending"),
        (a_pod(RUNNING), "1/1", "Running"),
        (a_pod(RUNNING, UNREADY), "1/2", "Running"),
        (a_pod(waiting("ContainerCreating"), phase="Pending"), "0/1", "ContainerCreating"),
        (a_pod(waiting("ImagePullBackOff"), phase="Pending"), "0/1", "ImagePullBackOff"),
        (a_pod(waiting("CrashLoopBackOff")), "0/1", "CrashLoopBackOff"),
        (a_pod(waiting("CrashLoopBackOff"), RUNNING), "1/2", "CrashLoopBackOff"),
        (a_pod(ended(0, reason="Completed"), phase="Succeeded"), "0/1", "Completed"),
        (a_pod(ended(1, reason="Error"), phase="Failed"), "0/1", "Error"),
        (a_pod(ended(137, reason="OOMKilled")), "0/1", "OOMKilled"),
        (a_pod(ended(3)), "0/1", "ExitCode:3"),
        (a_pod(ended(0, signal=9)), "0/1", "Signal:9"),
        (a_pod(ended(0, reason="Completed"), RUNNING, conditions=[READY]), "1/2", "Running"),
        (a_pod(ended(0, reason="Completed"), RUNNING), "1/2", "NotReady"),
        (a_pod(RUNNING, deleting=True), "1/1", "Terminating"),
        (a_pod(ended(0, reason="Completed"), phase="Succeeded", deleting=True), "0/1", "Completed"),
        (a_pod(RUNNING, deleting=True, reason="NodeLost"), "1/1", "Unknown"),
        (a_pod(phase="Failed", reason="Evicted"), "0/1", "Evicted"),
        (a_pod(waiting("PodInitializing"), inits=(RUNNING,), phase="Pending"), "0/1", "Init:0/1"),
        (a_pod(inits=(ended(0), UNREADY), phase="Pending"), "0/1", "Init:1/2"),
        (a_pod(inits=(ended(2),), phase="Pending"), "0/1", "Init:ExitCode:2"),
        (a_pod(inits=(ended(2, reason="Error"),), phase="Pending"), "0/1", "Init:Error"),
        (a_pod(inits=(waiting("CrashLoopBackOff"),), phase="Pending"), "0/1", "Init:CrashLoopBackOff"),
        (a_pod(RUNNING, inits=(ended(0),)), "1/1", "Running"),
        (a_pod(RUNNING, inits=(RUNNING | {"started": True},), sidecars=("i0",)), "2/2", "Running"),
        (a_pod(phase="Pending", conditions=[{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]),
         "0/1", "SchedulingGated"),
    ],
)  # fmt: skip
def test_pods_read_as_in_kubernetes(found: dict[str, Any], ready: str, status: str) -> None:
    printed = row(pod.Pod, found)
    assert (printed["Ready"], printed["Status"]) == (ready, status)


def test_restarts_say_when() -> None:
    last = {"lastState": {"terminated": {"finishedAt": "2026-01-31T11:50:00Z"}}}
    again = {"lastState": {"terminated": {"finishedAt": "2026-01-31T11:55:00Z"}}}
    printed = row(pod.Pod, a_pod(RUNNING | last | {"restartCount": 2}, RUNNING | again | {"restartCount": 1}))
    assert printed["Restarts"] == "3 (5m ago)"
    assert row(pod.Pod, a_pod(RUNNING))["Restarts"] == "0"


def test_wide_columns_of_pods() -> None:
    found = a_pod(RUNNING, podIP="10.88.0.2")
    found["spec"] |= {"nodeName": "n", "readinessGates": [{"conditionType": "x"}]}
    printed = row(pod.Pod, found)
    assert (printed["IP"], printed["Node"], printed["Nominated Node"], printed["Readiness Gates"]) == (
        "10.88.0.2", "n", "<none>", "0/1",
    )  # fmt: skip
    columns = tables.table(pod.Pod.KIND, [], now=NOW)["columnDefinitions"]
    assert [column["priority"] for column in columns] == [0, 0, 0, 0, 0, 1, 1, 1, 1]


def test_nodes() -> None:
    found = {
        "metadata": META | {"labels": {"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/edge": ""}},
        "spec": {"unschedulable": True},
        "status": {
            "conditions": [{"type": "Ready", "status": "False"}],
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
            "nodeInfo": {"kubeletVersion": "v1.32.0"},
        },
    }
    printed = row(node.Node, found)
    assert (printed["Status"], printed["Roles"], printed["Version"]) == (
        "NotReady,SchedulingDisabled", "edge,worker", "v1.32.0",
    )  # fmt: skip
    assert (printed["Internal-IP"], printed["External-IP"]) == ("10.0.0.1", "<none>")


def test_events() -> None:
    found = {
        "involvedObject": {"kind": "Pod", "name": "p"}, "type": "Warning", "reason": "Failed", "message": "no image\n",
        "lastTimestamp": "2026-01-31T11:59:30Z", "firstTimestamp": "2026-01-31T11:50:00Z", "count": 4,
        "source": {"component": "agent", "host": "n"},
    }  # fmt: skip
    printed = row(event.Event, found)
    assert list(printed) == [
        "Last Seen", "Type", "Reason", "Object", "Subobject", "Source", "Message", "First Seen", "Count", "Name",
    ]  # fmt: skip
    assert (printed["Last Seen"], printed["Object"], printed["Message"]) == ("30s", "pod/p", "no image")
    assert (printed["Source"], printed["First Seen"], printed["Count"]) == ("agent, n", "10m", 4)


def test_claims() -> None:
    found = {
        "spec": {"volumeName": "v", "volumeMode": "Filesystem"},
        "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]},
    }
    printed = row(volume_claim.PersistentVolumeClaim, found)
    assert (printed["Status"], printed["Capacity"], printed["Access Modes"]) == ("Bound", "1Gi", "RWO")
    assert (printed["VolumeAttributesClass"], printed["VolumeMode"]) == ("<unset>", "Filesystem")
    of_a_host = row(volume_claim.PersistentVolumeClaim, {"spec": {}, "status": found["status"]})
    assert (of_a_host["Capacity"], of_a_host["Access Modes"]) == ("1Gi", "RWO")
    waits = row(volume_claim.PersistentVolumeClaim, {"spec": {}, "status": {"phase": "Pending"}})
    assert (waits["Capacity"], waits["Access Modes"]) == ("", "")


@pytest.mark.parametrize(
    ("conditions", "word"),
    [
        ([], "Pending"),
        ([{"type": "Ready", "status": "False", "reason": "WaitingForDependency", "message": "waits for Unit db"}],
         "WaitingForDependency"),
        ([READY], "Ready"),
        ([READY | {"reason": "Completed"}], "Completed"),
        ([READY, {"type": "Progressing", "status": "True"}], "Updating"),
    ],
)  # fmt: skip
def test_boxes_and_units_say_how_they_are(conditions: list[dict[str, Any]], word: str) -> None:
    printed = row(box.Box, {"spec": {"units": {}}, "status": {"conditions": conditions, "ready": "1/2"}})
    assert (printed["Ready"], printed["Status"]) == ("1/2", word)
    status = {"conditions": conditions, "readyReplicas": 1, "updatedReplicas": 2, "domain": "db.shop"}
    printed = row(unit.Unit, {"spec": {"replicas": 3}, "status": status})
    assert (printed["Ready"], printed["Up-To-Date"], printed["Status"]) == ("1/3", 2, word)
    assert printed["Domain"] == "db.shop"
    assert printed["Reason"] == (conditions[0].get("message", "") if word == "WaitingForDependency" else "")


def test_addresses_and_pools() -> None:
    spec = {"pool": "default", "namespace": "shop", "instance": "shop-db-0", "domain": "d"}
    printed = row(address.Address, {"spec": spec, "status": {"ready": True, "node": "n"}})
    assert (printed["Pool"], printed["Instance"], printed["Ready"], printed["Node"]) == (
        "default",
        "shop-db-0",
        True,
        "n",
    )
    printed = row(address_pool.AddressPool, {"spec": {"cidr": "10.88.0.0/16"}, "status": {"used": 2, "free": 9}})
    assert (printed["CIDR"], printed["Used"], printed["Free"]) == ("10.88.0.0/16", 2, 9)


def test_paths_of_printer_columns() -> None:
    obj = {"a": [{"t": "x", "v": 1}, {"t": "y", "v": 2}], "m": {"k.e/y": "z"}}
    assert cells.find(obj, '.a[?(@.t=="y")].v') == [2]
    assert cells.find(obj, ".a[0].v") == [1]
    assert cells.find(obj, ".a[*].v") == [1, 2]
    assert cells.find(obj, ".a[7].v") == cells.find(obj, ".b.c") == []
    custom = kind.Column(name="V", path=".a[*].v")
    assert custom.priority == 0
