"""An instance speaks to the API: with the token that is mounted, at the address that it is told."""

import asyncio
import contextlib
import datetime
import pathlib
import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.integration.agent import bed as beds

from boxfleet.api import config, meta, rbac, service_account
from boxfleet.api import pod as pods
from boxfleet.apiserver import serve
from boxfleet.kit import clock
from boxfleet.planning import account_admission
from boxfleet.ports import runtime
from boxfleet.testing import server

pytestmark = [pytest.mark.anyio, pytest.mark.machine]

HERE = account_admission.MOUNT_PATH


@contextlib.asynccontextmanager
async def served(bed: beds.Bed, *, admits: str = beds.PREFIX) -> AsyncIterator[server.Socket]:
    """The API on the gateway too, and an agent that tells instances so."""
    way = serve.Further(host=beds.GATEWAY, admits=lambda peer: peer.startswith(admits))
    async with server.on_socket(bed.api, bed.state, further=way) as socket:
        await bed.stop()
        bed.options |= {"api_host": beds.GATEWAY, "api_port": int(socket.url.rpartition(":")[2])}
        bed.start()
        robot = meta.ObjectMeta(name="robot", namespace="default")
        await bed.api.admin.create(service_account.ServiceAccount(metadata=robot))
        root = meta.ObjectMeta(name="kube-root-ca.crt", namespace="default")
        await bed.api.admin.create(config.ConfigMap(metadata=root, data={"ca.crt": socket.ca_file.read_text()}))
        binding = {
            "metadata": {"name": "robot", "namespace": "default"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": "default"}],
        }
        await bed.api.admin.create_raw(rbac.RoleBinding, binding)
        yield socket
        # A server that stops ends the watches of the agent, too.
        await bed.clear()


def main_of(pod: pods.Pod) -> pods.ContainerStatus:
    return pod.status.containerStatuses[0]


def spec(**more: Any) -> dict[str, Any]:
    kubectl = shutil.which("kubectl")
    assert kubectl
    path = str(pathlib.Path(kubectl).resolve())
    return {
        "serviceAccountName": "robot",
        "containers": [{"name": "main", "volumeMounts": [{"name": "kubectl", "mountPath": "/bin/kubectl"}]}],
        "volumes": [{"name": "kubectl", "hostPath": {"path": path, "type": "File"}}],
        **more,
    }


async def whoami(bed: beds.Bed, token: str) -> int:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = await server.send(
        bed.api.app, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body, token=token
    )
    return answer.status


async def test_kubectl_finds_the_api_by_itself(bed: beds.Bed) -> None:
    async with served(bed):
        await bed.pod(spec())
        pod = await bed.ready()
        assert await bed.run(pod, "kubectl", "get", "pods", "-o", "name") == "pod/one\n"
        said = await bed.run(pod, "kubectl", "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")
        assert said == "system:serviceaccount:default:robot"
        assert "forbidden" in (await bed.run(pod, "kubectl", "get", "secrets")).lower()
        assert await bed.run(pod, "cat", f"{HERE}/namespace") == "default"
        assert (await bed.run(pod, "stat", "-L", "-c", "%a", f"{HERE}/token")).strip() == "644"
        assert "tmpfs" in await bed.run(pod, "stat", "-f", "-c", "%T", f"{HERE}/")
        token = await bed.run(pod, "cat", f"{HERE}/token")
        assert await whoami(bed, token) == 201
        # An agent that was started anew asks for no other one, and what runs keeps it.
        await bed.stop()
        bed.start()
        pod = await bed.ready()
        assert await bed.run(pod, "cat", f"{HERE}/token") == token
        await bed.clear()
        assert await whoami(bed, token) == 401


async def test_from_elsewhere_nobody_gets_in_by_the_gateway(bed: beds.Bed) -> None:
    async with served(bed, admits="192.0.2."):
        await bed.pod(spec())
        pod = await bed.ready()
        said = await bed.run(pod, "kubectl", "get", "pods", "--request-timeout=2s")
        assert "pod/one" not in said
        assert any(word in said for word in ("reset", "EOF", "refused")), said


async def test_a_volume_of_ones_own_holds_all_sources(bed: beds.Bed) -> None:
    async with served(bed):
        await bed.api.admin.create(
            config.Secret(metadata=meta.ObjectMeta(name="key", namespace="default"), data={"k": "aGlkZGVu"})
        )
        sources = [
            {"serviceAccountToken": {"path": "vault/token", "audience": "vault", "expirationSeconds": 600}},
            {"secret": {"name": "key", "items": [{"key": "k", "path": "secret", "mode": 0o400}]}},
            {"configMap": {"name": "kube-root-ca.crt"}},
            {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
        ]
        wish = spec(
            automountServiceAccountToken=False,
            securityContext={"runAsUser": 1000, "fsGroup": 2000},
            containers=[{"name": "main", "volumeMounts": [{"name": "all", "mountPath": "/all"}]}],
            volumes=[{"name": "all", "projected": {"sources": sources}}],
        )
        await bed.pod(wish)
        pod = await bed.ready()
        assert await bed.run(pod, "cat", "/all/secret", "/all/name") == "hiddenone"
        assert "BEGIN CERTIFICATE" in await bed.run(pod, "cat", "/all/ca.crt")
        listed = await bed.run(pod, "stat", "-L", "-c", "%a %u %g", "/all/vault/token", "/all/secret")
        assert listed == "640 1000 2000\n440 0 2000\n"
        token = await bed.run(pod, "cat", "/all/vault/token")
        # It is for another audience.
        assert await whoami(bed, token) == 401
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": ["vault"]},
        }
        answer = await server.send(bed.api.app, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", body)
        assert answer.json["status"]["user"]["username"] == "system:serviceaccount:default:robot"
        assert answer.json["status"]["user"]["extra"]["authentication.kubernetes.io/pod-uid"] == [pod.metadata.uid]
        assert "no such file" in (await bed.run(pod, "ls", HERE)).lower()


class Ahead(clock.SystemClock):
    """The machine's clock, some seconds ahead."""

    ahead = 0.0

    def now(self) -> datetime.datetime:
        return super().now() + datetime.timedelta(seconds=self.ahead)


async def looked(bed: beds.Bed, number: int) -> None:
    """Have the agent look at the Pod, as it does when its time has come."""
    await bed.api.admin.patch(
        pods.Pod, "one", {"metadata": {"annotations": {"look": str(number)}}}, namespace="default"
    )


async def test_a_token_is_renewed_after_four_fifths_of_its_life(bed: beds.Bed) -> None:
    bed.time = time = Ahead()
    async with served(bed):
        where = {"name": "said", "mountPath": "/said"}
        look = [{"path": "look", "fieldRef": {"fieldPath": "metadata.annotations['look']"}}]
        sources = [
            {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
            {"downwardAPI": {"items": look}},
        ]
        await bed.pod(
            spec(
                automountServiceAccountToken=False,
                containers=[{"name": "main", "volumeMounts": [where]}],
                volumes=[{"name": "said", "projected": {"sources": sources}}],
            )
        )
        pod = await bed.ready()
        first = await bed.run(pod, "cat", "/said/token")
        for number, ahead in enumerate((0.7 * 3600, 0.81 * 3600)):
            time.ahead = ahead
            await looked(bed, number)
            while await bed.run(pod, "cat", "/said/look") != str(number):
                await asyncio.sleep(0.05)
            if not number:
                assert await bed.run(pod, "cat", "/said/token") == first
        async with asyncio.timeout(30):
            while (second := await bed.run(pod, "cat", "/said/token")) == first:
                await asyncio.sleep(0.05)
        # The same container goes on, and the former token ends by itself only.
        assert main_of(await bed.get()).restartCount == 0
        assert [await whoami(bed, each) for each in (first, second)] == [201, 201]


async def test_without_a_server_a_first_start_waits_for_its_token(bed: beds.Bed) -> None:
    async with served(bed):
        bed.via.cut_path = "/token"
        await bed.pod(spec())
        await bed.until(lambda pod: "cannot get a token: cut" in str(pod.status))
        # All that the agent knows is what it has on disk.
        bed.via.cut = True
        await bed.stop()
        bed.start()
        async with asyncio.timeout(30):
            while not any(worker._tokens.fault is not None for worker in bed.agent._workers.values()):
                await asyncio.sleep(0.05)
        assert await bed.host.containerd.runtime.list_containers() == []
        bed.via.cut, bed.via.cut_path = False, ""
        pod = await bed.ready()
        assert main_of(pod).restartCount == 0
        assert await whoami(bed, await bed.run(pod, "cat", f"{HERE}/token")) == 201


async def test_without_a_server_what_ran_starts_again_with_the_token_that_it_has(bed: beds.Bed) -> None:
    async with served(bed):
        await bed.pod(spec())
        pod = await bed.ready()
        token = await bed.run(pod, "cat", f"{HERE}/token")
        bed.via.cut = True
        await bed.stop()
        bed.start()
        engine = bed.host.containerd.runtime
        first = main_of(pod).containerID.partition("://")[2]
        await engine.stop_container(first, grace_seconds=0)

        async def again() -> str:
            running = [one for one in await engine.list_containers() if one.state is runtime.State.RUNNING]
            return next((one.id for one in running if one.id != first), "")

        async with asyncio.timeout(30):
            while not (second := await again()):
                await asyncio.sleep(0.05)
        assert (await engine.exec_sync(second, ["cat", f"{HERE}/token"], timeout=10)).stdout.decode() == token
        assert len(await engine.list_sandboxes()) == 1
        bed.via.cut = False
        pod = await bed.until(lambda pod: beds.is_ready(pod) and main_of(pod).restartCount == 1)
        assert await whoami(bed, await bed.run(pod, "cat", f"{HERE}/token")) == 201


async def test_a_token_that_cannot_be_had_is_told_and_waited_for(bed: beds.Bed) -> None:
    async with served(bed):
        await bed.pod(spec(), name="one")
        first = await bed.ready()
        info = meta.ObjectMeta(name="robot", namespace="default")
        await bed.api.admin.delete(service_account.ServiceAccount, "robot", namespace="default")
        # With an account that is gone meanwhile a Pod is refused; one that was let in waits.
        await bed.api.admin.create(service_account.ServiceAccount(metadata=info))
        second = await bed.pod(spec(nodeName=""), name="two")
        await bed.api.admin.delete(service_account.ServiceAccount, "robot", namespace="default")
        await bed.api.admin.bind(namespace="default", pod="two", uid=second.metadata.uid, node=server.NODE)

        def waits(pod: pods.Pod) -> bool:
            return pod.status.containerStatuses != [] and "cannot get a token" in str(pod.status)

        await bed.until(waits, name="two")
        await bed.api.admin.create(service_account.ServiceAccount(metadata=info))
        second = await bed.ready("two")
        assert await whoami(bed, await bed.run(second, "cat", f"{HERE}/token")) == 201
        # The token of the account before it died with that.
        assert await whoami(bed, await bed.run(first, "cat", f"{HERE}/token")) == 401
