"""What is in an instance's volumes: written before its containers start, and again when it changes.

It goes through a container that mounts them and never starts, since bind mounts would need files on the engine's host.
What is the same stays untouched. An engine deletes no files: one that is wanted no more is emptied.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from boxfleet.drivers.docker import archives, connection, faults, marks, volumes
from boxfleet.planning import pod_volumes

_FOLDER: Final = "/v"
WRITER: Final = "_files"


async def write(
    link: connection.Connection,
    wanted: Sequence[volumes.Volume],
    *,
    name: str,
    labels: Mapping[str, str],
    image: str,
) -> None:
    """Make the volumes, and have in them what shall be; `image` is one that the engine has. Raises ClusterFaults."""
    fresh = set()
    for volume in wanted:
        try:
            await link.call("GET", f"/volumes/{volume.name}")
        except faults.NotFound:
            fresh.add(volume.name)
            body = {"Name": volume.name, "Driver": "local", "DriverOpts": volume.options, "Labels": volume.labels}
            await link.call("POST", "/volumes/create", body=body)
    worked_on = [one for one in wanted if not one.options and (one.name in fresh or one.files is not None)]
    if not worked_on:
        return
    mounts = [
        {
            "Type": "volume",
            "Source": one.name,
            "Target": f"{_FOLDER}/{one.name}",
            "VolumeOptions": {"NoCopy": True},
        }
        for one in worked_on
    ]
    body = {
        "Image": image,
        "Entrypoint": ["/"],
        "Labels": {**labels, marks.CONTAINER: WRITER, marks.ROLE: "files"},
        "HostConfig": {"Mounts": mounts, "NetworkMode": "none"},
    }
    try:
        made = await link.call("POST", "/containers/create", params={"name": name}, body=body)
    except faults.Conflict:
        # Left behind by somebody who was interrupted.
        await remove(link, name)
        made = await link.call("POST", "/containers/create", params={"name": name}, body=body)
    try:
        for volume in worked_on:
            if volume.name in fresh:
                entry = archives.folder(volume.name, mode=volume.mode, group=volume.group)
                await put(link, made["Id"], _FOLDER, entry)
            if volume.files is not None:
                await _fill(link, made["Id"], volume, fresh=volume.name in fresh)
    finally:
        await remove(link, made["Id"])


async def put(link: connection.Connection, container: str, path: str, archive: bytes) -> None:
    """Unpack an archive in a container. Raises ClusterFaults."""
    await link.call(
        "PUT",
        f"/containers/{container}/archive",
        params={"path": path},
        data=archive,
        headers={"Content-Type": "application/x-tar"},
    )


async def put_changed(link: connection.Connection, container: str, files: Sequence[pod_volumes.File]) -> None:
    """Have these files in the root of a container that runs, touching only what differs. Raises ClusterFaults."""
    changed = []
    for file in files:
        there = None
        try:
            async with link.open("GET", f"/containers/{container}/archive", params={"path": f"/{file.path}"}) as answer:
                there = archives.first(await answer.read())
        except faults.NotFound:
            pass
        if there != (file.content, file.mode):
            changed.append(file)
    if changed:
        await put(link, container, "/", archives.pack(changed))


async def remove(link: connection.Connection, container: str) -> None:
    """Remove a container, whatever it does; harmless when it is gone. Raises ClusterFaults."""
    try:
        await link.call("DELETE", f"/containers/{container}", params={"force": True, "v": True})
    except faults.NotFound:
        return
    except faults.Conflict as error:
        # Somebody else is removing it already.
        if "already in progress" not in str(error):
            raise


async def _fill(link: connection.Connection, container: str, volume: volumes.Volume, *, fresh: bool) -> None:
    path = f"{_FOLDER}/{volume.name}"
    there: dict[str, tuple[bytes, int]] = {}
    if not fresh:
        async with link.open("GET", f"/containers/{container}/archive", params={"path": path}) as answer:
            there = archives.unpack(await answer.read())
    wanted = {one.path: one for one in volume.files or ()}
    group = 0o440 if volume.group else 0
    changed = [one for one in wanted.values() if there.get(one.path) != (one.content, one.mode | group)]
    changed += [
        pod_volumes.File(path=gone, content=b"", mode=mode)
        for gone, (content, mode) in there.items()
        if gone not in wanted and content
    ]
    if changed:
        await put(link, container, path, archives.pack(changed, group=volume.group))
