"""Environment and volumes of every kind, on real engines."""

import asyncio
import pathlib
import time

import pytest
from tests.integration.agent import bed as beds

from boxfleet.api import config, meta, volume_claim
from boxfleet.api import pod as pods
from boxfleet.testing import server

pytestmark = [pytest.mark.anyio, pytest.mark.machine]

TABLE = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
POLITE = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]


def named(name: str) -> meta.ObjectMeta:
    return meta.ObjectMeta(name=name, namespace="default")


async def objects(bed: beds.Bed) -> None:
    await bed.api.admin.create(config.ConfigMap(metadata=named("words"), data={"a": "1", "b": "2"}))
    await bed.api.admin.create(config.Secret(metadata=named("hidden"), data={"key": "c2VjcmV0"}))


async def test_every_kind_of_environment(bed: beds.Bed) -> None:
    await objects(bed)
    env = [
        {"name": "PLAIN", "value": "x"},
        {"name": "BOTH", "value": "$(PLAIN)-$(NONE)-$$(PLAIN)"},
        {"name": "FROM_MAP", "valueFrom": {"configMapKeyRef": {"name": "words", "key": "a"}}},
        {"name": "FROM_SECRET", "valueFrom": {"secretKeyRef": {"name": "hidden", "key": "key"}}},
        {"name": "NOT_THERE", "valueFrom": {"secretKeyRef": {"name": "hidden", "key": "zzz", "optional": True}}},
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
    ]
    await bed.pod(
        {
            "containers": [
                {
                    "name": "main",
                    "command": POLITE,
                    "env": env,
                    "resources": {"limits": {"cpu": "250m"}},
                    "envFrom": [{"configMapRef": {"name": "words"}, "prefix": "W_"}],
                }
            ]
        }
    )
    pod = await bed.ready()
    seen = dict(line.split("=", 1) for line in (await bed.run(pod, "env")).splitlines())
    wanted = {
        "PLAIN": "x", "BOTH": "x-$(NONE)-$(PLAIN)", "FROM_MAP": "1", "FROM_SECRET": "secret", "NAME": "one",
        "IP": pod.status.podIP, "CPU": "250", "W_a": "1", "W_b": "2",
    }  # fmt: skip
    assert wanted.items() <= seen.items()
    assert "NOT_THERE" not in seen


async def test_a_missing_config_map_waits_and_starts_when_it_comes(bed: beds.Bed) -> None:
    await bed.pod(
        {"containers": [{"name": "main", "command": POLITE, "envFrom": [{"configMapRef": {"name": "words"}}]}]}
    )
    pod = await bed.until(
        lambda pod: (
            pod.status.containerStatuses
            and pod.status.containerStatuses[0].state.waiting
            and pod.status.containerStatuses[0].state.waiting.reason == "CreateContainerConfigError"
        )
    )
    assert "words" in pod.status.containerStatuses[0].state.waiting.message
    table = await server.send(bed.api.app, "GET", "/api/v1/namespaces/default/pods", headers=TABLE)
    assert table.json["rows"][0]["cells"][2] == "CreateContainerConfigError"
    await objects(bed)
    await bed.ready(seconds=3)


async def test_every_kind_of_volume(bed: beds.Bed, tmp_path: pathlib.Path) -> None:
    await objects(bed)
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "file").write_text("from the host")
    volumes = [
        {"name": "empty", "emptyDir": {}},
        {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        {"name": "host", "hostPath": {"path": str(tmp_path / "host"), "type": "Directory"}},
        {"name": "words", "configMap": {"name": "words", "items": [{"key": "a", "path": "deep/er", "mode": 0o600}]}},
        {"name": "hidden", "secret": {"secretName": "hidden", "defaultMode": 0o400}},
        {"name": "self", "downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
        {"name": "marks", "downwardAPI": {"items": [{"path": "all", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        {"name": "maybe", "configMap": {"name": "none", "optional": True}},
    ]
    mounts = [{"name": one["name"], "mountPath": f"/v/{one['name']}"} for one in volumes]
    mounts.append({"name": "words", "mountPath": "/etc/one-file", "subPath": "deep/er"})
    await bed.pod(
        {
            "containers": [{"name": "main", "command": POLITE, "volumeMounts": mounts}],
            "volumes": volumes,
            "securityContext": {"fsGroup": 4242},
            "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["far", "away"]}],
        }
    )
    pod = await bed.ready()
    assert await bed.run(
        pod, "cat", "/v/host/file", "/v/words/deep/er", "/v/hidden/key", "/v/self/name", "/etc/one-file"
    ) == ("from the host1secretone1")
    assert (await bed.run(pod, "sh", "-c", "dd if=/dev/zero of=/v/memory/big bs=1M count=3 2>&1; ls /v/maybe")).count(
        "No space"
    ) == 1
    assert (await bed.run(pod, "stat", "-c", "%g %a", "/v/empty")).split() == ["4242", "2777"]
    assert (await bed.run(pod, "stat", "-L", "-c", "%a", "/v/hidden/key")).strip() == "440"
    assert "1.2.3.4\tfar away" in await bed.run(pod, "cat", "/etc/hosts")
    assert "4242" in await bed.run(pod, "id", "-G")
    await bed.api.admin.patch(config.ConfigMap, "words", {"data": {"a": "changed"}}, namespace="default")
    deadline = time.monotonic() + 30
    while await bed.run(pod, "cat", "/v/words/deep/er") != "changed":
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    await bed.api.admin.patch(pods.Pod, "one", {"metadata": {"labels": {"b": "2", "a": "1"}}}, namespace="default")
    while await bed.run(pod, "cat", "/v/marks/all") != 'a="1"\nb="2"':
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    await bed.clear()
    assert str(bed.state) not in pathlib.Path("/proc/self/mountinfo").read_text()
    assert (tmp_path / "host" / "file").exists()


async def test_a_claim_outlives_the_pod_and_goes_with_its_object(bed: beds.Bed) -> None:
    claim = volume_claim.PersistentVolumeClaim(
        metadata=named("data"),
        spec=volume_claim.ClaimSpec(
            accessModes=["ReadWriteOnce"], resources=pods.ResourceRequirements(requests={"storage": "1Gi"})
        ),
    )
    await bed.api.admin.create(claim)
    spec = {
        "containers": [{"name": "main", "command": POLITE, "volumeMounts": [{"name": "d", "mountPath": "/d"}]}],
        "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}],
    }
    await bed.pod(dict(spec))
    pod = await bed.ready()
    await bed.run(pod, "sh", "-c", "echo kept >/d/file")
    bound = await bed.api.admin.get(volume_claim.PersistentVolumeClaim, "data", namespace="default")
    assert bound.status.phase == "Bound"
    assert bound.status.capacity == {"storage": "1Gi"}
    assert bound.metadata.annotations["volume.kubernetes.io/selected-node"] == "node-1"
    await bed.clear()
    await bed.pod(dict(spec))
    pod = await bed.ready()
    assert await bed.run(pod, "cat", "/d/file") == "kept\n"
    folder = bed.state / "agent" / "volumes" / "default_data"
    assert (folder / "file").exists()
    await bed.api.admin.delete(volume_claim.PersistentVolumeClaim, "data", namespace="default")
    await asyncio.sleep(0.2)
    assert (folder / "file").exists(), "a claim in use must keep its data"
    await bed.clear()
    deadline = time.monotonic() + 30
    while await bed.api.admin.find(volume_claim.PersistentVolumeClaim, "data", namespace="default") is not None:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    assert not folder.exists()


async def test_a_subpath_cannot_lead_out_of_its_volume(bed: beds.Bed, tmp_path: pathlib.Path) -> None:
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "link").symlink_to("/etc")
    mount = {"name": "v", "mountPath": "/m", "subPath": "link"}
    await bed.pod(
        {
            "containers": [{"name": "main", "command": POLITE, "volumeMounts": [mount]}],
            "volumes": [{"name": "v", "hostPath": {"path": str(tmp_path / "v")}}],
        }
    )
    pod = await bed.until(
        lambda pod: (
            pod.status.containerStatuses
            and pod.status.containerStatuses[0].state.waiting
            and pod.status.containerStatuses[0].state.waiting.reason == "CreateContainerConfigError"
        )
    )
    assert "leads out of its volume" in pod.status.containerStatuses[0].state.waiting.message
