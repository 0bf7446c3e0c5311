"""A whole cluster of one node: kube-apiserver, controllers, scheduler, and a kubelet on a containerd of its own.

It lives in a network namespace with names of its own, so that several may run at once. No image is pulled: what `start`
is given is loaded. The kubelet is in a mount namespace where the machine's kernel settings, which it would change, look
as it wants them.
"""

import asyncio
import contextlib
import dataclasses
import json
import os
import pathlib
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence

import yaml

from boxfleet.drivers.containerd import config as containerd_config
from boxfleet.drivers.containerd import daemon as containerd
from boxfleet.testing.kubernetes import programs, server, space

NODE = "node-a"
STORAGE_CLASS = "bed"
_VOLUMES = 12
# What the kubelet would write there.
_KERNEL = {"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
           "kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000"}  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The cluster: its API, and the way to it, which can be cut."""

    api: server.Server
    way: space.Way
    folder: pathlib.Path

    def kubectl(self, *words: str, stdin: str = "") -> str:
        """The output of kubectl as an administrator; raises CalledProcessError."""
        command = [str(programs.path("kubectl")), f"--kubeconfig={self.api.kubeconfig}", *words]
        return subprocess.run(command, input=stdin, check=True, capture_output=True, text=True).stdout

    def apply(self, *objects: object) -> None:
        """Apply objects as an administrator."""
        documents = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        self.kubectl("apply", "-f", "-", stdin=documents)


@contextlib.contextmanager
def running(*, archives: Sequence[bytes]) -> Iterator[Running]:
    """A cluster whose node is ready and has the images; nothing of it is left at the end. Raises StartError."""
    name = f"bf-kube-{secrets.token_hex(3)}"
    folder = pathlib.Path(tempfile.gettempdir(), name)
    folder.mkdir()
    try:
        with space.made(name) as way, contextlib.ExitStack() as stack:
            api = stack.enter_context(server.running(folder, flags=_API_FLAGS, accounts=True, way=way))
            cluster = Running(api=api, way=way, folder=folder)
            for program, flags in (
                ("kube-controller-manager", _controller_flags(api)),
                ("kube-scheduler", ["--bind-address=127.0.0.1", "--port=0", "--leader-elect=false"]),
            ):
                words = [*way.inside, str(programs.path(program)), f"--kubeconfig={api.kubeconfig}", *flags]
                stack.enter_context(server.program(words, log=folder / f"{program}.log", cwd=folder))
            stack.enter_context(_node(cluster, name, archives))
            _wait_for(cluster, "wait", "--for=condition=Ready", f"node/{NODE}", "--timeout=60s")
            _wait_for(cluster, "get", "serviceaccount", "default")
            cluster.apply({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
                           "metadata": {"name": STORAGE_CLASS}, "provisioner": "kubernetes.io/no-provisioner",
                           "volumeBindingMode": "WaitForFirstConsumer"},
                          *(_volume(folder, number) for number in range(_VOLUMES)))  # fmt: skip
            yield cluster
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_API_FLAGS = ("--kubelet-preferred-address-types=InternalIP",)


def _controller_flags(api: server.Server) -> list[str]:
    return [
        "--bind-address=127.0.0.1",
        "--port=0",
        "--leader-elect=false",
        f"--root-ca-file={api.ca_file}",
        f"--service-account-private-key-file={api.folder / 'accounts.key'}",
        # The garbage collector, which ends what belonged to something that is gone, looks around this often at first.
        "--controllers=*,-ttl,-bootstrapsigner,-tokencleaner,-csrsigning,-csrapproving,-csrcleaner",
    ]


@contextlib.contextmanager
def _node(cluster: Running, name: str, archives: Sequence[bytes]) -> Iterator[None]:
    folder = cluster.folder
    settings = containerd_config.Settings.below(
        state=folder / "s",
        run=folder / "r",
        cni_bin=pathlib.Path("/usr/lib/cni"),
        cni_conf=folder / "cni",
        cgroup_parent=f"/{name}",
        network=pathlib.Path("/run/netns", name),
    )
    _network(folder)
    root = folder / "kubelet"
    root.mkdir()
    # What the kubelet mounts for containers must be seen by containerd, which is outside.
    _command("mount", "--bind", str(root), str(root))
    _command("mount", "--make-shared", str(root))
    try:
        asyncio.run(_start(settings, folder, archives))
        with server.program(_kubelet(cluster, name, settings, root), log=folder / "kubelet.log", cwd=folder):
            yield
    finally:
        asyncio.run(containerd.Daemon(settings, told=lambda _: None).purge())
        _unmount(root)


async def _start(settings: containerd_config.Settings, folder: pathlib.Path, archives: Sequence[bytes]) -> None:
    engine = containerd.Daemon(settings, told=lambda _: None)
    try:
        await engine.start()
        for number, archive in enumerate(archives):
            file = folder / f"image-{number}.tar"
            file.write_bytes(archive)
            await engine.images.load(str(file))
    finally:
        await engine.close()


def _kubelet(cluster: Running, name: str, settings: containerd_config.Settings, root: pathlib.Path) -> list[str]:
    folder = cluster.folder
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(cluster.api.ca_file)},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": False,
        "cgroupRoot": f"/{name}",
        "enforceNodeAllocatable": [],
        "oomScoreAdj": 0,
        "failSwapOn": False,
        "makeIPTablesUtilChains": False,
        "healthzPort": 0,
        "resolvConf": "",
        "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%"},
        "imageGCHighThresholdPercent": 100,
        "syncFrequency": "2s",
        "fileCheckFrequency": "1h",
        "volumePluginDir": str(folder / "plugins"),
        "nodeStatusUpdateFrequency": "2s",
    }
    file = folder / "kubelet.yaml"
    file.write_text(yaml.safe_dump(config))
    kernel = folder / "kernel"
    binds = []
    for number, (path, value) in enumerate(_KERNEL.items()):
        place = pathlib.Path("/proc/sys", path)
        if place.exists():
            shown = kernel / str(number)
            kernel.mkdir(exist_ok=True)
            shown.write_text(value + "\n")
            binds.append(f"mount --bind {shown} {place}")
    kubelet = [
        str(programs.path("kubelet")),
        f"--config={file}",
        f"--kubeconfig={cluster.api.kubeconfig}",
        f"--root-dir={root}",
        f"--cert-dir={folder / 'pki'}",
        "--container-runtime=remote",
        f"--container-runtime-endpoint=unix://{settings.socket}",
        f"--hostname-override={NODE}",
        f"--node-ip={space.ADDRESS}",
    ]
    enter = " ".join([*cluster.way.inside, *kubelet])
    script = " && ".join([*binds, f"exec {enter}"])
    return ["unshare", "--mount", "--propagation=unchanged", "sh", "-c", script]


def _network(folder: pathlib.Path) -> None:
    bridge = {
        "type": "bridge",
        "bridge": "pods0",
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": str(folder / "leases"),
            "ranges": [[{"subnet": "198.18.0.0/16"}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    place = folder / "cni"
    place.mkdir()
    (place / "10-pods.conflist").write_text(
        json.dumps({"cniVersion": "0.4.0", "name": f"pods-{folder.name}", "plugins": [bridge]})
    )


def _volume(folder: pathlib.Path, number: int) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"volume-{number}"},
        "spec": {
            "capacity": {"storage": "10Mi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": STORAGE_CLASS,
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": str(folder / "volumes" / str(number)), "type": "DirectoryOrCreate"},
        },
    }


def _wait_for(cluster: Running, *words: str) -> None:
    for _ in range(120):
        try:
            cluster.kubectl(*words)
        except subprocess.CalledProcessError as error:
            last = error.stderr
            # There is no other way than to ask again.
            subprocess.run(["sleep", "0.5"], check=True)
        else:
            return
    told = "\n".join((cluster.folder / "kubelet.log").read_text(errors="replace").splitlines()[-20:])
    raise server.StartError(f"cannot start the node: {last}\nkubelet:\n{told}")


def _unmount(root: pathlib.Path) -> None:
    points = [line.split()[4] for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in sorted((each for each in points if pathlib.Path(each).is_relative_to(root)), reverse=True):
        subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)


def _command(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


def leftovers(name: str) -> list[str]:
    """What a cluster of that name should have taken away, in words."""
    found = [f"mount: {line}" for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines() if name in line]
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if process.name != str(os.getpid()) and name in process.joinpath("cmdline").read_text(errors="replace"):
                found.append(f"process: {process.name}")
    found += [f"cgroup: {one}" for one in pathlib.Path("/sys/fs/cgroup").glob(f"*/{name}")]
    found += [f"space: {one}" for one in pathlib.Path("/run/netns").glob(name)]
    return found
