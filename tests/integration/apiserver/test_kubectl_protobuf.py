"""What the real kubectl writes in protobuf form: Pods for debugging, and what it makes by its own words."""

import json
import pathlib
import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.integration.apiserver import test_kubectl

from boxfleet.api import node
from boxfleet.testing import server

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="this machine lacks kubectl; ./run test installs it"),
]

_FIELD = {"fieldRef": {"fieldPath": "metadata.name"}}
_TERM = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]}
_POD_TERM = {
    "labelSelector": {"matchLabels": {"app": "x"}},
    "topologyKey": "zone",
    "namespaces": ["default"],
    "namespaceSelector": {},
}
_SECURITY = {
    "seLinuxOptions": {"level": "s0"},
    "runAsUser": 0,
    "runAsGroup": 7,
    "runAsNonRoot": False,
    "seccompProfile": {"type": "Localhost", "localhostProfile": "a.json"},
    "appArmorProfile": {"type": "Unconfined"},
}
_WHOLE: dict[str, Any] = {
    "automountServiceAccountToken": False,
    "terminationGracePeriodSeconds": 0,
    "activeDeadlineSeconds": 99,
    "restartPolicy": "OnFailure",
    "dnsPolicy": "None",
    "dnsConfig": {
        "nameservers": ["1.1.1.1"],
        "searches": ["a"],
        "options": [{"name": "ndots", "value": "2"}, {"name": "x"}],
    },
    "nodeSelector": {"disk": ""},
    "hostname": "h",
    "subdomain": "s",
    "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a", "b"]}],
    "imagePullSecrets": [{"name": "pull"}],
    "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0}],
    "readinessGates": [{"conditionType": "example.com/a"}],
    "shareProcessNamespace": False,
    "enableServiceLinks": False,
    "schedulingGates": [{"name": "example.com/g"}],
    "os": {"name": "linux"},
    "securityContext": {
        **_SECURITY,
        "fsGroup": 0,
        "fsGroupChangePolicy": "Always",
        "supplementalGroups": [0, 5, 70000],
        "sysctls": [{"name": "kernel.shm_rmid_forced", "value": "0"}],
    },
    "topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": "zone",
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"a": "b"}},
            "minDomains": 2,
        }
    ],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [_TERM]},
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": _TERM}],
        },
        "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [_POD_TERM]},
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": _POD_TERM}]
        },
    },
    "volumes": [
        {"name": "e", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        {"name": "n", "emptyDir": {}},
        {"name": "h", "hostPath": {"path": "/", "type": "Directory"}},
        {
            "name": "s",
            "secret": {"secretName": "x", "items": [{"key": "k", "path": "p", "mode": 0}], "optional": False},
        },
        {"name": "c", "configMap": {"name": "x", "defaultMode": 256, "optional": True}},
        {"name": "p", "persistentVolumeClaim": {"claimName": "x", "readOnly": True}},
        {"name": "d", "downwardAPI": {"items": [{"path": "n", **_FIELD}]}},
        {
            "name": "j",
            "projected": {
                "sources": [
                    {"serviceAccountToken": {"path": "t", "expirationSeconds": 3600, "audience": "a"}},
                    {"configMap": {"name": "x", "items": [{"key": "k", "path": "p"}]}},
                    {"secret": {"name": "x", "optional": False}},
                    {"downwardAPI": {"items": [{"path": "n", "mode": 0, **_FIELD}]}},
                ]
            },
        },
    ],
    "initContainers": [{"name": "first", "image": "x:1", "restartPolicy": "Always"}],
    "containers": [
        {
            "name": "main",
            "image": "x:1",
            "command": ["sh", ""],
            "args": ["-c", "true"],
            "workingDir": "/w",
            "stdin": True,
            "stdinOnce": True,
            "tty": True,
            "terminationMessagePath": "/t",
            "ports": [{"name": "web", "containerPort": 80}, {"containerPort": 53, "hostPort": 5353, "protocol": "UDP"}],
            "env": [
                {"name": "A", "value": "1"},
                {"name": "B", "valueFrom": _FIELD},
                {"name": "C", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
                {"name": "D", "valueFrom": {"configMapKeyRef": {"name": "x", "key": "k", "optional": False}}},
                {"name": "E", "valueFrom": {"secretKeyRef": {"name": "x", "key": "k"}}},
            ],
            "envFrom": [
                {"prefix": "P_", "configMapRef": {"name": "x"}},
                {"secretRef": {"name": "x", "optional": True}},
            ],
            "resources": {"limits": {"cpu": "250m", "memory": "1Gi"}, "requests": {"cpu": "100m"}},
            "volumeMounts": [
                {"name": "e", "mountPath": "/e", "subPath": "a", "readOnly": True},
                {"name": "h", "mountPath": "/h", "mountPropagation": "HostToContainer"},
            ],
            "livenessProbe": {"exec": {"command": ["a"]}, "terminationGracePeriodSeconds": 1},
            "readinessProbe": {
                "httpGet": {"port": "web", "path": "/", "httpHeaders": [{"name": "X", "value": ""}]},
                "initialDelaySeconds": 3,
            },
            "startupProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 2},
            "lifecycle": {"postStart": {"exec": {"command": ["a"]}}, "preStop": {"sleep": {"seconds": 1}}},
            "securityContext": {
                **_SECURITY,
                "privileged": False,
                "allowPrivilegeEscalation": True,
                "readOnlyRootFilesystem": False,
                "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]},
            },
        }
    ],
}


@pytest.fixture
async def kubectl(tmp_path: pathlib.Path, anyio_backend: str) -> AsyncIterator[test_kubectl.Kubectl]:
    async with server.running(tmp_path) as api, server.on_socket(api, tmp_path) as socket:
        await api.admin.create_raw(node.Node, {"metadata": {"name": "worker"}})
        yield test_kubectl.Kubectl(socket.kubeconfig, tmp_path)


async def shown(kubectl: test_kubectl.Kubectl, *what: str) -> Any:
    return json.loads(await kubectl("get", *what, "-o", "json"))


async def test_a_copy_of_a_pod_is_like_the_pod(kubectl: test_kubectl.Kubectl) -> None:
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": _WHOLE}
    await kubectl("create", "-f", "-", stdin=json.dumps(manifest))
    await kubectl("debug", "one", "--copy-to=two", "--image=y:1", "-c", "look", "--", "sh")
    one, two = [(await shown(kubectl, "pod", name)) for name in ("one", "two")]
    *same, look = two["spec"].pop("containers")
    assert same == one["spec"].pop("containers")
    assert (look["name"], look["image"], look["command"]) == ("look", "y:1", ["sh"])
    assert two["spec"] == one["spec"]


@pytest.mark.parametrize("profile", ["legacy", "general", "baseline", "netadmin", "restricted", "sysadmin"])
async def test_a_pod_to_debug_a_node(kubectl: test_kubectl.Kubectl, profile: str) -> None:
    await kubectl("debug", "node/worker", "--image=y:1", f"--profile={profile}", "--", "ls", "/host")
    [pod] = (await shown(kubectl, "pods"))["items"]
    spec = pod["spec"]
    [container] = spec["containers"]
    assert (spec["nodeName"], container["command"]) == ("worker", ["ls", "/host"])
    if profile in ("legacy", "general", "sysadmin"):
        assert (spec["hostPID"], spec["hostNetwork"], spec["hostIPC"]) == (True, True, True)
        assert [volume.get("hostPath") for volume in spec["volumes"]][:1] == [{"path": "/", "type": ""}]
        assert container["volumeMounts"][0]["mountPath"] == "/host"


async def test_services_are_refused_with_the_reason(kubectl: test_kubectl.Kubectl) -> None:
    for words in (
        ["clusterip", "s", "--tcp=80"],
        ["nodeport", "s", "--tcp=80:81"],
        ["externalname", "s", "--external-name=a.b"],
    ):
        assert "Boxfleet has no Services" in await kubectl.fails("create", "service", *words)
