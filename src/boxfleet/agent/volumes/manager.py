"""The volumes of a Pod: made before its containers, renewed when their objects change, taken away at the end."""

import pathlib
import threading
from collections.abc import Callable, Mapping

from boxfleet.agent import wanted
from boxfleet.agent.volumes import atomic_files, folders, host_path, mounting, ownership, shared_memory, subpath
from boxfleet.api import pod as pods
from boxfleet.api import pod_sources
from boxfleet.kit import quantity
from boxfleet.planning import environment, pod_runtime, pod_tokens, pod_volumes
from boxfleet.ports import runtime

# A Secret's memory: the API bounds its size to 1 MiB, and two generations are there while it changes.
_SECRET_SIZE = 4 * 2**20


class Volumes:
    """Volumes of all Pods. Every method blocks for the time of a few file operations.

    `claim_folder` gives the folder of a claim that is ready for use, else raises `pod_volumes.Missing`.
    """

    def __init__(self, root: pathlib.Path, *, claim_folder: Callable[[wanted.Record, str], pathlib.Path]) -> None:
        self._root = root
        self._claim_folder = claim_folder
        # Who joins a memory must not take the mount of one who is just leaving it.
        self._sharing = threading.Lock()

    def folder(self, uid: str) -> folders.PodFolder:
        """A Pod's own folder."""
        return folders.PodFolder(self._root / uid)

    def known(self) -> list[str]:
        """Uids of all Pods that have a folder here."""
        return [path.name for path in self._root.glob("*/") if not path.name.startswith(".")]

    def prepare(
        self, record: wanted.Record, facts: environment.Facts, tokens: Mapping[pod_tokens.Wish, pod_tokens.Token]
    ) -> None:
        """Make or renew every volume; raises `pod_volumes.Missing` when one cannot be."""
        pod = record.pod
        folder = self.folder(pod.metadata.uid)
        folder.root.mkdir(parents=True, exist_ok=True, mode=0o750)
        for volume in pod.spec.volumes:
            try:
                self._make(volume, record, facts, folder, tokens)
            except (OSError, ValueError) as error:
                raise pod_volumes.Missing(f'volume "{volume.name}": {error}') from None

    def write_hosts(self, pod: pods.Pod, *, ip: str) -> None:
        """Write the Pod's /etc/hosts, in place: a bind mount would not see a new file."""
        path = self.folder(pod.metadata.uid).hosts
        path.parent.mkdir(parents=True, exist_ok=True)
        if pod.spec.hostNetwork:
            text = pathlib.Path("/etc/hosts").read_text() + pod_runtime.host_aliases(pod)
        else:
            text = pod_runtime.hosts_file(pod, ip=ip)
        content = text.encode()
        # Instances may write there, and as much as they like: no more than it should have is read.
        if not path.exists() or path.stat().st_size != len(content) or path.read_bytes() != content:
            path.write_bytes(content)
            path.chmod(0o644)

    def mounts(self, record: wanted.Record, container: pods.Container, *, attempt: int) -> list[runtime.Mount]:
        """A container's mounts, with its subPaths bound anew so that it sees what is there now."""
        pod = record.pod
        folder = self.folder(pod.metadata.uid)
        by_name = {volume.name: volume for volume in pod.spec.volumes}
        result = []
        for index, wish in enumerate(container.volumeMounts):
            volume = by_name.get(wish.name)
            if volume is None:
                raise pod_volumes.Missing(
                    f"container {container.name} mounts volume {wish.name!r}, which the pod lacks"
                )
            source = self._path(volume, record, folder)
            readonly = wish.readOnly or _is_readonly(volume)
            if wish.subPath:
                target = folder.subpath(container.name, index)
                subpath.bind(source, wish.subPath, target)
                source = target
            result.append(runtime.Mount(host_path=str(source), container_path=wish.mountPath, readonly=readonly))
        taken = {mount.container_path for mount in result}
        if "/etc/hosts" not in taken:
            result.append(runtime.Mount(host_path=str(folder.hosts), container_path="/etc/hosts"))
        if container.terminationMessagePath and container.terminationMessagePath not in taken:
            message = folder.message(container.name, attempt=attempt)
            message.parent.mkdir(parents=True, exist_ok=True)
            message.write_bytes(b"")
            message.chmod(0o666)
            result.append(runtime.Mount(host_path=str(message), container_path=container.terminationMessagePath))
        return result

    def release(self, uid: str) -> None:
        """Take a Pod's folder and mounts away; claims stay."""
        with self._sharing:
            self.folder(uid).remove()

    def _make(
        self,
        volume: pod_sources.Volume,
        record: wanted.Record,
        facts: environment.Facts,
        folder: folders.PodFolder,
        tokens: Mapping[pod_tokens.Wish, pod_tokens.Token],
    ) -> None:
        path = folder.volume(volume.name)
        pod = record.pod
        group = pod.spec.securityContext.fsGroup if pod.spec.securityContext is not None else None
        if volume.hostPath is not None:
            host_path.prepare(volume.hostPath.path, volume.hostPath.type)
        elif volume.configMap is not None:
            files = pod_volumes.config_map_files(volume.configMap, record.config_maps, namespace=pod.metadata.namespace)
            atomic_files.write(path, files, group=group)
        elif volume.secret is not None:
            files = pod_volumes.secret_files(volume.secret, record.secrets, namespace=pod.metadata.namespace)
            self._memory(path, size=_SECRET_SIZE, mode=0o755)
            atomic_files.write(path, files, group=group)
        elif volume.downwardAPI is not None:
            files = pod_volumes.downward_files(volume.downwardAPI, lambda item: _downward(item, facts))
            atomic_files.write(path, files, group=group)
        elif volume.projected is not None:
            files = pod_tokens.files(
                volume.projected,
                spec=pod.spec,
                namespace=pod.metadata.namespace,
                config_maps=record.config_maps,
                secrets=record.secrets,
                value=lambda item: _downward(item, facts),
                tokens=tokens,
            )
            self._memory(path, size=_SECRET_SIZE, mode=0o755)
            atomic_files.write(path, files, group=group)
        elif volume.persistentVolumeClaim is not None:
            claim = self._claim_folder(record, volume.persistentVolumeClaim.claimName)
            if group is not None and claim.stat().st_gid != group:
                ownership.give(claim, group)
        elif volume.csi is not None:
            with self._sharing:
                shared_memory.prepare(path, volume.csi, namespace=pod.metadata.namespace, root=self._root)
        else:
            self._empty(path, volume.emptyDir or pod_sources.EmptyDirVolumeSource(), group)

    def _empty(self, path: pathlib.Path, source: pod_sources.EmptyDirVolumeSource, group: int | None) -> None:
        if source.medium == "Memory":
            size = None if source.sizeLimit is None else quantity.whole(source.sizeLimit)
            self._memory(path, size=size, mode=0o777)
        elif source.medium:
            raise pod_volumes.Missing(
                f"emptyDir medium {source.medium!r} is not supported: use Memory or leave it empty"
            )
        else:
            if not path.exists():
                path.mkdir(parents=True)
                path.chmod(0o777)
        if group is not None and path.stat().st_gid != group:
            ownership.give(path, group)

    def _memory(self, path: pathlib.Path, *, size: int | None, mode: int) -> None:
        path.mkdir(parents=True, exist_ok=True)
        if not path.is_mount():
            mounting.memory(str(path), size=size, mode=mode)

    def _path(self, volume: pod_sources.Volume, record: wanted.Record, folder: folders.PodFolder) -> pathlib.Path:
        if volume.hostPath is not None:
            return pathlib.Path(volume.hostPath.path)
        if volume.persistentVolumeClaim is not None:
            return self._claim_folder(record, volume.persistentVolumeClaim.claimName)
        return folder.volume(volume.name)


def _downward(item: pod_sources.DownwardItem, facts: environment.Facts) -> str:
    if item.fieldRef is not None:
        return environment.field(item.fieldRef.fieldPath, facts)
    if item.resourceFieldRef is not None:
        return environment.resource(item.resourceFieldRef, None, facts)
    return ""


def _is_readonly(volume: pod_sources.Volume) -> bool:
    """Volumes made from objects are never written by instances: the next change would undo it."""
    claim = volume.persistentVolumeClaim
    return (
        volume.configMap is not None
        or volume.secret is not None
        or volume.downwardAPI is not None
        or volume.projected is not None
        or (claim is not None and claim.readOnly)
    )
