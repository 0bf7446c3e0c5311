"""``boxfleet cluster``: what it says of what cannot be joined, and what joining leaves and meets."""

import asyncio
import pathlib
import subprocess
import sys

import pytest

from boxfleet.api import cluster, config, meta, namespace
from boxfleet.app import clusters
from boxfleet.client import errors
from boxfleet.testing import server

_CONFIG = """
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: e, user: u}}]
clusters: [{name: e, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: abc}}]
"""


def join(*words: str, folder: pathlib.Path) -> str:
    return fails("join", *words, folder=folder)


def fails(*words: str, folder: pathlib.Path) -> str:
    """The one line that it says on its way out."""
    # The folder of sockets has a short path.
    own = ["--state", str(folder / "state"), "--run", "/run/boxfleet-not-there"]
    command = [sys.executable, "-m", "boxfleet", "cluster", *words, *own]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.strip()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hello", "is no kubeconfig"),
        (": : [", "is not YAML"),
        ("{apiVersion: v1, kind: Config}", "contexts has no ''; there are: none"),
        (_CONFIG.replace("current-context: c", "current-context: d"), "there are: c. Choose one with --context"),
        (_CONFIG.replace('{server: "https://127.0.0.1:1"}', "nope"), "cluster of 'e' is no mapping"),
        (_CONFIG.replace("{cluster: e, user: u}", "[e, u]"), "context of 'c' is no mapping"),
        (_CONFIG.replace("token: abc", "client-key: away.pem"), "away.pem: No such file or directory"),
    ],
)
def test_a_file_that_is_no_kubeconfig(tmp_path: pathlib.Path, text: str, words: str) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(text)
    assert words in join("kubernetes", "--kubeconfig", str(file), folder=tmp_path)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--host", "/var/run/docker.sock"], "write it as unix:///var/run/docker.sock or tcp://HOST:2376"),
        (["--host", "ssh://me@there"], "write it as unix:///var/run/docker.sock or tcp://HOST:2376"),
        (["--host", "tcp://127.0.0.1:2376"], "takes --certificates"),
        (["--host", "tcp://127.0.0.1:2376", "--certificates", "away"], "No such file or directory"),
        (["--cost", "inf"], "must be a number"),
        (["--name", "Dock_X"], "must be a DNS label"),
    ],
)
def test_an_engine_that_cannot_be_meant(tmp_path: pathlib.Path, given: list[str], words: str) -> None:
    assert words in join("docker", *given, folder=tmp_path)


def test_the_cluster_of_the_hosts_stays(tmp_path: pathlib.Path) -> None:
    assert "boxfleet node remove" in fails("remove", "local", folder=tmp_path)


@pytest.mark.anyio
async def test_keys_of_a_cluster_that_is_gone_are_in_nobodys_way(tmp_path: pathlib.Path) -> None:
    def wanted(key: bytes) -> clusters.Wanted:
        spec = cluster.ClusterSpec(type=cluster.ClusterType.KUBERNETES, credentials=cluster.Credentials(secret="east"))
        return clusters.Wanted(name="east", spec=spec, labels={}, keys={clusters.KUBECONFIG: key})

    async with server.running(tmp_path) as api:
        left = meta.ObjectMeta(name="east", namespace=cluster.NAMESPACE)
        await api.admin.create(namespace.Namespace(metadata=meta.ObjectMeta(name=cluster.NAMESPACE)))
        await api.admin.create(config.Secret(metadata=left, data={"kubeconfig": "b2xk", "other": "b2xk"}))
        await clusters.join(api.admin, wanted(b"new"))
        found = await api.admin.get(config.Secret, "east", namespace=cluster.NAMESPACE)
        assert found.data == {"kubeconfig": "bmV3"}
        # Those of one that is there are not touched.
        with pytest.raises(errors.AlreadyExists):
            await clusters.join(api.admin, wanted(b"other"))
        assert await api.admin.get(config.Secret, "east", namespace=cluster.NAMESPACE) == found


@pytest.mark.anyio
async def test_who_waits_for_one_that_does_not_answer_is_told_so(tmp_path: pathlib.Path) -> None:
    # Nobody listens there, and no controller runs here that would notice.
    async with server.running(tmp_path) as api, server.on_socket(api, tmp_path) as socket:
        mark = meta.ObjectMeta(name="east", finalizers=["boxfleet.dev/cluster"])
        spec = cluster.ClusterSpec(
            type=cluster.ClusterType.DOCKER, docker=cluster.DockerAccess(host="unix:///nowhere.sock")
        )
        await api.admin.create(cluster.Cluster(metadata=mark, spec=spec))
        condition = {"type": "Ready", "status": "False", "reason": "Unreachable", "message": "nobody listens"}
        await api.admin.patch(cluster.Cluster, "east", {"status": {"conditions": [condition]}}, subresource="status")
        given = ("remove", "east", "--timeout", "1", "--kubeconfig", str(socket.kubeconfig))
        command = [sys.executable, "-m", "boxfleet", "cluster", *given, "--run", "/run/boxfleet-not-there"]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
        assert (done.returncode, "last heard of as Unreachable: nobody listens" in done.stderr) == (1, True), (
            done.stderr
        )
