"""kubectl apply of what is unchanged says so, for the examples and for a Box with every list there is."""

import asyncio
import os
import pathlib
import shutil
from typing import Any

import pytest
import yaml

from boxfleet.planning import compose
from boxfleet.testing import server

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="this machine lacks kubectl; ./run test installs it"),
]

EXAMPLES = pathlib.Path(__file__).parents[3] / "examples"
FILES = sorted([*EXAMPLES.glob("*/box.yaml"), *EXAMPLES.glob("*/compose.yaml")])
EVERY_LIST = """
apiVersion: boxfleet.dev/v1
kind: Box
metadata: {name: lists}
spec:
  units:
    db:
      template:
        spec:
          containers:
          - name: main
            image: x:1
            ports: [{containerPort: 1, name: a}, {containerPort: 2, protocol: UDP}]
            volumeMounts: [{name: data, mountPath: /data}]
      volumeClaimTemplates:
      - metadata: {name: data}
        spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1024Mi}}}
    once:
      template: {spec: {restartPolicy: Never, containers: [{name: main, image: "x:1"}]}}
    web:
      replicas: 2
      dependsOn: [{unit: db}, {unit: once, condition: Completed}]
      env: {PORT: "{{ units.db.ports.a }}"}
      files:
      - {path: /etc/a, content: "{{ units.db.domain }}"}
      - {path: /etc/b, content: b, mode: "0600", containers: [main]}
      template:
        spec:
          imagePullSecrets: [{name: s}]
          hostAliases: [{ip: 10.0.0.1, hostnames: [a]}]
          tolerations: [{key: a, operator: Exists}]
          securityContext: {supplementalGroups: [1], sysctls: [{name: kernel.shm_rmid_forced, value: "1"}]}
          topologySpreadConstraints:
          - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {}}
          initContainers: [{name: first, image: "x:1", command: [a], args: [b]}]
          containers:
          - name: main
            image: x:1
            command: [a, b]
            args: [c]
            env: [{name: A, value: b}, {name: B, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
            envFrom: [{configMapRef: {name: c}}]
            ports: [{containerPort: 80, hostPort: 8080}]
            resources: {requests: {cpu: 1000m, memory: 1024Mi}, limits: {cpu: "2.0"}}
            readinessProbe: {httpGet: {path: /, port: 80, httpHeaders: [{name: a, value: b}]}}
            livenessProbe: {exec: {command: [a]}}
            lifecycle: {preStop: {exec: {command: [a]}}}
            securityContext: {capabilities: {add: [NET_ADMIN], drop: [ALL]}}
            volumeMounts: [{name: v, mountPath: /v}]
          volumes:
          - {name: v, emptyDir: {}}
          - {name: c, configMap: {name: c, items: [{key: a, path: b}]}}
          - {name: s, secret: {secretName: s}}
          - name: p
            projected:
              sources:
              - configMap: {name: c}
              - downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}]}
---
apiVersion: boxfleet.dev/v1
kind: AddressPool
metadata: {name: more}
spec: {cidr: 10.99.0.0/24, exclude: [10.99.0.9]}
---
apiVersion: boxfleet.dev/v1
kind: Address
metadata: {name: 10.99.0.10}
spec: {pool: more, reserved: true}
"""


def manifests(path: pathlib.Path) -> list[Any]:
    documents = list(yaml.safe_load_all(path.read_text()))
    if compose.is_compose(documents[0]):
        documents = compose.convert(documents[0], project="x", directory=str(path.parent), environment={}).manifests
    return documents


async def apply(kubeconfig: pathlib.Path, home: pathlib.Path, documents: list[Any]) -> list[str]:
    """What kubectl says of each object, in a word."""
    process = await asyncio.create_subprocess_exec(
        "kubectl", "apply", "-f", "-",
        env={**os.environ, "KUBECONFIG": str(kubeconfig), "HOME": str(home)},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    text = yaml.safe_dump_all(documents)
    async with asyncio.timeout(30):
        out, err = await process.communicate(text.encode())
    assert (process.returncode, err) == (0, b""), err.decode()
    return [line.rpartition(" ")[2] for line in out.decode().splitlines()]


@pytest.mark.parametrize("path", [*FILES, None], ids=lambda path: path.parent.name if path else "every-list")
async def test_what_is_unchanged_stays(path: pathlib.Path | None, tmp_path: pathlib.Path) -> None:
    documents = manifests(path) if path is not None else list(yaml.safe_load_all(EVERY_LIST))
    async with server.running(tmp_path) as api, server.on_socket(api, tmp_path) as socket:
        assert set(await apply(socket.kubeconfig, tmp_path, documents)) == {"created"}
        revision = api.store.revision
        assert set(await apply(socket.kubeconfig, tmp_path, documents)) == {"unchanged"}
        assert api.store.revision == revision
