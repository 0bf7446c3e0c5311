"""Which objects a Pod needs besides itself, and which files their volumes hold."""

import base64
import binascii
from collections.abc import Callable, Mapping

import msgspec

from boxfleet.api import config, pod_sources
from boxfleet.api import pod as pods

DEFAULT_MODE = 0o644


class Missing(ValueError):
    """Something that the Pod refers to is not there or not usable; the text names it."""


class File(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a volume, by relative path."""

    path: str
    content: bytes
    mode: int
    # Who owns it; None: root.
    owner: int | None = None


class References(msgspec.Struct, frozen=True, kw_only=True):
    """Names in the Pod's namespace."""

    config_maps: frozenset[str] = frozenset()
    secrets: frozenset[str] = frozenset()
    claims: frozenset[str] = frozenset()


def references(spec: pods.PodSpec) -> References:
    """Every ConfigMap, Secret and claim that a Pod names: in volumes, in environments, for registries."""
    config_maps, claims = set(), set()
    secrets = {one.name for one in spec.imagePullSecrets}
    for volume in spec.volumes:
        if volume.configMap is not None:
            config_maps.add(volume.configMap.name)
        if volume.secret is not None:
            secrets.add(volume.secret.secretName)
        if volume.persistentVolumeClaim is not None:
            claims.add(volume.persistentVolumeClaim.claimName)
        for part in volume.projected.sources if volume.projected is not None else ():
            if part.configMap is not None:
                config_maps.add(part.configMap.name)
            if part.secret is not None:
                secrets.add(part.secret.name)
    for container in spec.every_container:
        for source in container.envFrom:
            if source.configMapRef is not None:
                config_maps.add(source.configMapRef.name)
            if source.secretRef is not None:
                secrets.add(source.secretRef.name)
        for variable in container.env:
            origin = variable.valueFrom
            if origin is not None and origin.configMapKeyRef is not None:
                config_maps.add(origin.configMapKeyRef.name)
            if origin is not None and origin.secretKeyRef is not None:
                secrets.add(origin.secretKeyRef.name)
    return References(
        config_maps=frozenset(config_maps - {""}), secrets=frozenset(secrets - {""}), claims=frozenset(claims - {""})
    )


def config_map_data(found: config.ConfigMap) -> dict[str, bytes]:
    """All values of a ConfigMap as bytes."""
    data = {key: value.encode() for key, value in found.data.items()}
    return data | {key: _decode(f"ConfigMap {found.key} key {key}", text) for key, text in found.binaryData.items()}


def secret_data(found: config.Secret) -> dict[str, bytes]:
    """All values of a Secret as bytes."""
    return {key: _decode(f"Secret {found.key} key {key}", text) for key, text in found.data.items()}


def config_map_files(
    source: pod_sources.ConfigMapVolumeSource, config_maps: Mapping[str, config.ConfigMap], *, namespace: str
) -> list[File]:
    """The files of a configMap volume; raises Missing."""
    found = config_maps.get(source.name)
    data = config_map_data(found) if found is not None else None
    return _files(data, source, what="configmap", namespace=namespace, name=source.name)


def secret_files(
    source: pod_sources.SecretVolumeSource, secrets: Mapping[str, config.Secret], *, namespace: str
) -> list[File]:
    """The files of a secret volume; raises Missing."""
    found = secrets.get(source.secretName)
    data = secret_data(found) if found is not None else None
    return _files(data, source, what="secret", namespace=namespace, name=source.secretName)


def downward_files(
    source: pod_sources.DownwardVolumeSource, value: Callable[[pod_sources.DownwardItem], str]
) -> list[File]:
    """The files of a downwardAPI volume; `value` resolves one item."""
    return [
        File(
            path=safe(item.path),
            content=value(item).encode(),
            mode=_mode(item.mode, source.defaultMode),
        )
        for item in source.items
    ]


def _files(
    data: Mapping[str, bytes] | None,
    source: pod_sources.ConfigMapVolumeSource | pod_sources.SecretVolumeSource,
    *,
    what: str,
    namespace: str,
    name: str,
) -> list[File]:
    if data is None:
        if source.optional:
            return []
        raise Missing(f'{what} "{namespace}/{name}" not found')
    mode = source.defaultMode
    if not source.items:
        return [File(path=safe(key), content=data[key], mode=_mode(None, mode)) for key in sorted(data)]
    files = []
    for item in source.items:
        if item.key in data:
            files.append(File(path=safe(item.path), content=data[item.key], mode=_mode(item.mode, mode)))
        elif not source.optional:
            raise Missing(f'{what} "{name}" has no key {item.key!r}')
    return files


def _mode(own: int | None, default: int | None) -> int:
    if own is not None:
        return own
    return DEFAULT_MODE if default is None else default


def safe(path: str) -> str:
    """The path of a file in a volume, checked; raises Missing."""
    parts = path.split("/")
    # A leading ".." belongs to the writer's own bookkeeping.
    if path.startswith("/") or parts[0].startswith("..") or any(part in ("", ".", "..") for part in parts):
        raise Missing(f"{path!r} cannot be a file of a volume: use a relative path without '..'")
    return path


def _decode(what: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise Missing(f"{what} is not base64: {error}") from None
