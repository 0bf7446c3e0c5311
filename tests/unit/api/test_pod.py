import copy
from typing import Any

import pytest

from boxfleet.api import kind, pod

KIND = pod.Pod.KIND


def a_pod(spec: dict[str, Any] | None = None, **container: Any) -> dict[str, Any]:
    """A Pod with its defaults."""
    containers = [{"name": "web", "image": "nginx:1"} | container]
    obj = {"metadata": {"name": "a", "namespace": "default"}, "spec": {"containers": containers} | (spec or {})}
    KIND.default(obj)
    return obj


def errors(obj: dict[str, Any], old: dict[str, Any] | None = None) -> dict[str, kind.FieldError]:
    return {error.field: error for error in KIND.validate(obj, old)}


def test_defaults_are_those_of_kubernetes() -> None:
    probe = {"httpGet": {"port": 80}}
    obj = a_pod(
        {
            "volumes": [
                {"name": "a"},
                {"name": "b", "configMap": {"name": "c"}},
                {"name": "h", "hostPath": {"path": "/x"}},
            ]
        },
        readinessProbe=probe,
        ports=[{"containerPort": 80}],
        env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        resources={"limits": {"cpu": "1000m", "memory": "1024Mi"}, "requests": {"cpu": 0.5}},
    )
    spec = obj["spec"]
    assert (spec["restartPolicy"], spec["dnsPolicy"], spec["terminationGracePeriodSeconds"]) == (
        "Always",
        "ClusterFirst",
        30,
    )
    assert (spec["schedulerName"], spec["securityContext"]) == ("default-scheduler", {})
    assert [(found["key"], found["tolerationSeconds"]) for found in spec["tolerations"]] == [
        ("node.kubernetes.io/not-ready", 300),
        ("node.kubernetes.io/unreachable", 300),
    ]
    [container] = spec["containers"]
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert container["ports"][0]["protocol"] == "TCP"
    assert container["readinessProbe"] == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    assert container["env"][0]["valueFrom"]["fieldRef"]["apiVersion"] == "v1"
    assert container["resources"] == {
        "limits": {"cpu": "1", "memory": "1Gi"},
        "requests": {"cpu": "500m", "memory": "1Gi"},
    }
    assert spec["volumes"] == [
        {"name": "a", "emptyDir": {}},
        {"name": "b", "configMap": {"name": "c", "defaultMode": 420}},
        {"name": "h", "hostPath": {"path": "/x", "type": ""}},
    ]
    assert obj["status"] == {"phase": "Pending", "qosClass": "Burstable"}
    assert errors(obj) == {}


def test_defaults_are_stable_and_respect_what_is_said() -> None:
    obj = a_pod({"restartPolicy": "Never", "tolerations": [{"operator": "Exists"}]})
    again = copy.deepcopy(obj)
    KIND.default(again)
    assert again == obj
    assert obj["spec"]["restartPolicy"] == "Never"
    assert obj["spec"]["tolerations"] == [{"operator": "Exists"}]


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1", "IfNotPresent"),
        ("host:5000/nginx", "Always"),
        ("host:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:abc", "IfNotPresent"),
        ("a/b:latest", "Always"),
    ],
)
def test_pull_policy_follows_the_tag(image: str, policy: str) -> None:
    assert a_pod(image=image)["spec"]["containers"][0]["imagePullPolicy"] == policy


@pytest.mark.parametrize(
    ("resources", "qos"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m"}}, "Guaranteed"),
        ({"limits": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "0"}}, "BestEffort"),
    ],
)
def test_quality_of_service(resources: dict[str, Any], qos: str) -> None:
    assert a_pod(resources=resources)["status"]["qosClass"] == qos


def test_host_network_fills_host_ports() -> None:
    obj = a_pod({"hostNetwork": True}, ports=[{"containerPort": 80}])
    assert obj["spec"]["containers"][0]["ports"][0]["hostPort"] == 80
    assert errors(obj) == {}


@pytest.mark.parametrize(
    ("container", "field", "words"),
    [
        ({"name": "Web"}, "name", "must be a DNS label"),
        ({"name": ""}, "name", "Required value"),
        ({"image": ""}, "image", "name the image to run"),
        ({"image": "a b"}, "image", "must not contain spaces"),
        ({"imagePullPolicy": "Often"}, "imagePullPolicy", 'supported values: "Always"'),
        ({"restartPolicy": "Always"}, "restartPolicy", "only init containers"),
        ({"ports": [{"containerPort": 0}]}, "ports[0].containerPort", "Required value"),
        ({"ports": [{"containerPort": 70000}]}, "ports[0].containerPort", "between 1 and 65535"),
        ({"ports": [{"containerPort": 1, "name": "Web!"}]}, "ports[0].name", "at most 15"),
        (
            {"ports": [{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]},
            "ports[1].name",
            "Duplicate",
        ),
        (
            {"ports": [{"containerPort": 1, "hostPort": 9}, {"containerPort": 2, "hostPort": 9}]},
            "ports[1].hostPort",
            "Duplicate value: 9",
        ),
        ({"ports": [{"containerPort": 1, "protocol": "tcp"}]}, "ports[0].protocol", "supported values"),
        ({"ports": [{"containerPort": 1, "hostIP": "x"}]}, "ports[0].hostIP", "IP address"),
        ({"env": [{"name": ""}]}, "env[0].name", "Required value"),
        ({"env": [{"name": "A=B"}]}, "env[0].name", "without '='"),
        (
            {"env": [{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]},
            "env[0].valueFrom",
            "together with value",
        ),
        ({"env": [{"name": "A", "valueFrom": {}}]}, "env[0].valueFrom", "one source"),
        (
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.bogus"}}}]},
            "env[0].valueFrom.fieldRef.fieldPath",
            "metadata.name",
        ),
        (
            {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "a/b"}}}]},
            "env[0].valueFrom.secretKeyRef.key",
            "must be letters",
        ),
        (
            {"env": [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "x"}}}]},
            "env[0].valueFrom.resourceFieldRef.resource",
            "limits.cpu",
        ),
        ({"envFrom": [{"prefix": "A_"}]}, "envFrom[0]", "one source"),
        ({"envFrom": [{"secretRef": {}}]}, "envFrom[0].secretRef.name", "Required value"),
        ({"resources": {"requests": {"cpu": "-1"}}}, "resources.requests[cpu]", "greater than or equal to 0"),
        ({"resources": {"requests": {"a.b/gpu": "1"}}}, "resources.limits", "Limit must be set"),
        (
            {"resources": {"limits": {"a.b/gpu": "2"}, "requests": {"a.b/gpu": "1"}}},
            "resources.requests",
            "must be equal to a.b/gpu limit of 2",
        ),
        ({"resources": {"requests": {"cpu": "1u"}}}, "resources.requests[cpu]", "a thousandth"),
        ({"resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}}, "resources.requests", "cpu limit of 1"),
        ({"volumeMounts": [{"name": "x", "mountPath": "/x"}]}, "volumeMounts[0].name", "there are no volumes"),
        ({"livenessProbe": {}}, "livenessProbe", "one of exec, httpGet, tcpSocket, grpc"),
        (
            {"livenessProbe": {"exec": {"command": ["a"]}, "tcpSocket": {"port": 1}}},
            "livenessProbe.tcpSocket",
            "together with exec",
        ),
        ({"livenessProbe": {"tcpSocket": {"port": 0}}}, "livenessProbe.tcpSocket.port", "between 1"),
        ({"livenessProbe": {"tcpSocket": {"port": "A!"}}}, "livenessProbe.tcpSocket.port", "name"),
        (
            {"livenessProbe": {"tcpSocket": {"port": 1}, "successThreshold": 2}},
            "livenessProbe.successThreshold",
            "must be 1",
        ),
        (
            {"readinessProbe": {"tcpSocket": {"port": 1}, "periodSeconds": -1}},
            "readinessProbe.periodSeconds",
            "equal to 1",
        ),
        ({"readinessProbe": {"exec": {}}}, "readinessProbe.exec.command", "Required value"),
        ({"readinessProbe": {"httpGet": {"port": 1, "scheme": "FTP"}}}, "readinessProbe.httpGet.scheme", '"HTTPS"'),
        ({"lifecycle": {"preStop": {}}}, "lifecycle.preStop", "one of exec"),
        ({"securityContext": {"runAsUser": -1}}, "securityContext.runAsUser", "between 0"),
    ],
)
def test_containers(container: dict[str, Any], field: str, words: str) -> None:
    found = errors(a_pod(**container))
    assert list(found) == [f"spec.containers[0].{field}"]
    assert words in found[f"spec.containers[0].{field}"].message


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        ({"containers": []}, "containers", "at least one container"),
        ({"restartPolicy": "Often"}, "restartPolicy", 'supported values: "Always"'),
        ({"dnsPolicy": "Mine"}, "dnsPolicy", '"ClusterFirst"'),
        ({"dnsPolicy": "None"}, "dnsConfig.nameservers", "at least one"),
        ({"terminationGracePeriodSeconds": -1}, "terminationGracePeriodSeconds", "greater than or equal to 0"),
        ({"activeDeadlineSeconds": 0}, "activeDeadlineSeconds", "between 1"),
        ({"hostname": "A.b"}, "hostname", "DNS label"),
        ({"nodeSelector": {"a b": "c"}}, "nodeSelector", "must be letters"),
        ({"tolerations": [{"key": "a", "operator": "Is"}]}, "tolerations[0].operator", '"Exists"'),
        ({"tolerations": [{"effect": "NoExecute"}]}, "tolerations[0].operator", "must be Exists when key is empty"),
        ({"tolerations": [{"key": "a", "tolerationSeconds": 1}]}, "tolerations[0].effect", "must be NoExecute"),
        ({"hostAliases": [{"ip": "x"}]}, "hostAliases[0].ip", "IP address"),
        ({"volumes": [{"name": "a"}, {"name": "a"}]}, "volumes[1].name", "Duplicate"),
        ({"volumes": [{"name": "A"}]}, "volumes[0].name", "DNS label"),
        (
            {"volumes": [{"name": "a", "emptyDir": {}, "secret": {"secretName": "s"}}]},
            "volumes[0].secret",
            "one source",
        ),
        ({"volumes": [{"name": "a", "secret": {}}]}, "volumes[0].secret.secretName", "Required value"),
        (
            {"volumes": [{"name": "a", "hostPath": {"path": "/a/../b"}}]},
            "volumes[0].hostPath.path",
            "must not contain '..'",
        ),
        (
            {"volumes": [{"name": "a", "configMap": {"name": "c", "defaultMode": 1000}}]},
            "volumes[0].configMap.defaultMode",
            "between 0 and 511",
        ),
        (
            {"volumes": [{"name": "a", "configMap": {"name": "c", "items": [{"key": "k", "path": "../x"}]}}]},
            "volumes[0].configMap.items[0].path",
            "must not contain '..'",
        ),
        ({"initContainers": [{"name": "web", "image": "x"}]}, "containers[0].name", "Duplicate"),
        (
            {"initContainers": [{"name": "i", "image": "x", "livenessProbe": {"tcpSocket": {"port": 1}}}]},
            "initContainers[0].livenessProbe",
            "sidecar",
        ),
        (
            {
                "affinity": {
                    "nodeAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": {
                            "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "In"}]}]
                        }
                    }
                }
            },
            "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0]"
            ".values",
            "needs values",
        ),
    ],
)
def test_specs(spec: dict[str, Any], field: str, words: str) -> None:
    found = errors(a_pod(spec))
    assert list(found) == [f"spec.{field}"]
    assert words in found[f"spec.{field}"].message


def test_mounts() -> None:
    volumes = {"volumes": [{"name": "a", "emptyDir": {}}]}
    twice = [{"name": "a", "mountPath": "/x"}, {"name": "a", "mountPath": "/x/"}]
    assert (
        "must be unique"
        in errors(a_pod(volumes, volumeMounts=twice))["spec.containers[0].volumeMounts[1].mountPath"].message
    )
    outside = [{"name": "a", "mountPath": "/x", "subPath": "../y"}]
    assert list(errors(a_pod(volumes, volumeMounts=outside))) == ["spec.containers[0].volumeMounts[0].subPath"]


def test_images_may_change_and_little_else() -> None:
    old = a_pod()
    new = copy.deepcopy(old)
    new["spec"]["containers"][0]["image"] = "nginx:2"
    new["spec"]["tolerations"].append({"key": "x", "operator": "Exists"})
    new["spec"]["activeDeadlineSeconds"] = 60
    assert errors(new, old) == {}
    new["spec"]["containers"][0]["command"] = ["x"]
    found = errors(new, old)
    assert list(found) == ["spec"]
    assert found["spec"].reason is kind.Reason.FORBIDDEN
    assert found["spec"].message.startswith("Forbidden: pod updates may not change fields other than")
    assert found["spec"].message.endswith("changed: spec.containers")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"restartPolicy": "Never"}, "spec"),
        ({"tolerations": []}, "spec.tolerations"),
        ({"containers": []}, "spec.containers"),
        ({"hostname": "x"}, "spec"),
    ],
)
def test_what_may_not_change(change: dict[str, Any], field: str) -> None:
    old = a_pod()
    new = copy.deepcopy(old)
    new["spec"] |= change
    assert list(errors(new, old)) == [field]


def test_deadlines_only_shrink_and_nodes_are_given_once() -> None:
    old = a_pod({"activeDeadlineSeconds": 60})
    for deadline in (None, 61):
        new = copy.deepcopy(old)
        new["spec"]["activeDeadlineSeconds"] = deadline
        assert list(errors(new, old)) == ["spec.activeDeadlineSeconds"]
    bound = copy.deepcopy(old)
    bound["spec"]["nodeName"] = "n"
    assert errors(bound, old) == {}
    moved = copy.deepcopy(old)
    moved["spec"]["nodeName"] = "m"
    assert list(errors(moved, bound)) == ["spec"]


def test_status_writes_are_not_checked_again() -> None:
    old = a_pod(image="")
    assert errors(old | {"status": {}}, old) == {}


@pytest.mark.parametrize(
    ("spec", "phase", "seconds"),
    [
        ({}, "Pending", 0),
        ({"nodeName": "n"}, "Running", 30),
        ({"nodeName": "n"}, "Succeeded", 0),
        ({"nodeName": "n", "terminationGracePeriodSeconds": 5}, "Running", 5),
    ],
)
def test_grace(spec: dict[str, Any], phase: str, seconds: int) -> None:
    assert KIND.grace is not None
    assert KIND.grace(a_pod(spec) | {"status": {"phase": phase}}) == seconds


def test_devices_are_counted_in_whole_pieces() -> None:
    path = "spec.containers[0].resources"
    words = "must be an integer"
    found = errors(a_pod(resources={"limits": {"a.b/gpu": "1500m"}}))
    assert {name: words in each.message for name, each in found.items()} == {
        f"{path}.limits[a.b/gpu]": True, f"{path}.requests[a.b/gpu]": True,
    }  # fmt: skip
    assert errors(a_pod(resources={"limits": {"a.b/gpu": "2", "boxfleet.dev/bandwidth": "1k"}})) == {}
