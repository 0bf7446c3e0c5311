"""What the docker driver decides for a Swarm without one."""

import datetime
from typing import Any

import pytest

from boxfleet.drivers.docker import given
from boxfleet.drivers.docker.swarm import model, specs, status, support, view
from boxfleet.ports import cluster

ENGINE = given.Engine(fleet="f", domain="box.test", network="n", cpu=2000, memory=2**30, local=True)
NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
MAIN: dict[str, Any] = {"name": "main", "image": "app:1"}


def wanted(*, secrets: dict[str, Any] | None = None, **spec: Any) -> given.Given:
    pod = {"metadata": {"name": "web-0", "namespace": "ns", "uid": "u1"}, "spec": {"containers": [MAIN], **spec}}
    order = cluster.Order(pod=pod, secrets=secrets or {})
    return given.read(cluster.Share(namespace="ns", unit="web", box="", ordinals=(0,), orders={0: order}), 0)


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"containers": [MAIN, MAIN | {"name": "b"}]}, "spec.containers"),
        ({"initContainers": [MAIN | {"name": "b"}]}, "spec.initContainers"),
        ({"hostIPC": True}, "spec.hostIPC"),
        ({"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]}, r"spec.volumes\[0\].hostPath"),
        ({"volumes": [{"name": "v", "csi": {"driver": "ipc.boxfleet.dev"}}]}, r"spec.volumes\[0\].csi"),
        (
            {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]},
            r"spec.volumes\[0\].persistentVolumeClaim",
        ),
        ({"containers": [MAIN | {"readinessProbe": {"httpGet": {"port": 1}}}]}, r"containers\[0\].readinessProbe"),
        (
            {
                "containers": [
                    MAIN
                    | {
                        "readinessProbe": {"exec": {"command": ["a"]}},
                        "livenessProbe": {"exec": {"command": ["b"]}},
                    }
                ]
            },
            r"containers\[0\].readinessProbe",
        ),
        ({"containers": [MAIN | {"securityContext": {"privileged": True}}]}, r"containers\[0\].securityContext"),
        (
            {"containers": [MAIN | {"lifecycle": {"preStop": {"exec": {"command": ["a"]}}}}]},
            r"containers\[0\].lifecycle",
        ),
    ],
)
def test_what_a_swarm_cannot_do_is_named(spec: dict[str, Any], path: str) -> None:
    with pytest.raises(cluster.Unsupported, match=path):
        support.check(wanted(**spec), ENGINE)


def test_a_service() -> None:
    secrets = {"s": {"metadata": {"name": "s"}, "data": {"k": "aGlkZGVu"}}}
    container = MAIN | {
        "command": ["run"],
        "args": ["now"],
        "ports": [{"containerPort": 80, "hostPort": 8080}],
        "resources": {"limits": {"cpu": "500m", "memory": "64Mi"}, "requests": {"cpu": "100m"}},
        "livenessProbe": {"exec": {"command": ["well"]}, "periodSeconds": 5, "failureThreshold": 2},
        "startupProbe": {"exec": {"command": ["up"]}, "periodSeconds": 2, "failureThreshold": 30},
        "securityContext": {"capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]}},
        "volumeMounts": [{"name": "v", "mountPath": "/keys"}, {"name": "m", "mountPath": "/fast"}],
    }
    one = wanted(
        secrets=secrets,
        containers=[container],
        volumes=[{"name": "v", "secret": {"secretName": "s"}}, {"name": "m", "emptyDir": {"medium": "Memory"}}],
        nodeSelector={"kubernetes.io/arch": "amd64", "kubernetes.io/hostname": "a", "disk": "fast"},
        terminationGracePeriodSeconds=7,
        restartPolicy="OnFailure",
    )
    support.check(one, ENGINE)
    [kept] = specs.files(one, ENGINE)
    assert (kept.hidden, kept.target, kept.content, kept.body["Data"]) == (True, "/keys/k", b"hidden", "aGlkZGVu")
    body = specs.service(one, ENGINE, [(kept, "id")], forced=3)
    template = body["TaskTemplate"]
    inner = template["ContainerSpec"]
    assert (body["Name"], template["ForceUpdate"]) == ("ns_web-0", 3)
    assert (inner["Command"], inner["Args"], inner["StopGracePeriod"]) == (["run"], ["now"], 7_000_000_000)
    assert (inner["CapabilityAdd"], inner["CapabilityDrop"]) == (["CAP_NET_ADMIN"], ["ALL"])
    assert inner["Secrets"] == [
        {"File": {"Name": "/keys/k", "UID": "0", "GID": "0", "Mode": 0o644}, "SecretID": "id", "SecretName": kept.name}
    ]
    assert inner["Mounts"] == [{"Type": "tmpfs", "Target": "/fast", "TmpfsOptions": {"Mode": 0o1777}}]
    assert inner["HealthCheck"]["Test"] == ["CMD", "well"]
    assert inner["HealthCheck"]["StartPeriod"] == 60_000_000_000
    assert template["Resources"]["Limits"]["NanoCPUs"] == 500_000_000
    assert template["Resources"]["Reservations"] == {"NanoCPUs": 100_000_000}
    assert template["RestartPolicy"]["Condition"] == "on-failure"
    assert template["Placement"]["Constraints"] == [
        "node.platform.arch==x86_64", "node.hostname==a", "node.labels.disk==fast"
    ]  # fmt: skip
    assert template["Networks"] == [{"Target": "n", "Aliases": ["web.ns.box.test", "web-0.web.ns.box.test"]}]
    assert body["EndpointSpec"]["Ports"][0]["PublishMode"] == "host"
    assert "hidden" not in str(body)


def test_files_that_are_no_files_of_a_swarm() -> None:
    secrets = {"s": {"metadata": {"name": "s"}, "data": {"k": ""}}}
    one = wanted(
        secrets=secrets,
        containers=[MAIN | {"volumeMounts": [{"name": "v", "mountPath": "/keys"}]}],
        volumes=[{"name": "v", "secret": {"secretName": "s"}}],
    )
    with pytest.raises(cluster.Unsupported, match="/keys/k"):
        specs.files(one, ENGINE)


def task(state: str, *, number: int = 1, desired: str = "running", node: str = "n", **more: Any) -> model.Task:
    return model.task(
        {
            "ID": f"t{number}",
            "CreatedAt": f"2026-01-01T00:00:0{number}Z",
            "NodeID": node,
            "DesiredState": desired,
            "Status": {"State": state, "Timestamp": "2026-01-01T00:01:00Z", **more},
            "NetworksAttachments": [{"Addresses": ["10.0.1.2/24"]}],
        }
    )


def built(*tasks: model.Task, policy: str = "Always") -> Any:
    return status.build(tasks, image="app:1", name="main", policy=policy, before=(), now=NOW)


def test_status_of_tasks() -> None:
    found = built(task("running", ContainerStatus={"ContainerID": "c"}))
    assert (found.phase, found.podIP, found.containerStatuses[0].containerID) == ("Running", "10.0.1.2", "docker://c")
    assert {each.type: each.status for each in found.conditions}["Ready"] == "True"
    assert built().phase == "Pending"
    failed = task("failed", ContainerStatus={"ExitCode": 3})
    found = built(failed, task("ready", number=2, desired="ready"))
    [one] = found.containerStatuses
    assert (found.phase, one.state.waiting.reason, one.lastState.terminated.exitCode) == (
        "Running",
        "CrashLoopBackOff",
        3,
    )
    assert one.restartCount == 1
    assert built(failed, policy="Never").phase == "Failed"
    assert built(task("complete"), policy="Never").phase == "Succeeded"
    absent = task("rejected", Err="No such image: app:1")
    assert built(absent, policy="Never").containerStatuses[0].state.waiting.reason == "ErrImagePull"
    nowhere = built(task("pending", node="", Err="no suitable node (insufficient resources on 1 node)"))
    assert [(each.status, each.reason) for each in nowhere.conditions if each.type == "PodScheduled"] == [
        ("False", "Unschedulable")
    ]


def test_hosts_of_one_name_are_told_apart() -> None:
    found = [
        {"ID": "abcdefghij", "Description": {"Hostname": "vm"}},
        {"ID": "klmnopqrst", "Description": {"Hostname": "vm"}},
        {"ID": "uvwxyz", "Description": {"Hostname": "other"}},
    ]
    assert view.hosts(found) == {"abcdefghij": "vm-abcdefgh", "klmnopqrst": "vm-klmnopqr", "uvwxyz": "other"}


def test_a_host_as_its_swarm_tells_of_it() -> None:
    found = {
        "ID": "n1",
        "Spec": {"Availability": "drain", "Labels": {"disk": "fast"}},
        "Description": {
            "Hostname": "a",
            "Platform": {"Architecture": "x86_64", "OS": "linux"},
            "Resources": {"NanoCPUs": 2_000_000_000, "MemoryBytes": 1024},
        },
        "Status": {"State": "down", "Addr": "192.0.2.1"},
    }
    node = view.node(found, "a")
    assert (node.ready, node.unschedulable, node.capacity["cpu"], node.labels["disk"]) == (False, True, "2000m", "fast")
    assert {"type": "InternalIP", "address": "192.0.2.1"} in node.addresses
