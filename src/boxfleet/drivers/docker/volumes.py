"""Which volumes an instance needs on the engine, what is in them, and how they are mounted."""

import msgspec

from boxfleet.api import pod as pods
from boxfleet.api import pod_sources
from boxfleet.drivers.docker import given, marks
from boxfleet.kit import quantity
from boxfleet.planning import environment, pod_tokens, pod_volumes

# Everybody may write into what is empty at first, as on other clusters.
_OPEN = 0o777
_CLOSED = 0o755


class Volume(msgspec.Struct, frozen=True, kw_only=True):
    """A named volume; `files` is None where instances write."""

    name: str
    labels: dict[str, str]
    options: dict[str, str] = {}
    files: list[pod_volumes.File] | None = None
    mode: int = _OPEN
    group: int = 0


def plan(wanted: given.Given, engine: given.Engine, *, pod_ip: str) -> list[Volume]:
    """All volumes of an instance. Raises `pod_volumes.Missing`."""
    found = []
    spec = wanted.pod.spec
    group = spec.securityContext.fsGroup if spec.securityContext is not None else None
    for volume in spec.volumes:
        if volume.hostPath is not None:
            continue
        if volume.persistentVolumeClaim is not None:
            claim = volume.persistentVolumeClaim.claimName
            found.append(
                Volume(
                    name=marks.claim_name(wanted.share.namespace, claim),
                    labels=marks.of_claim(engine.fleet, wanted.share, claim),
                    mode=_OPEN if group is None else 0o2775,
                    group=group or 0,
                )
            )
            continue
        content = files(volume, wanted, engine, pod_ip=pod_ip)
        writable = content is None
        found.append(
            Volume(
                name=marks.volume_name(wanted.pod, volume.name),
                labels=marks.of_instance(engine.fleet, wanted.share, wanted.ordinal, wanted.pod),
                options=_options(volume),
                files=content,
                mode=_OPEN if writable else _CLOSED,
                group=group or 0,
            )
        )
    return found


def files(
    volume: pod_sources.Volume, wanted: given.Given, engine: given.Engine, *, pod_ip: str
) -> list[pod_volumes.File] | None:
    """What is in a volume; None where instances write. Raises `pod_volumes.Missing`."""
    facts = wanted.facts(engine, pod_ip=pod_ip)
    namespace = wanted.pod.metadata.namespace

    def value(item: pod_sources.DownwardItem) -> str:
        if item.fieldRef is not None:
            return environment.field(item.fieldRef.fieldPath, facts)
        if item.resourceFieldRef is not None:
            return environment.resource(item.resourceFieldRef, None, facts)
        raise pod_volumes.Missing(f"the item {item.path} of a downwardAPI volume names no field")

    if volume.configMap is not None:
        return pod_volumes.config_map_files(volume.configMap, wanted.config_maps, namespace=namespace)
    if volume.secret is not None:
        return pod_volumes.secret_files(volume.secret, wanted.secrets, namespace=namespace)
    if volume.downwardAPI is not None:
        return pod_volumes.downward_files(volume.downwardAPI, value)
    if volume.projected is not None:
        return pod_tokens.files(
            volume.projected,
            spec=wanted.pod.spec,
            namespace=namespace,
            config_maps=wanted.config_maps,
            secrets=wanted.secrets,
            value=value,
            tokens={},
        )
    return None


def mounts(container: pods.Container, wanted: given.Given) -> tuple[list[dict[str, object]], list[str]]:
    """What a container mounts, in the engine's two forms: Mounts, and Binds for folders of the host."""
    by_name = {volume.name: volume for volume in wanted.pod.spec.volumes}
    found: list[dict[str, object]] = []
    binds = []
    for mount in container.volumeMounts:
        volume = by_name[mount.name]
        if volume.hostPath is not None:
            source = volume.hostPath.path.rstrip("/") + ("/" + mount.subPath if mount.subPath else "") or "/"
            if volume.hostPath.type in ("", "DirectoryOrCreate"):
                binds.append(f"{source}:{mount.mountPath}" + (":ro" if mount.readOnly else ""))
            else:
                found.append({"Type": "bind", "Source": source, "Target": mount.mountPath, "ReadOnly": mount.readOnly})
            continue
        if is_copied(volume, mount):
            continue
        claim = volume.persistentVolumeClaim
        name = (
            marks.claim_name(wanted.share.namespace, claim.claimName)
            if claim is not None
            else marks.volume_name(wanted.pod, volume.name)
        )
        read_only = mount.readOnly or holds_files(volume) or (claim is not None and claim.readOnly)
        found.append(
            {
                "Type": "volume",
                "Source": name,
                "Target": mount.mountPath,
                "ReadOnly": read_only,
                # What an image has at that place stays out, as on other clusters.
                "VolumeOptions": {"NoCopy": True},
            }
        )
    return found, binds


def copied(
    container: pods.Container, wanted: given.Given, engine: given.Engine, *, pod_ip: str
) -> list[pod_volumes.File]:
    """Files that are put into a container itself: single ones out of volumes, by their path below ``/``."""
    by_name = {volume.name: volume for volume in wanted.pod.spec.volumes}
    found = []
    for mount in container.volumeMounts:
        volume = by_name[mount.name]
        if not is_copied(volume, mount):
            continue
        target = mount.mountPath.strip("/")
        for file in files(volume, wanted, engine, pod_ip=pod_ip) or ():
            if file.path == mount.subPath:
                found.append(msgspec.structs.replace(file, path=target))
            elif file.path.startswith(mount.subPath.rstrip("/") + "/"):
                below = file.path.removeprefix(mount.subPath.rstrip("/") + "/")
                found.append(msgspec.structs.replace(file, path=f"{target}/{below}"))
    return found


def holds_files(volume: pod_sources.Volume) -> bool:
    """Whether what is in it is given, and not written by instances."""
    return any(one is not None for one in (volume.configMap, volume.secret, volume.projected, volume.downwardAPI))


def is_copied(volume: pod_sources.Volume, mount: pods.VolumeMount) -> bool:
    """Whether a part of given files is mounted: engines mount whole volumes only."""
    return bool(mount.subPath) and holds_files(volume)


def _options(volume: pod_sources.Volume) -> dict[str, str]:
    empty = volume.emptyDir
    if empty is None or empty.medium != "Memory":
        return {}
    size = f",size={quantity.whole(empty.sizeLimit)}" if empty.sizeLimit is not None else ""
    return {"type": "tmpfs", "device": "tmpfs", "o": f"mode=1777{size}"}
