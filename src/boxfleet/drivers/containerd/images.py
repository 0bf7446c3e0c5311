"""Images through containerd's CRI v1, and OCI archives through its `ctr`."""

import asyncio
import os
import pathlib
import subprocess
from collections.abc import Sequence

from boxfleet.drivers.containerd import connection, translate
from boxfleet.drivers.containerd.wire import cri_pb2
from boxfleet.ports import runtime

_SERVICE = "/runtime.v1.ImageService/"
_ASK = 20.0
# Half an hour: an image of some gigabytes over a slow line.
_PULL = 1800.0


class Images:
    """Implements `ports.runtime.Images`. `socket` and `snapshotter` are the daemon's, for `ctr`.

    `pinned` are names that no clean-up may take: containerd 1.6 does not mark its sandbox image itself.
    """

    def __init__(
        self, connection: connection.Connection, *, socket: pathlib.Path, snapshotter: str, pinned: frozenset[str]
    ) -> None:
        self._connection = connection
        self._socket = socket
        self._snapshotter = snapshotter
        self._pinned = pinned

    async def find(self, reference: str) -> runtime.Image | None:
        """The image by name, digest or id; names get their defaults (docker.io, latest) as everywhere."""
        request = cri_pb2.ImageStatusRequest(image=cri_pb2.ImageSpec(image=reference))
        answer = await self._connection.call(
            _SERVICE + "ImageStatus",
            request,
            cri_pb2.ImageStatusResponse,
            doing=f"look for image {reference}",
            timeout=_ASK,
        )
        return self._image(answer.image) if answer.HasField("image") else None

    async def list(self) -> Sequence[runtime.Image]:
        """All images."""
        answer = await self._connection.call(
            _SERVICE + "ListImages",
            cri_pb2.ListImagesRequest(),
            cri_pb2.ListImagesResponse,
            doing="list images",
            timeout=_ASK,
        )
        return [self._image(one) for one in answer.images]

    async def pull(self, reference: str, *, username: str = "", password: str = "") -> str:
        """Fetch from the registry named in the reference."""
        auth = cri_pb2.AuthConfig(username=username, password=password) if username else None
        request = cri_pb2.PullImageRequest(image=cri_pb2.ImageSpec(image=reference), auth=auth)
        answer = await self._connection.call(
            _SERVICE + "PullImage",
            request,
            cri_pb2.PullImageResponse,
            doing=f"pull image {reference}",
            timeout=_PULL,
        )
        return answer.image_ref

    async def remove(self, reference: str) -> None:
        """Forget an image."""
        request = cri_pb2.RemoveImageRequest(image=cri_pb2.ImageSpec(image=reference))
        try:
            await self._connection.call(
                _SERVICE + "RemoveImage",
                request,
                cri_pb2.RemoveImageResponse,
                doing=f"remove image {reference}",
                timeout=_ASK,
            )
        except runtime.NotFound:
            return

    async def load(self, archive: str) -> Sequence[str]:
        """Take in an OCI archive; returns when CRI knows all its names."""
        command = ["ctr", "--address", str(self._socket), "--namespace", "k8s.io", "images", "import"]
        process = await asyncio.create_subprocess_exec(
            *command, "--snapshotter", self._snapshotter, archive, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            stdout, stderr = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            said = stderr.decode(errors="replace").strip().removeprefix("ctr: ")
            raise runtime.RuntimeFault(
                f"cannot load {archive}: {said}; it must be an archive in the OCI or Docker layout, as "
                "`skopeo copy ... oci-archive:FILE:NAME:TAG` and `docker save` write"
            )
        names = [line.split()[1] for line in stdout.decode().splitlines() if line.startswith("unpacking ")]
        for name in names:
            await self._known(name)
        return names

    async def usage(self) -> tuple[int, int]:
        """Bytes used by images, and bytes of the file system that holds them."""
        answer = await self._connection.call(
            _SERVICE + "ImageFsInfo",
            cri_pb2.ImageFsInfoRequest(),
            cri_pb2.ImageFsInfoResponse,
            doing="read the use of disk by images",
            timeout=_ASK,
        )
        used = sum(one.used_bytes.value for one in answer.image_filesystems)
        mounts = [one.fs_id.mountpoint for one in answer.image_filesystems]
        capacity = 0
        if mounts:
            system = os.statvfs(mounts[0])
            capacity = system.f_blocks * system.f_frsize
        return used, capacity

    def _image(self, one: cri_pb2.Image) -> runtime.Image:
        image = translate.image(one)
        image.pinned = image.pinned or not self._pinned.isdisjoint(image.tags)
        return image

    async def _known(self, name: str) -> None:
        # CRI hears of an import by an event, a moment after `ctr` has ended.
        for _ in range(200):
            if await self.find(name) is not None:
                return
            await asyncio.sleep(0.02)
        raise runtime.RuntimeFault(f"cannot load {name}: the engine does not list it after the import")
